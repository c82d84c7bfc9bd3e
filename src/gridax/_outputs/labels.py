"""Names, dimensions and coordinates of the outputs, distinct from those of the space."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import native
from gridax._decimals import as_decimals
from gridax._outputs.derivatives import own_outputs
from gridax._outputs.template import Output, Template

# The variables of a Dataset that are no outputs: the state of each point, and messages.
STATES = ("status", "error")


def labeled(
    template: Template,
    taken: Collection[str],
    grid_dims: Collection[str],
    dims: Mapping[str, Any] | None,
) -> Template:
    """Return the template with final names and with names for all dimensions.

    An output with the name of a coordinate or dimension becomes ``result.<name>``.

    Raises
    ------
    TypeError, ValueError
        If `dims` is not a mapping, names an unknown output, has the wrong length, or uses the name
        of another dimension or coordinate; or if two outputs have the same name.
    """
    known = {output.name for output in own_outputs(template.outputs)}
    if not isinstance(dims, Mapping | None):
        raise TypeError(
            f"dims= must be a mapping from outputs to dimensions, such as {{{min(known)!r}: "
            f"('time',)}}; got {dims!r}"
        )
    for name in dims or {}:
        if name not in known:
            raise ValueError(f"dims= names an output {name!r}, but the outputs are {sorted(known)}")
    outputs = _distinct(template.outputs, taken, grid_dims, dims or {})
    sizes: dict[str, tuple[int, str]] = {}
    for output in outputs:
        for dim, size in zip(output.dims or (), output.shape, strict=True):
            first, other = sizes.setdefault(dim, (size, output.name))
            if first != size:
                raise ValueError(
                    f"the dimension {dim!r} has size {first} in output {other!r} and {size} in "
                    f"output {output.name!r}; rename one of them with dims="
                )
    return dataclasses.replace(template, outputs=outputs)


def _distinct(
    outputs: Sequence[Output],
    taken: Collection[str],
    grid_dims: Collection[str],
    dims: Mapping[str, Any],
) -> tuple[Output, ...]:
    """Return outputs whose names are neither those of other outputs nor of dimensions."""
    final = _named(outputs, taken, grid_dims, dims)
    # One at a time, since the default names of an output's dimensions change with its own name.
    while clash := _named_like_a_dimension(final):
        taken = {*taken, clash}
        final = _named(outputs, taken, grid_dims, dims)
    sources: dict[str, str] = {}
    for output, named in zip(outputs, final, strict=True):
        other = sources.setdefault(named.name, output.name)
        if other != output.name:
            renamed = output.name if output.name != named.name else other
            raise ValueError(
                f"the model returns two outputs named {named.name!r}: the name {renamed!r} is "
                f"already in use, so that output is stored as {named.name!r}; rename one of them"
            )
    return final


def _named_like_a_dimension(outputs: Sequence[Output]) -> str | None:
    """Return the name of the first output that is also the name of a dimension, or None."""
    own = {dim for output in outputs for dim in output.dims or ()}
    return next((output.name for output in outputs if output.name in own), None)


def _named(
    outputs: Sequence[Output],
    taken: Collection[str],
    grid_dims: Collection[str],
    dims: Mapping[str, Any],
) -> tuple[Output, ...]:
    """Return outputs with names that are not taken, and with names for their dimensions."""
    final: dict[str, Output] = {}
    for output in outputs:
        if output.of:  # which has the dimensions of its source
            source = final[output.of]
            name = source.name + output.name.removeprefix(output.of)
            if name in taken:
                raise ValueError(
                    f"the derivative {name!r} of output {output.of!r} has the name of a "
                    "coordinate or dimension; rename the output"
                )
            final[output.name] = dataclasses.replace(
                output, name=name, of=source.name, dims=source.dims
            )
        else:
            final[output.name] = _labeled(output, taken, grid_dims, dims.get(output.name))
    return tuple(final.values())


def _labeled(
    output: Output, taken: Collection[str], grid_dims: Collection[str], dims: Any
) -> Output:
    final = output.name
    if final in taken or final in _checks.RESERVED_NAMES:
        final = f"result.{final}"
    problem = _checks.unusable(final)
    if problem or final in taken:
        raise ValueError(
            f"output {output.name!r} cannot be stored under that name: "
            f"{problem or 'it is the name of a coordinate or dimension'}"
        )
    if dims is not None:
        if not isinstance(dims, str | Sequence):
            raise TypeError(
                f"dims= for output {output.name!r} must be a name or a sequence of names, got "
                f"{dims!r}"
            )
        dims = (dims,) if isinstance(dims, str) else tuple(dims)
        if len(dims) != len(output.shape):
            raise ValueError(
                f"dims= has {len(dims)} names for output {output.name!r}, {dims}, but its shape is "
                f"{output.shape}; pass one name per dimension"
            )
    elif output.dims is not None:
        dims = output.dims
    else:
        dims = tuple(f"{final}_dim_{i}" for i in range(len(output.shape)))
    for dim in dims:
        _checks.name(dim, f"output {output.name!r}")
        if dims.count(dim) > 1:
            raise ValueError(f"output {output.name!r} has the dimension {dim!r} twice: {dims}")
        if dim in grid_dims:
            raise ValueError(
                f"output {output.name!r} has a dimension {dim!r}, which is also a dimension of the "
                "space; rename it with dims= or in the model"
            )
    own = dict(zip(output.dims or dims, dims, strict=True))
    coords = {
        own.get(name, name): xr.Variable([own[d] for d in v.dims], v.values, v.attrs)
        for name, v in output.coords.items()
    }
    if len(coords) < len(output.coords):
        raise ValueError(
            f"dims= renames the coordinates of output {output.name!r} so that two have the same "
            f"name: {list(output.coords)} would be {[own.get(n, n) for n in output.coords]}"
        )
    return dataclasses.replace(output, name=final, dims=dims, coords=coords)


def coordinates(
    template: Template, given: Mapping[str, Any] | None, taken: Mapping[str, xr.Variable]
) -> dict[str, xr.Variable]:
    """Return the coordinates along the dimensions of the outputs, from the model and from `given`.

    Raises
    ------
    TypeError, ValueError
        If a coordinate has another dimension or size, the name of a different coordinate, or values
        that files cannot store.
    """
    if not isinstance(given, Mapping | None):
        raise TypeError(
            f"coords= must be a mapping from names to coordinates, such as {{'time': times}}; got "
            f"{given!r}"
        )
    sizes = {
        dim: size
        for output in template.outputs
        for dim, size in zip(output.dims or (), output.shape, strict=True)
    }
    _check_dims(template, taken)
    coords: dict[str, xr.Variable] = {}
    names = {output.name for output in template.outputs}
    claims = [
        (name, variable, f"output {output.name!r}")
        for output in template.outputs
        for name, variable in output.coords.items()
        # A number that is left of a dimension, such as the time of a last value, would hide it.
        if variable.dims or name not in sizes
    ]
    claims += [(name, _as_variable(name, c), "coords=") for name, c in (given or {}).items()]
    for name, variable, claimant in claims:
        variable = _storable(name, variable, claimant)
        _check_coordinate(name, variable, claimant, sizes, names)
        other = coords.get(name, taken.get(name))
        if other is not None and not other.equals(variable):
            do = (
                "rename one of them" if variable.dims else f"leave it out with .drop_vars({name!r})"
            )
            raise ValueError(
                f"{claimant}: the coordinate {name!r} has values that differ from those of another "
                f"coordinate of that name; {do}"
            )
        coords.setdefault(name, variable)
    return {name: variable for name, variable in coords.items() if name not in taken}


def without_states(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the outputs in the Dataset of a result, without what it says about its points."""
    return {str(name): v for name, v in dataset.data_vars.items() if name not in STATES}


