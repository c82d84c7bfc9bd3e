"""Cells that an older reduced result has in common with a new space.

What the result has of the points along a divided dimension is one number; it takes the place of the
first of their parts, and the other parts have no points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gridax._files.merge import Summary
from gridax._grid.points import Points
from gridax._plan.cells import Cells
from gridax._reduce.outputs import ReducedOutputs
from gridax._run.extension import Extension
from gridax._stores.base import DONE
from gridax._stores.memory import MemoryStore


class ReducedExtension:
    """The variables of an older reduced result at points of a space.

    Parameters
    ----------
    extension : the result, compared with the space.
    summary : how it was reduced.
    new : the points that are run now.
    parts : what there is of each cell if the result is that of a run that was not finished, since
        parts that are merged cannot be told apart.

    Attributes
    ----------
    parts : as given, if the points are the same.

    Raises
    ------
    ValueError
        If the result has points that the space does not have.
    """

    def __init__(
        self,
        extension: Extension,
        summary: Summary,
        new: Points,
        parts: MemoryStore | None = None,
    ) -> None:
        self._extension, self.summary, self._new = extension, summary, new
        self.known: dict[int, tuple[int, ...]] = {}
        old = extension.old
        for number, dim in enumerate(new.dims):
            home, rows = extension.rows[dim]
            if home is None or home in summary.kept:
                continue
            # Of points that are repeated now, the result has only as many as were repeated before.
            olds, found = np.unique(rows, return_index=True)
            found = np.sort(found[olds >= 0])
            if len(found) < old.sizes[home]:
                raise ValueError(
                    f"extend=: the result was reduced along {home!r} over labels that this space "
                    "lacks, and they cannot be taken out again; keep all of them"
                )
            self.known[number] = tuple(found.tolist())
        lost = set(old.dims) - set(summary.kept) - {extension.rows[dim][0] for dim in new.dims}
        if lost:
            raise ValueError(
                f"extend=: the result was reduced along {sorted(lost)}, which this space does not "
                "have as dimensions"
            )

        same = all(
            extension.rows[dim][0] == dim
            and np.array_equal(extension.rows[dim][1], np.arange(size))
            for dim, size in old.sizes.items()
            if dim in new.sizes
        )
        self.parts = parts if same and [*old.sizes.items()] == [*new.sizes.items()] else None

    def check_cells(self, cells: Cells) -> None:
        """Reject cells that were made for another older result, as those of a store may be."""
        for cut in cells.cuts:
            first = tuple(range(cut.n_known)) if cut.order is None else cut.order[: cut.n_known]
            known = self.known.get(cut.dim, ())
            if len(known) < cut.size and known != first:
                raise ValueError(
                    "extend=: the store was begun without this result, or with one of other "
                    "points; leave extend= out, or give another store="
                )

    def fill(self, reduced: ReducedOutputs, buffer: MemoryStore) -> None:
        """Copy what is known of a block of cells, where no point failed."""
        cells = reduced.cells
        if self.parts is not None and cells == self.summary.cells:
            done = self.parts.states(buffer.box) == DONE
            parts = self.parts.outputs_at(buffer.box, range(len(buffer.arrays)))
            for array, part in zip(buffer.arrays, parts, strict=True):
                array[done] = part[done]
            buffer.status[done] = DONE
            return
        known = self._known_cells(cells, buffer)
        if not all(place.size for place, _ in known):
            return
        mesh = np.ix_(*(place for place, _ in known))
        has_points = np.array(True)
        for _, flags in known:
            has_points = np.logical_and.outer(has_points, flags)
        done = np.broadcast_to(True, has_points.shape)
        values = self._values(cells, buffer, [place for place, _ in known])
        if "status" in self._extension.dataset:
            done = done & (values("status") == DONE)
        *empty, _ = reduced.nothing(buffer.box, buffer.shape, (...,))
        *outputs, _ = reduced.stored  # the last one counts points that failed
        buffer.arrays[-1][mesh] = np.where(done, 0, buffer.arrays[-1][mesh])
        for i, (output, none) in enumerate(zip(outputs, empty, strict=True)):
            own = (1,) * len(output.shape)
            there = has_points.reshape(has_points.shape + own)
            there = np.where(there, values(output.name), none[mesh])
            good = done.reshape(done.shape + own)
            buffer.arrays[i][mesh] = np.where(good, there, buffer.arrays[i][mesh])
        buffer.status[mesh] = np.where(done, DONE, buffer.status[mesh])

    def _known_cells(
        self, cells: Cells, buffer: MemoryStore
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return, along each dimension of a block, the known positions, and which have points."""
        known = []
        for number, (start, stop) in zip(cells.grid, buffer.box, strict=True):
            if number in cells.by_dim:
                place = np.arange(min(stop, cells.by_dim[number].n_known_parts) - start)
                known.append((place, place + start == 0))
            else:
                _, rows = self._extension.rows[self._new.dims[number]]
                place = np.flatnonzero(rows[start:stop] >= 0)
                known.append((place, np.ones(len(place), bool)))
        return known

    def _values(
        self, cells: Cells, buffer: MemoryStore, places: list[np.ndarray]
    ) -> Callable[[str], np.ndarray]:
        """Return a function that returns a variable of the result at the known cells of a block.

        It has the dimensions of the grid of cells, of size 1 where it does not vary, then its own.
        """
        picked: dict[str, Any] = dict(self._extension.fixed)
        homes: list[str | None] = []
        for number, place, side in zip(cells.grid, places, buffer.box, strict=True):
            home, rows = self._extension.rows[self._new.dims[number]]
            homes.append(None if number in cells.by_dim else home)
            if homes[-1] is not None:
                picked[homes[-1]] = rows[slice(*side)][place]
        inner = []  # dimensions that only some variables are reduced along
        for number in set(cells.reduced) - set(cells.grid):
            home, rows = self._extension.rows[self._new.dims[number]]
            if home in self.summary.kept:
                picked[str(home)] = rows
                inner.append(str(home))

        def values(name: str) -> np.ndarray:
            if name == "status":  # the same along these
                return self._extension.taken(name, picked | dict.fromkeys(inner, 0), homes)
            own = self._extension.dataset.variables[name].dims
            within = [d for d in self.summary.kept if d in inner and d in own]
            return self._extension.taken(name, picked, [*homes, *within])

        return values
