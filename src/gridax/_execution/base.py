"""What all executors have in common: a job, an evaluator, and `run`."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from gridax._axes import is_axis
from gridax._axes.carried import is_carried
from gridax._grid.missing import check_initial, check_wraps, noting_missing
from gridax._plan.plan import Plan
from gridax._pytree import owned
from gridax._run.assembly import Assembler
from gridax._run.derivatives import checked_names
from gridax._run.evaluator import Evaluator
from gridax._run.in_memory import InMemory
from gridax._run.in_store import InStore
from gridax._run.job import Job
from gridax._run.options import OnError, Options, Order, Resume
from gridax._run.progress import Progress
from gridax._run.run import Run
from gridax._stores.base import Durability, Verify
from gridax.result import Result
from gridax.space import Space, points_of


class Execution:
    """A model and the space to run it over; a subclass chooses the evaluator.

    Attributes
    ----------
    model, space, args, kwargs : as given; the model is called as ``model(state, *args, **kwargs)``.
    partial : Result or None
        What the last run had computed when it was interrupted or failed.
    """

    def __init__(self, space: Space, job: Job, evaluator: Evaluator) -> None:
        self.space = space
        self.partial: Result | None = None
        self._job, self._evaluator, self._assembler = job, evaluator, Assembler(job)
        # What runs with derivatives need, by what the outputs are differentiated by.
        self._deriving: dict[tuple[str, ...], tuple[Job, Evaluator, Assembler]] = {}
        # The last run that can be repeated at once, and its options.
        self._last: tuple[dict[str, Any], InMemory | None] = {}, None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": ({}, None)}  # without what is compiled

    @property
    def model(self) -> Callable[..., Any]:
        """The model."""
        return self._job.model

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments of the model after the state."""
        return self._job.args

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments of the model."""
        return self._job.kwargs

    def run(
        self,
        *,
        store: str | os.PathLike[str] | None = None,
        progress: Progress = True,
        dims: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        memory: int | str | None = None,
        lanes: bool | int = True,
        on_error: OnError = "raise",
        extend: Result | str | os.PathLike[str] | None = None,
        reduce: Mapping[Any, Any] | None = None,
        derivatives: str | Sequence[str] = (),
        budget: float | str | datetime.timedelta | None = None,
        order: Order = "grid",
        shard: tuple[int, int] | None = None,
        resume: Resume = True,
        overwrite: bool = False,
        retry_failed: bool = False,
        verify: Verify = "size",
        durability: Durability = "process",
        block: Mapping[str, int] | None = None,
        version: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Result:
        """Evaluate the model at every point.

        Parameters
        ----------
        store : path or URL, optional
            A Zarr store to which the outputs are streamed while the sweep runs, such as
            ``"sweep.zarr"`` or ``"s3://bucket/sweep.zarr"``. If it exists, what it holds is not
            computed again: call `run` once more to resume an interrupted sweep. Without a store,
            the outputs are kept in memory.
        progress : bool or callable, optional
            Whether to show a progress bar, or a function that is called with the number of points
            done and the total number.
        dims : mapping of str to sequence of str, optional
            Names of the outputs' own dimensions, by output. The default is the names of the xarray
            objects that the model returns, or else ``<output>_dim_0`` and so on.
        coords : mapping, optional
            Coordinates of those dimensions by name: values, ``(dims, values)``,
            ``(dims, values, attrs)`` or a DataArray.
        memory : int or str, optional
            Maximum number of bytes, such as ``"4 GB"``, that the sweep may use on each device at a
            time, in addition to its results. The default is most of the device's free memory.
            `SequentialExecution` ignores it, because it evaluates one point at a time.
        lanes : bool or int, optional
            Whether points that leave a `jax.lax.while_loop` early make room for the next ones. By
            default, this is done where it is measured to be faster, and `ParallelExecution.plan`
            shows it. If False, all points of a tile wait for the slowest one. A number says how
            many points are in the loop at a time. `SequentialExecution` ignores it.
        on_error : {"raise", "record"}, optional
            What to do if the model raises an error: end the run with that error, or leave the
            outputs of the point NaN, set its ``status`` to 2 and keep the message
            (`Result.failed`).
        extend : Result or path, optional
            A result that has some of the points. They are copied, and only the others are
            computed: new labels along a dimension, more trials, or a new dimension of which one
            label is the value that was fixed before. Points are matched by their labels and by the
            positions of the axes in the state.
        reduce : mapping, optional
            What outputs are reduced to along some dimensions while the sweep runs, so that the
            outputs themselves are never stored: ``{"trial": ["mean", "std"]}`` for all outputs, or
            ``{"rate": {"trial": "mean"}, "peak": {("trial", "sigma"): "max"}}`` for some, of which
            no others are kept. A reduction is one of the names ``mean``, ``std``, ``var``, ``sum``,
            ``min``, ``max``, ``count``, ``argmin``, ``argmax``, ``any`` and ``all``, with the
            meaning that xarray gives it (but argmin and argmax return labels); `Quantiles`;
            `Histogram`; or a JAX function of the array of all values, the reduced dimensions first.
            The variables are ``rate.mean`` and so on; ``rate.count`` is always among them, and what
            is needed to merge results (the mean with std and var, the minimum with argmin).
        derivatives : str or sequence of str, optional
            Axes with respect to whose labels the outputs are differentiated: with ``["G"]``, the
            Dataset has ``rate.d_G`` for each output ``rate`` of floats. They are computed in the
            same pass as the outputs, in forward mode, and are stored, reduced and carried like
            outputs, but are no part of what the model returns (``result[i]``). JAX must trace the
            model.
        budget : float or str, optional
            The time after which no more points are begun, in seconds or as text such as
            ``"10 min"``. The result is then partial: its `status` says which points are done, and
            the outputs of the others are NaN. With a store, the same call continues the sweep;
            without one, pass the result as ``extend=``.
        order : {"grid", "coarse"}, optional
            In which order blocks are evaluated: that of the grid, or first some that are spread
            over it, then those halfway between them, and so on, so that a partial result is a
            coarse map.
        shard : (int, int), optional
            With `store`: ``(i, n)`` computes the i-th of n parts, so that n processes, such as
            those of a job array, can share one store.
        resume : {True, False, "force"}, optional
            With `store`: whether to resume a store that exists. ``"force"`` resumes it even if the
            model has changed, which the store records.
        overwrite : bool, optional
            With `store`: whether to start over and replace an existing result. Anything that is
            not a gridax result is never replaced.
        retry_failed : bool, optional
            With `store`: whether to evaluate again the points at which the model failed before.
        verify : {"size", "full", "none"}, optional
            With `store`: how to verify blocks that were stored before. ``"size"`` finds truncated
            and missing files; ``"full"`` reads all data and finds every flipped bit. Damaged blocks
            are computed again.
        durability : {"process", "power"}, optional
            With `store`: what a finished block survives: the end of the process, however it ends,
            or also a power failure, which is slower.
        block : mapping of str to int, optional
            With a new `store`: number of points of a block along some dimensions; a block covers
            the others completely. A block is computed, written and recovered as a unit, and is one
            chunk of the files. The default is up to 32 MB or about ten seconds of work.
        version : str, optional
            With `store`: a name for this version of the model; models with the same name count as
            the same. By default, their traced programs and source code are compared.
        storage_options : mapping, optional
            With a URL as `store`: options that fsspec needs to open it.

        Returns
        -------
        Result
            A sequence of what the model returned and one labeled Dataset, which is lazy if it is in
            a store.

        Raises
        ------
        TypeError, ValueError
            If an option is not valid, the outputs cannot be stored, labels do not fit, or the store
            holds another sweep. Errors of the model keep their type and get the labels of the point
            as a note.
        FileExistsError
            If something that is not a gridax result exists at `store`; it is left untouched.
        BlockingIOError
            If another process is computing the same blocks of the store.
        OSError
            If the store cannot be written, for instance because the disk is full. What was written
            before is kept.

        Notes
        -----
        If the run is interrupted or fails, what was computed is kept: it is the attribute `result`
        of the exception and the attribute `partial` of the executor. Its Dataset has a variable
        `status`.
        """
        # Options has one field per keyword of this method.
        given = {name: value for name, value in locals().items() if name != "self"}
        self.partial = None
        before, last = self._last
        if last is not None and all(value is before[name] for name, value in given.items()):
            again = last.again()
            if again is not None:
                return again
        run = self._run(Options.checked(given, self.space.sizes))
        try:
            with noting_missing(self._job.points):
                result = run.result()
        except BaseException as error:
            self.partial = getattr(error, "result", None)
            raise
        if isinstance(run, InMemory) and run.can_be_repeated:
            self._last = given, run
        return result

    def plan(
        self,
        memory: int | str | None = None,
        lanes: bool | int = True,
        reduce: Mapping[Any, Any] | None = None,
        derivatives: str | Sequence[str] = (),
        measure: bool = False,
    ) -> Plan:
        """Return how the sweep will be divided, without running it.

        A JAX model is traced and compiled, which the next `run` does not repeat. A Python model is
        not called, unless `measure` is True or the plan depends on what it returns.

        Parameters
        ----------
        memory, lanes, reduce, derivatives : optional
            As in `run`.
        measure : bool, optional
            Whether to evaluate points that are spread over the grid, for several seconds, and to
            estimate from them how long the sweep will take: `Plan.seconds`. The outputs are not
            kept. The points of a cluster are timed in this process.

        Returns
        -------
        Plan
            Its repr shows the number of points, blocks and tiles, the time, and the memory that
            they need.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 20), "b": gx.GridAxis(0, 1, 5)}, "product")
        >>> gx.ParallelExecution(lambda s: s["a"] * s["b"], space, n_vmap=10, n_pmap=1).plan()
        <gridax.Plan>
        Points:  100 (a 20 × b 5)
        Outputs: 400 B
        Blocks:  1
        Tile:    100 points (a, b: 100), 10 at a time
        Tiles:   1 in a block
        Devices: 1, about ... on each at a time
        """
        given = {"memory": memory, "lanes": lanes, "reduce": reduce, "derivatives": derivatives}
        run = self._run(Options.checked(given, self.space.sizes))
        with noting_missing(self._job.points):
            return run.plan(measure)

    def _run(self, options: Options) -> Run:
        """Return a run, not begun; what its derivatives need is kept for the next one."""
        check_wraps(self._job.points)
        check_initial(self._job.points)
        names = checked_names(options.derivatives, self._job.points)
        needed = self._job, self._evaluator, self._assembler
        if names:
            if names not in self._deriving:
                job = dataclasses.replace(self._job, derivatives=names)
                self._deriving[names] = job, self._evaluator.deriving(job), Assembler(job)
            needed = self._deriving[names]
        kind = InMemory if options.store is None else InStore
        return kind(self.space, *needed, options)


def checked_job(
    executor: str,
    model: Callable[..., Any],
    space: Space,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Job:
    """Return the job of an executor.

    Raises
    ------
    TypeError
        If the model is not callable, the space is not a Space, an argument is an axis, or a
        keyword is one of `Execution.run` or of another executor.
    """
    if not callable(model):
        raise TypeError(
            f"the model must be callable, got {type(model).__name__}; it comes first, then the "
            f"space: {executor}(model, space)"
        )
    if not isinstance(space, Space):
        raise TypeError(
            f"space must be a gridax.Space, got {type(space).__name__}; create one with "
            "gridax.Space(state, mode='product')"
        )
    _check_keywords(executor, model, kwargs)
    for leaf in jax.tree.leaves((args, kwargs), is_leaf=lambda x: is_axis(x) or is_carried(x)):
        if is_axis(leaf) or is_carried(leaf):
            what = "axes" if is_axis(leaf) else "carried leaves"
            raise TypeError(
                f"{leaf!r} was passed as an argument of the model; {what} belong in the state"
            )
    # Every run has the values that the arguments have now, even if arrays are changed in place.
    return Job(model, points_of(space), owned(args), owned(kwargs))


# Keywords that some executors have, and which ones.
_OF_EXECUTORS = {
    "n_vmap": "ParallelExecution or DaskExecution",
    "n_pmap": "ParallelExecution",
    "n_workers": "SequentialExecution",
    "client": "DaskExecution",
    "jit": "DaskExecution",
}


def _check_keywords(executor: str, model: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
    """Reject a keyword of `run` or of another executor that the model does not take."""
    of_run = set(kwargs) & set(inspect.signature(Execution.run).parameters)
    of_others = set(kwargs) & set(_OF_EXECUTORS)
    if not of_run | of_others:
        return
    try:
        parameters = inspect.signature(model).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in sorted(of_run - set(parameters)):
        raise TypeError(
            f"{executor} got {name}=, which is an option of run(): keywords of an executor that "
            f"are not its own are passed to the model. Call {executor}(model, space).run({name}=…)"
        )
    for name in sorted(of_others - set(parameters)):
        raise TypeError(
            f"{executor} got {name}=, which is an option of {_OF_EXECUTORS[name]}: keywords of an "
            "executor that are not its own are passed to the model, which does not take it. Leave "
            "it out, or use that executor"
        )