def own_coordinates(dataset: xr.Dataset, template: Template) -> dict[str, xr.Variable]:
    """Return the coordinates of the Dataset of a result along the dimensions of its outputs."""
    own = {dim for output in template.outputs for dim in output.dims or ()}
    return {
        str(name): coord.variable
        for name, coord in dataset.coords.items()
        if coord.dims and set(coord.dims) <= own
    }


def _check_dims(template: Template, taken: Mapping[str, xr.Variable]) -> None:
    """Reject dimensions that xarray would reject next to `taken`, but only after the run."""
    lengths = {dim: (n, name) for name, v in taken.items() for dim, n in v.sizes.items()}
    for output in template.outputs:
        for dim, size in zip(output.dims or (), output.shape, strict=True):
            if dim in taken and taken[dim].dims != (dim,):
                raise ValueError(
                    f"output {output.name!r} has a dimension {dim!r}, but the space has a "
                    "coordinate of that name; rename the dimension with dims= or in the model"
                )
            length, name = lengths.get(dim, (size, ""))
            if length != size:
                raise ValueError(
                    f"the dimension {dim!r} has size {size} in output {output.name!r} and {length} "
                    f"in the coordinate {name!r}; rename one of them"
                )


def _as_variable(name: str, coord: Any) -> xr.Variable:
    """Return a coordinate given as values, ``(dims, values[, attrs])``, or an xarray object.

    As with axes, plain numbers get the labels that a person would type, and those of an xarray
    object are kept bit for bit, so that they align with the data that they came from.
    """
    if isinstance(coord, xr.DataArray):
        coord = coord.variable
    if isinstance(coord, xr.Variable):
        return coord
    try:
        if not isinstance(coord, tuple):
            coord = ((name,) if np.ndim(coord) else (), coord)
        dims, values, *attrs = coord
        variable = xr.Variable(dims, native(np.asarray(values)), *attrs)
    except (TypeError, ValueError) as error:
        raise ValueError(f"coords= for {name!r}: {error}") from None
    if variable.dtype.kind == "f" and variable.ndim == 1:
        variable = variable.copy(data=as_decimals(variable.values))
    return variable


