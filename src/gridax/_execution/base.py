"""The run loop that every executor shares."""

from __future__ import annotations

import abc
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np

from gridax import _memory
from gridax._outputs.template import Template
from gridax._plan.blocks import Wish
from gridax._pytree import owned
from gridax._run import fingerprints
from gridax._run.assembly import Assembly
from gridax._run.options import OnError, Resume, checked, choice
from gridax._run.order import Evaluated, Order
from gridax._run.progress import Progress
from gridax._run.run import Run
from gridax.result import Result
from gridax.space import Space, is_axis


class Execution(abc.ABC):
    """A model and the space to run it over. Abstract: how it is evaluated.

    Attributes
    ----------
    model, space, args, kwargs : as given; the model is called as ``model(state, *args, **kwargs)``.
    partial : Result or None
        What the last run had computed when it was interrupted or failed.
    """

    def __init__(
        self, model: Callable[..., Any], space: Space, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not callable(model):
            raise TypeError(
                f"the model must be callable, got {type(model).__name__}; it comes first, then the "
                f"space: {type(self).__name__}(model, space)"
            )
        if not isinstance(space, Space):
            raise TypeError(
                f"space must be a gridax.Space, got {type(space).__name__}; make one with "
                "gridax.Space(state, mode='product')"
            )
        _check_keywords(type(self).__name__, model, kwargs)
        for leaf in jax.tree.leaves((args, kwargs), is_leaf=is_axis):
            if is_axis(leaf):
                raise TypeError(
                    f"{leaf!r} was passed as an argument of the model; axes belong into the state"
                )
        self.model, self.space = model, space
        # Every run has the values of now, even if arrays are written to afterwards.
        self.args, self.kwargs = owned(args), owned(kwargs)
        self.partial: Result | None = None
        self._known_assembly: Assembly | None = None

    @abc.abstractmethod
    def _template(self, known: Template | None, record: bool) -> Template | None:
        """Return what the model returns, or None if that shows when it is evaluated.

        `known` is what it has returned in a run before, if any; `record` is as in `Order`.
        """

    @abc.abstractmethod
    def _evaluate(self, order: Order) -> Iterator[Evaluated]:
        """Evaluate the model, and yield the outputs as they are computed."""

    @abc.abstractmethod
    def _wish(self, memory: int | None) -> Wish:
        """Return which blocks would suit the sweep."""

    @abc.abstractmethod
    def _program(self) -> str | None:
        """Return a fingerprint of the traced model, or None if it is never traced."""

    @property
    def title(self) -> str:
        """Name of the model, as progress bars and dashboards show it."""
        return getattr(self.model, "__name__", type(self.model).__name__)

    def _n_workers(self) -> int:
        """Return how many processes work at the same time."""
        return 1

    def run(
        self,
        *,
        store: str | os.PathLike[str] | None = None,
        progress: Progress = True,
        dims: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        memory: int | str | None = None,
        on_error: OnError = "raise",
        extend: Result | str | os.PathLike[str] | None = None,
        shard: tuple[int, int] | None = None,
        resume: Resume = True,
        overwrite: bool = False,
        retry_failed: bool = False,
        verify: Literal["none", "size", "full"] = "size",
        durability: Literal["process", "power"] = "process",
        block: Mapping[str, int] | None = None,
        version: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Result:
        """Evaluate the model at every point.

        Parameters
        ----------
        store : path or URL, optional
            A Zarr store to which outputs are streamed while the sweep runs, such as
            ``"sweep.zarr"`` or ``"s3://bucket/sweep.zarr"``. If it is there already, what it holds
            is not computed again: calling `run` once more is how an interrupted sweep goes on.
            Without one, the outputs stay in memory.
        progress : bool or callable, optional
            Whether to show a progress bar, or a function called with the numbers of points done
            and in total.
        dims : mapping of str to sequence of str, optional
            Names of an output's own dimensions, by output. Otherwise those of the xarray objects
            that the model returns, or ``<output>_dim_0`` and so on.
        coords : mapping, optional
            Coordinates of those dimensions: values, ``(dims, values)``, ``(dims, values, attrs)``
            or a DataArray, by name.
        memory : int or str, optional
            Most bytes, such as ``"4 GB"``, that the sweep may need on each device at a time, beside
            its results. By default most of what is free there. One point at a time needs what it
            needs, so `SequentialExecution` does not look at it.
        on_error : {"raise", "record"}, optional
            What happens where the model raises an error: the run ends with it, or the outputs of
            that point stay NaN, its ``status`` is 2, and the message is kept (`Result.failed`).
        extend : Result or path, optional
            A result that holds some of the points. They are copied, and only the others computed:
            new labels on a dimension, more trials, or a new dimension one of whose labels is the
            value that was fixed before. Points are matched by their labels, and by where axes
            stand in the state.
        shard : (int, int), optional
            With `store`: ``(i, n)`` computes the i-th of n parts, so that n processes share one
            store, such as a job array does.
        resume : {True, False, "force"}, optional
            With `store`: whether to go on with what is there; ``"force"`` even if the model has
            changed since, which is noted in the store.
        overwrite : bool, optional
            With `store`: whether to begin anew and replace a result that is there. Nothing else
            is ever replaced.
        retry_failed : bool, optional
            With `store`: whether points at which the model failed before are tried again.
        verify : {"size", "full", "none"}, optional
            With `store`: how blocks from before are checked. ``"size"`` finds truncated and missing
            files, ``"full"`` reads all data and finds every flipped bit. What is damaged is
            computed again.
        durability : {"process", "power"}, optional
            With `store`: what a finished block survives: the end of the process in any way, or a
            power cut too, which is slower.
        block : mapping of str to int, optional
            With a new `store`: points of a block along some dimensions, and all along the others.
            A block is computed, written and recovered as a unit, and is a chunk of the files. By
            default up to 32 MB or about ten seconds.
        version : str, optional
            With `store`: the name of this version of the model, which tells whether a store goes
            on with the same model. By default its traced program and its source do.
        storage_options : mapping, optional
            With a URL as `store`: what fsspec needs to open it.

        Returns
        -------
        Result
            Sequence of the model's results and one labeled Dataset; lazy if it lies in a store.

        Raises
        ------
        TypeError, ValueError
            If the model returns what cannot be stored, labels do not fit, or the store holds
            another sweep. Errors of the model itself keep their type and carry the point's labels
            as a note.
        FileExistsError
            If something that is no result stands at `store`; it is left as it is.
        BlockingIOError
            If another process computes the same blocks of the store.
        OSError
            If the store cannot be written, as on a full disk. What was written before is kept.

        Notes
        -----
        If the run is interrupted or fails, what was computed is kept: the exception has it as the
        attribute `result`, the executor as `partial`. Its Dataset has a variable `status`.
        """
        self.partial = None
        bound = None if memory is None else _memory.parsed(memory)
        choice("on_error", on_error)
        options = checked(
            {
                "shard": shard,
                "resume": resume,
                "overwrite": overwrite,
                "retry_failed": retry_failed,
                "verify": verify,
                "durability": durability,
                "block": block,
                "version": version,
                "storage_options": storage_options,
            },
            store is not None,
            extend is not None,
            self.space.sizes,
        )
        run = Run(self, options, bound, on_error == "record", extend, dims, coords, progress)
        return run.in_memory() if store is None else run.kept(store)

    def _about(self) -> dict[str, Any]:
        """Return the fingerprints of the space, of all that is fixed, and of the source."""
        parts = fingerprints.of_space(self.space, self.args, self.kwargs)
        model = fingerprints.of_model(self.model, self.space, self.args, self.kwargs)
        return {**parts, "model": model}

    def _assembly(
        self, raw: Template, dims: Mapping[str, Any] | None, coords: Mapping[str, Any] | None
    ) -> Assembly:
        """Return the labels; those of the run before if it was given none either."""
        known = self._known_assembly
        as_is = dims is None and coords is None
        if known is None or known.raw is not raw or not as_is:
            known = Assembly(self.model, self.space, raw, dims, coords, self._about)
            self._known_assembly = known if as_is else None
        return known


def _check_keywords(executor: str, model: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse a keyword of `run` that the model does not take."""
    meant = set(kwargs) & set(inspect.signature(Execution.run).parameters)
    if not meant:
        return
    try:
        named = inspect.signature(model).parameters
    except (TypeError, ValueError):  # of some builtins
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in named.values()):
        return
    for name in sorted(meant - set(named)):
        raise TypeError(
            f"{executor} got {name}=, which belongs to run(): all keywords of an executor that are "
            f"not its own go to the model. Call {executor}(model, space).run({name}=…)"
        )


class at_point:
    """Note on any error in the block at which labels, or within which ranges of them, it arose.

    ``where(*args)``, called only then, gives the index or indices along each dimension.
    """

    def __init__(self, space: Space, where: Callable[..., Sequence[Any]], *args: Any) -> None:
        self._space, self._where, self._args = space, where, args

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if not isinstance(error, Exception):
            return
        indices = self._where(*self._args)
        place = {dim: np.atleast_1d(i) for dim, i in zip(self._space.dims, indices, strict=True)}
        parts = []
        for column in self._space.grid.columns:
            rows = column.rows if column.dim is None else column.take(place[column.dim])
            labels = [label.item() for label in column.table.labels[np.atleast_1d(rows)]]
            several = f"…{labels[-1]!r}" if len(set(labels)) > 1 else ""
            parts.append(f"{column.name}={labels[0]!r}{several}")
        error.add_note(f"while the model was evaluated at {', '.join(parts)}")
