"""The labeled Dataset of a run, from its outputs."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._files import describe
from gridax._grid.index import attach_all
from gridax._outputs.labels import coordinates, labeled
from gridax._outputs.template import Template
from gridax._run import fingerprints
from gridax._run.fingerprints import Parts
from gridax._stores.base import FLAGS
from gridax._stores.memory import MemoryStore
from gridax.space import Space


class Assembly:
    """Labels of all outputs of a model over a space, which any number of runs share.

    Parameters
    ----------
    model, space : what is run, over what.
    raw : the template as the model returns it.
    dims, coords : names and coordinates of the outputs' own dimensions, as `run` takes them.
    about : returns the fingerprints of what is run.

    Raises
    ------
    TypeError, ValueError
        If labels do not fit.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        space: Space,
        raw: Template,
        dims: Mapping[str, Any] | None,
        coords: Mapping[str, Any] | None,
        about: Callable[[], Parts],
    ) -> None:
        self._model, self.space, self._about = model, space, about
        self.raw = raw
        taken = space.dataset
        names = {*map(str, taken.variables), *map(str, taken.sizes)}
        self.template = labeled(raw, names, space.dims, dims)
        known = {str(name): taken.variables[name] for name in taken.coords}
        self._coords = coordinates(self.template, coords, known)

    @functools.cached_property
    def fingerprints(self) -> dict[str, list[str]]:
        """Fingerprints of the outputs."""
        return fingerprints.of_template(self.template, self._coords)

    def dataset(self, store: MemoryStore, run: Mapping[str, Any]) -> xr.Dataset:
        """Return the outputs with all labels, and the state of each point if not all are done.

        Parameters
        ----------
        store : outputs over the grid.
        run : the stamp of the run.
        """
        names = [output.name for output in self.template.outputs]
        found = self._empty.copy(data=dict(zip(names, store.arrays, strict=True)))
        if not store.is_complete:
            found["status"] = (self.space.dims, store.status, FLAGS)
        if store.errors:
            messages = np.full(self.space.shape, "", dtype=object)
            for index, text in store.errors.items():
                messages[index] = text
            found["error"] = (self.space.dims, messages)
        return found.assign_attrs(_stamped(run))

    def skeleton(self, about: Parts) -> xr.Dataset:
        """Return the Dataset of a store that holds nothing yet; its data are dask's, and zeros.

        Parameters
        ----------
        about : fingerprints of what is run.
        """
        import dask.array as da  # takes time

        def zeros(shape: tuple[int, ...], dtype: Any) -> Any:
            return da.zeros(shape, dtype=dtype, chunks=-1)

        grid = self.space.shape
        outputs = {o.name: zeros((*grid, *o.shape), o.dtype) for o in self.template.outputs}
        found = self._empty.copy(data=outputs)
        found["status"] = (self.space.dims, zeros(grid, np.uint8), FLAGS)
        found["error"] = (self.space.dims, zeros(grid, np.dtypes.StringDType()))
        described = {fingerprints.ATTRIBUTE: json.dumps(about)}
        return found.assign_attrs(_stamped(describe.stamp()), **described)

    @functools.cached_property
    def _empty(self) -> xr.Dataset:
        """The Dataset with arrays that take no memory; making its indexes takes the most time."""
        variables = {}
        for output in self.template.outputs:
            attrs = dict(output.attrs)
            if output.impl is not None:
                attrs["prng_impl"] = output.impl
            nothing = np.broadcast_to(np.zeros((), output.dtype), self.space.shape + output.shape)
            dims = (*self.space.dims, *(output.dims or ()))
            variables[output.name] = xr.Variable(dims, nothing, attrs)
        own = xr.Coordinates(self._coords, indexes={})
        dataset = attach_all(self.space.dataset.assign_coords(own).assign(variables), {})
        described = {**self._about(), "template": self.fingerprints}
        return dataset.assign_attrs(
            describe.attributes(self.space, self.template, self._model),
            **{fingerprints.ATTRIBUTE: json.dumps(described)},
        )


def _stamped(run: Mapping[str, Any]) -> dict[str, Any]:
    return {**run, "created": run["created"].isoformat(timespec="seconds")}