def _storable(name: str, variable: xr.Variable, claimant: str) -> xr.Variable:
    """Return a coordinate as files can store it."""
    values = native(np.asarray(variable.values))
    if values.dtype.kind in "OT" and all(isinstance(value, str) for value in values.flat):
        values = values.astype(str)
    if values.dtype.kind not in "bcfiuMmU":
        kind, do = f"the dtype {values.dtype}", "convert it to numbers, strings or dates"
        if values.size and isinstance(values.flat[0], tuple):
            kind, do = "a MultiIndex", f"return the output after .reset_index({name!r})"
        raise TypeError(
            f"{claimant}: the coordinate {name!r} has {kind}, which files cannot store; {do}"
        )
    return xr.Variable(variable.dims, values, variable.attrs)


def _check_coordinate(
    name: str,
    variable: xr.Variable,
    claimant: str,
    sizes: Mapping[str, int],
    outputs: Collection[str],
) -> None:
    _checks.name(name, claimant)
    _checks.attributes(variable.attrs, f"{claimant}, coordinate {name!r}")
    if name in outputs:
        raise ValueError(
            f"{claimant}: {name!r} is the name of a coordinate and of an output; rename one of them"
        )
    if not variable.dims and name in sizes:
        raise ValueError(
            f"{claimant}: {name!r} is a dimension of the outputs, so its coordinate needs "
            f"{sizes[name]} values, got the number {variable.values.item()}"
        )
    for dim, size in variable.sizes.items():
        if dim not in sizes:
            raise ValueError(
                f"{claimant}: the coordinate {name!r} is along {dim!r}, but the dimensions of the "
                f"outputs are {list(sizes)}; rename them with dims="
            )
        if size != sizes[str(dim)]:
            raise ValueError(
                f"{claimant}: the coordinate {name!r} has {size} values along {dim!r}, but the "
                f"outputs have {sizes[str(dim)]}; pass one value per position"
            )
