"""The outputs of a model that returns derivatives, too: their names, units and labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from gridax._outputs.template import Output, Template
from gridax._units import are_dimensionless


def has_derivatives(output: Output) -> bool:
    """Whether an output has derivatives: it is of floats or complex numbers, but is none itself."""
    is_inexact = jnp.issubdtype(output.dtype, jnp.inexact)
    return bool(is_inexact) and output.impl is None and not output.of


def with_derivatives(template: Template, axes: Mapping[str, Mapping[str, Any]]) -> Template:
    """Return a template with the derivatives of each output after the outputs of the model.

    Parameters
    ----------
    template : what the model returns.
    axes : attributes of the axes, by name.

    Raises
    ------
    ValueError
        If the model returns nothing that has derivatives, or an output with the name of one.
    """
    sources = [output for output in template.outputs if has_derivatives(output)]
    if not sources:
        kinds = ", ".join(f"{o.name!r} of {o.dtype}" for o in template.outputs)
        raise ValueError(
            f"derivatives= needs an output of floats, but the model returns {kinds}; leave out "
            "derivatives="
        )
    new = [_derivative(output, axis, attrs) for output in sources for axis, attrs in axes.items()]
    for taken in {o.name for o in template.outputs} & {o.name for o in new}:
        raise ValueError(
            f"the model returns an output {taken!r}, which is the name of a derivative; rename it"
        )
    return dataclasses.replace(template, outputs=(*template.outputs, *new))


def _derivative(output: Output, axis: str, about: Mapping[str, Any]) -> Output:
    attrs = {"long_name": f"d {output.name} / d {axis}"}
    units = ratio(output.attrs.get("units"), about.get("units"))
    if units is not None:
        attrs["units"] = units
    return dataclasses.replace(output, name=f"{output.name}.d_{axis}", attrs=attrs, of=output.name)


def ratio(above: Any, below: Any) -> str | None:
    """Return the units of a quotient; None unless both are known.

    Examples
    --------
    >>> ratio("Hz", "mV"), ratio("mV", "mV"), ratio("m s-1", "1"), ratio("", "m s-1")
    ('Hz mV-1', '1', 'm s-1', '(m s-1)-1')
    """
    if not isinstance(above, str) or not isinstance(below, str):
        return None
    is_number = are_dimensionless(above)
    if above == below or (is_number and are_dimensionless(below)):
        return "1"
    if are_dimensionless(below):
        return above
    inverse = f"{below}-1" if below.isalpha() else f"({below})-1"
    return inverse if is_number else f"{above} {inverse}"


def own_outputs(outputs: Sequence[Output]) -> list[Output]:
    """Return the outputs that the model itself returns."""
    return [output for output in outputs if not output.of]
