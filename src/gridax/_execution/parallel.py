"""Vectorized on all cores and devices, compiled by JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridax import _checks, _devices
from gridax._execution.base import Execution, checked_job
from gridax._execution.tiled import TiledEvaluator
from gridax.space import Space


class ParallelExecution(Execution):
    """Evaluate a JAX model over tiles of points, vectorized and on all cores and devices.

    The model is traced, so it must use `jax.numpy`. Arrays in the state are arguments of the
    compiled program; numbers, strings and other objects are constants of it. As with `jax.jit`, so
    is everything that the model reads from outside its arguments, with the value it had when the
    executor first ran; a new executor reads it again. Executors whose models turn out to be the
    same program share what was compiled, even if the models are different lambdas.

    Parameters
    ----------
    model : callable
        Called as ``model(state, *args, **kwargs)``; returns a pytree of arrays and numbers, or
        xarray objects.
    space : Space
        The points.
    *args, **kwargs
        Passed on to the model.
    n_vmap : int, optional
        Maximum number of points that a device evaluates in one vectorized call; the number used is
        more than half of it where the grid allows. By default, a simple rule chooses it, and in a
        long sweep, measured times do.
    n_pmap : int, optional
        Number of devices. If None, all local devices, or one if there is too little to compute. A
        CPU that is a single device of JAX evaluates a tile per core at the same time, unless this
        is 1.

    Raises
    ------
    TypeError, ValueError
        If `n_vmap` or `n_pmap` is not a positive integer, or there are fewer devices.

    Warns
    -----
    UserWarning
        If a tile does not fit into the memory of a device, so that smaller ones are used.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11), "k": gx.DataAxis([1, 2])}, mode="product")
    >>> result = ParallelExecution(lambda s: jnp.exp(-s["k"] * s["x"]), space).run(progress=False)
    >>> round(result.dataset["value"].sel(x=0.5, k=2).item(), 4)
    0.3679
    """

    def __init__(
        self,
        model: Callable[..., Any],
        space: Space,
        *args: Any,
        n_vmap: int | None = None,
        n_pmap: int | None = None,
        **kwargs: Any,
    ) -> None:
        job = checked_job(type(self).__name__, model, space, args, kwargs)
        if n_vmap is not None:
            n_vmap = _checks.count(n_vmap, "ParallelExecution", "n_vmap")
        if n_pmap is not None:
            n_pmap = _checks.count(n_pmap, "ParallelExecution", "n_pmap")
            _devices.check_number(n_pmap)
        self.n_vmap, self.n_pmap = n_vmap, n_pmap
        super().__init__(space, job, TiledEvaluator(job, n_vmap, n_pmap))
