"""Values and labels of any axis, including those that users define."""

from __future__ import annotations

import jax

from gridax import _checks
from gridax._arrays import is_keys, owned
from gridax._axes.base import Axis, LabeledAxis
from gridax._axes.draws import NumPyroAxis
from gridax._axes.ranges import UniformAxis
from gridax._axes.table import Table, array_table, as_array, check_values, key_table


def tabulate(axis: Axis, key: jax.Array, owner: str) -> Table:
    """Return values and labels of any axis; error messages start with `owner`."""
    generate = type(axis).generate_values
    if isinstance(axis, LabeledAxis) and generate is LabeledAxis.generate_values:
        return axis.table(key, owner)
    size = _checks.count(axis.size, owner, "size")
    values = axis.generate_values(key)
    if is_keys(values):
        table = key_table(values)
    else:
        array = check_values(as_array(values, owner), owner)
        table = array_table(owned(array), None, owner)
    if len(table) != size:
        raise ValueError(
            f"{owner}: size is {size}, but generate_values returned {len(table)} values"
        )
    return table


def is_random(axis: Axis) -> bool:
    """Whether the order of the values of an axis has no meaning."""
    return isinstance(axis, (UniformAxis, NumPyroAxis))
