"""Cells that an older reduced result has in common with a new space.

What the result has of the points along a divided dimension is one number; it takes the place of the
first of their parts, and the other parts have no points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._files.merge import Summary
from gridax._grid.points import Points
from gridax._outputs.template import Template
from gridax._plan.cells import Cells
from gridax._reduce.outputs import ReducedOutputs
from gridax._reduce.variables import FAILED
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

    Raises
    ------
    ValueError
        If the result has points that the space does not have.
    """

    def __init__(self, extension: Extension, summary: Summary, new: Points) -> None:
        self._extension, self.summary, self._new = extension, summary, new
        self.known: dict[int, tuple[int, ...]] = {}
        old = extension.old
        for number, dim in enumerate(new.dims):
            home, rows = extension.rows(dim)
            if home is None or home in summary.kept:
                continue
            found = np.flatnonzero(rows >= 0)
            if len(np.unique(rows[found])) < old.sizes[home]:
                raise ValueError(
                    f"extend=: the result was reduced along {home!r} over labels that this space "
                    "lacks, and they cannot be taken out again; keep all of them"
                )
            self.known[number] = tuple(found.tolist())
        lost = set(old.dims) - set(summary.kept) - {extension.rows(dim)[0] for dim in new.dims}
        if lost:
            raise ValueError(
                f"extend=: the result was reduced along {sorted(lost)}, which this space does not "
                "have as dimensions"
            )

    @property
    def template(self) -> Template:
        """The structure of the older result."""
        return self._extension.template

    @property
    def coords(self) -> dict[str, xr.Variable]:
        """Coordinates of the variables' own dimensions."""
        return self._extension.coords

    def check_outputs(self, outputs: Mapping[str, list[str]]) -> None:
        """Reject variables with other fingerprints."""
        self._extension.check_outputs(outputs)

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
        picked: dict[str, Any] = dict(self._extension.fixed)
        places: list[np.ndarray] = []
        homes: list[str | None] = []
        first: list[np.ndarray] = []
        for number, (start, stop) in zip(cells.grid, buffer.box, strict=True):
            if number in cells.by_dim:
                n_known = cells.by_dim[number].n_known_parts
                place = np.arange(start, min(stop, n_known)) - start
                first.append(place + start == 0)
            else:
                home, rows = self._extension.rows(self._new.dims[number])
                place = np.flatnonzero(rows[start:stop] >= 0)
                first.append(np.ones(len(place), bool))
                if home is not None:
                    picked[home] = rows[start:stop][place]
                homes.append(home)
            if not place.size:
                return
            places.append(place)
        for number in cells.reduced:
            dim = self._new.dims[number]
            if number not in cells.by_dim and dim in self.summary.kept:
                home, rows = self._extension.rows(dim)
                picked[str(home)] = rows
        mesh = np.ix_(*places)
        has_points = np.array(True)
        for flags in first:
            has_points = np.logical_and.outer(has_points, flags)
        splits = tuple(k for k, number in enumerate(cells.grid) if number in cells.by_dim)
        done = np.broadcast_to(True, has_points.shape)
        if "status" in self._extension.dataset:
            done = done & (self._values("status", picked, homes, splits, 0) == DONE)
        empty = reduced.nothing(buffer.box, buffer.shape, (...,))
        for i, output in enumerate(reduced.stored):
            none = np.zeros_like(empty[i]) if output.name == FAILED else empty[i]
            there = none[mesh]
            if output.name != FAILED:
                values = self._values(output.name, picked, homes, splits, len(output.shape))
                wide = has_points.reshape(has_points.shape + (1,) * len(output.shape))
                there = np.where(wide, values, there)
            good = np.broadcast_to(done.reshape(done.shape + (1,) * len(output.shape)), there.shape)
            into = buffer.arrays[i][mesh]
            buffer.arrays[i][mesh] = np.where(good, there, into)
        buffer.status[mesh] = np.where(done, DONE, buffer.status[mesh])

    def _values(
        self,
        name: str,
        picked: Mapping[str, Any],
        homes: list[str | None],
        splits: tuple[int, ...],
        n_own: int,
    ) -> np.ndarray:
        """Return a variable at some old indices, over the grid of cells and its own dimensions."""
        variable = self._extension.dataset.variables[name]
        variable = variable.isel({k: v for k, v in picked.items() if k in variable.dims})
        order = [home for home in homes if home is not None]
        within = [dim for dim in self.summary.kept if dim in variable.dims and dim not in order]
        if name == "status":
            variable = variable.isel(dict.fromkeys(within, 0))
            within = []
        values = variable.transpose(*order, *within, ...).values
        missing = tuple(i for i, home in enumerate(homes) if home is None)
        return np.expand_dims(np.expand_dims(values, missing), splits)
