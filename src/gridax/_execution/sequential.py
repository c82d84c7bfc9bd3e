"""One point at a time, in plain Python, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridax import _checks
from gridax._execution.base import Execution, checked_job
from gridax._execution.pointwise import PointwiseEvaluator
from gridax._execution.processes import LocalProcesses
from gridax._execution.remote import RemoteEvaluator
from gridax._run.evaluator import Evaluator
from gridax.space import Space


class SequentialExecution(Execution):
    """Evaluate a model point by point in a Python loop.

    The model may be any callable: NumPy code, an external simulator, a function with side effects.
    Without `n_workers`, it is called once per point, in the order of the points. It
    receives plain values: the scalars of axes are floats and ints equal to their labels, and
    arrays are as they were given. NumPy arrays are read-only in the model, so that no point changes
    what the next one receives. If a model needs an attribute of arrays, such as that in
    ``state["x"].astype(int)``, it is called again for this point with scalars of NumPy, which later
    points receive at once.

    A model that was transformed by `jax.jit` receives what it would receive from
    `ParallelExecution`: axes are traced, with JAX's dtypes, while plain numbers, strings and other
    objects are static.

    Parameters
    ----------
    model : callable
        Called as ``model(state, *args, **kwargs)``; returns a pytree of arrays and numbers, or
        xarray objects.
    space : Space
        The points; `statespace` is another name for it.
    *args, **kwargs
        Passed on to the model.
    n_workers : int, optional
        Number of processes on this machine that evaluate points at the same time. They are started
        for each run, which takes a few seconds. By default, the model is called in this process.

    Raises
    ------
    TypeError, ValueError
        If the model is not callable, there is no space, or `n_workers` is not a positive integer.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    >>> result = SequentialExecution(lambda s: {"y": 10 * s["x"]}, space).run(progress=False)
    >>> result.dataset["y"].sel(x=0.3).item()
    3.0
    """

    def __init__(
        self,
        model: Callable[..., Any],
        space: Space | None = None,
        *args: Any,
        statespace: Space | None = None,
        n_workers: int | None = None,
        **kwargs: Any,
    ) -> None:
        if statespace is not None:
            # A positional argument of the model may be where the space would be.
            if space is not None:
                args = (space, *args)
            space = statespace
        if space is None:
            raise TypeError(
                "SequentialExecution needs a space; pass it after the model: "
                "SequentialExecution(model, space)"
            )
        job = checked_job(type(self).__name__, model, space, args, kwargs)
        evaluator: Evaluator = PointwiseEvaluator(job)
        if n_workers is not None:
            n = _checks.count(n_workers, type(self).__name__, "n_workers")
            evaluator = RemoteEvaluator(job, LocalProcesses(n), n_vmap=None, jit=False)
        super().__init__(space, job, evaluator)
