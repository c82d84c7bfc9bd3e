"""The run loop that every executor shares."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gridax import _memory, provenance
from gridax._plan import Region
from gridax._template import Template
from gridax.execution._assembly import Assembly
from gridax.execution._progress import Meter, Progress
from gridax.result import Result
from gridax.space import Space, is_axis
from gridax.stores.memory import MemoryStore

# Where the points of a tile lie, and their outputs.
Evaluated = tuple[Region, Sequence[np.ndarray]]


class Execution(abc.ABC):
    """A model and the space to run it over. Abstract: `_start`.

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
        for leaf in jax.tree.leaves((args, kwargs), is_leaf=is_axis):
            if is_axis(leaf):
                raise TypeError(
                    f"{leaf!r} was passed as an argument of the model; axes belong into the state"
                )
        self.model, self.space, self.args, self.kwargs = model, space, args, kwargs
        self.partial: Result | None = None
        self._known_assembly: Assembly | None = None

    @abc.abstractmethod
    def _start(self, memory: int | None) -> tuple[Template, Callable[[], Iterator[Evaluated]]]:
        """Return what the model returns, and a function that evaluates all tiles.

        `memory` are the most bytes that a device may need.
        """

    def run(
        self,
        *,
        progress: Progress = True,
        dims: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        memory: int | str | None = None,
    ) -> Result:
        """Evaluate the model at every point.

        Parameters
        ----------
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

        Returns
        -------
        Result
            Sequence of the model's results and one labeled Dataset.

        Raises
        ------
        TypeError, ValueError
            If the model returns what cannot be stored, or labels do not fit. Errors of the model
            itself keep their type and carry the point's labels as a note.

        Notes
        -----
        If the run is interrupted or fails, what was computed is kept: the exception has it as the
        attribute `result`, the executor as `partial`. Its Dataset has a variable `status`.
        """
        self.partial = None
        bound = None if memory is None else _memory.parsed(memory)
        with Meter(progress, self.space.N, _title(self.model)) as meter:
            raw, tiles = self._start(bound)
            assembly = self._assembly(raw, dims, coords)
            store = MemoryStore(self.space.shape, assembly.template.outputs)
            try:
                for region, values in tiles():
                    meter.add(store.write(region, values))
            except BaseException as error:
                if store.n_done:
                    store.erase_pending()
                    self.partial = self._result(assembly, store, store.status)
                    error.result = self.partial  # type: ignore[attr-defined]
                    error.add_note(
                        f"{store.n_done} of {self.space.N} points were computed and are kept: see "
                        "the attribute `partial` of the executor"
                    )
                raise
        return self._result(assembly, store, None)

    def _assembly(
        self, raw: Template, dims: Mapping[str, Any] | None, coords: Mapping[str, Any] | None
    ) -> Assembly:
        """Return the labels; those of the run before if it was given none either."""
        known = self._known_assembly
        as_is = dims is None and coords is None
        if known is None or known.raw is not raw or not as_is:
            known = Assembly(self.model, self.space, raw, dims, coords)
            self._known_assembly = known if as_is else None
        return known

    def _result(self, assembly: Assembly, store: MemoryStore, status: np.ndarray | None) -> Result:
        # Made when it is asked for: a small sweep takes less time than its labels.
        made = functools.partial(assembly.dataset, store.arrays, status, provenance.stamp())
        return Result(made, self.space, assembly.template, store.arrays)


def _title(model: Callable[..., Any]) -> str:
    return getattr(model, "__name__", type(model).__name__)


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
