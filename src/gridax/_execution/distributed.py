"""Blocks of a sweep on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gridax import _checks
from gridax._execution.base import Execution, checked_job
from gridax._execution.dask_workers import DaskWorkers
from gridax._execution.remote import RemoteEvaluator
from gridax.space import Space

if TYPE_CHECKING:
    from distributed import Client


class DaskExecution(Execution):
    """Evaluate a model on the workers of a Dask cluster, block by block.

    Each worker receives the model and the space once, compiles once, and uses all of its own
    devices. With ``run(store=…)``, workers write their blocks themselves, so the path must refer to
    the same place for all of them; without a store, the blocks are sent back to this process.

    Parameters
    ----------
    model : callable
        Called as ``model(state, *args, **kwargs)``.
    space : Space
        The points.
    *args, **kwargs
        Passed on to the model.
    client : distributed.Client, optional
        A client of any cluster: SSH, Slurm through dask-jobqueue, Kubernetes. If None, each run
        starts a cluster on this machine, with one process per core, and closes it at the end.
    n_vmap : int, optional
        As in `ParallelExecution`.
    jit : bool, optional
        Whether the model is a JAX model, which is compiled. If False, it may be any callable, and
        each worker evaluates one point at a time.

    Raises
    ------
    TypeError, ValueError
        If `client` is not a client or is asynchronous, `n_vmap` is not a positive integer, or
        `n_vmap` is given with ``jit=False``.
    ModuleNotFoundError
        If the package distributed is not installed.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product")
    >>> sweep = DaskExecution(lambda s: 2 * float(s["x"]), space, jit=False)
    >>> result = sweep.run(progress=False)
    >>> result.dataset["value"].sel(x=1.0).item()
    2.0
    """

    def __init__(
        self,
        model: Callable[..., Any],
        space: Space,
        *args: Any,
        client: Client | None = None,
        n_vmap: int | None = None,
        jit: bool = True,
        **kwargs: Any,
    ) -> None:
        job = checked_job(type(self).__name__, model, space, args, kwargs)
        distributed = _checks.optional("distributed", "dask")
        if client is not None and not isinstance(client, distributed.Client):
            raise TypeError(
                f"client must be a distributed.Client, got {client!r}; create one with "
                "distributed.Client(cluster)"
            )
        if client is not None and client.asynchronous:
            raise TypeError(
                "client is asynchronous, but a run waits for its tasks; pass a client that was "
                "created without asynchronous=True, outside of coroutines"
            )
        if not isinstance(jit, bool):
            raise TypeError(f"jit must be True or False, got {jit!r}")
        if n_vmap is not None:
            n_vmap = _checks.count(n_vmap, "DaskExecution", "n_vmap")
        if n_vmap is not None and not jit:
            raise ValueError(
                f"n_vmap={n_vmap} requires jit=True; with jit=False, the model is evaluated one "
                "point at a time"
            )
        self.n_vmap, self.jit = n_vmap, jit
        self._workers = DaskWorkers(client)
        super().__init__(space, job, RemoteEvaluator(job, self._workers, n_vmap, jit))

    @property
    def client(self) -> Client | None:
        """The client of the cluster, or None; a new one may be assigned when it is lost."""
        return self._workers.client

    @client.setter
    def client(self, client: Client | None) -> None:
        self._workers.client = client
