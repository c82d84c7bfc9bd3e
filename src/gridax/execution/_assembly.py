"""The labeled Dataset of a run, from its outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax import _output_labels, provenance
from gridax._index import attach_all
from gridax._template import Template
from gridax.space import Space


class Assembly:
    """Labels of all outputs of a model over a space, which any number of runs share.

    Parameters
    ----------
    model, space : what is run, over what.
    raw : the template as the model returns it.
    dims, coords : names and coordinates of the outputs' own dimensions, as `run` takes them.

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
    ) -> None:
        self._model, self._space = model, space
        self.raw = raw
        taken = space.dataset
        names = {*map(str, taken.variables), *map(str, taken.sizes)}
        self.template = _output_labels.labeled(raw, names, space.dims, dims)
        known = {str(name): taken.variables[name] for name in taken.coords}
        self._coords = _output_labels.coordinates(self.template, coords, known)

    def dataset(
        self, arrays: Sequence[np.ndarray], status: np.ndarray | None, run: Mapping[str, Any]
    ) -> xr.Dataset:
        """Return the outputs with all labels.

        Parameters
        ----------
        arrays : outputs over the grid.
        status : that of every point, of a run that did not end.
        run : the stamp of the run.
        """
        names = [output.name for output in self.template.outputs]
        found = self._empty.copy(data=dict(zip(names, arrays, strict=True)))
        if status is not None:
            flags = {"flag_values": [0, 1, 2], "flag_meanings": "pending done failed"}
            found["status"] = (self._space.dims, status, flags)
        found.attrs.update(run, created=run["created"].isoformat(timespec="seconds"))
        return found

    @functools.cached_property
    def _empty(self) -> xr.Dataset:
        """The Dataset with arrays that take no memory; making its indexes takes the most time."""
        variables = {}
        for output in self.template.outputs:
            attrs = dict(output.attrs)
            if output.impl is not None:
                attrs["prng_impl"] = output.impl
            nothing = np.broadcast_to(np.zeros((), output.dtype), self._space.shape + output.shape)
            dims = (*self._space.dims, *(output.dims or ()))
            variables[output.name] = xr.Variable(dims, nothing, attrs)
        own = xr.Coordinates(self._coords, indexes={})
        dataset = attach_all(self._space.dataset.assign_coords(own).assign(variables), {})
        about = provenance.attributes(self._space, self.template, self._model)
        return dataset.assign_attrs(about)
