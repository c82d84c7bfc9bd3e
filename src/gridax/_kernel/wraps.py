"""What the `wrap` of an axis makes of its values, found out before a model is traced.

JAX hands a wrap tracers, which have no values: a wrap that validates (raises for some values) or
that needs numbers (`float`, NumPy) cannot be traced, or does not see what it should reject. So a
wrap is evaluated on the values themselves, one by one, as SequentialExecution does:

- A wrap that cannot be traced depends on the values: it is evaluated on all of them, and the
  program reads the wrapped values from a table.
- A wrap that can be traced does not depend on the values, unless it recognizes tracers. If it
  computes nothing, evaluating it costs next to nothing, and it is evaluated on all values. If it
  computes a little, it is evaluated on some of them, the extremes included. If it computes more, it
  is not evaluated, because JAX compiles each of its operations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._arrays import device_values
from gridax._grid.grid import Column

# Number of operations and of values up to which a traceable wrap is evaluated.
_FEW_OPERATIONS, _SOME_VALUES = 8, 64


@dataclasses.dataclass(frozen=True, eq=False)
class Wrapped:
    """The values of an axis, seen through its wrap.

    Attributes
    ----------
    rejected : what the wrap raised, by row of the axis' table.
    values : the wrapped values by row, if the wrap cannot be traced; rejected rows repeat another.
    """

    rejected: Mapping[int, Exception]
    values: np.ndarray | None = None


def wrapped(column: Column, rows: np.ndarray, finish: Callable[[Any], Any]) -> Wrapped:
    """Evaluate the wrap of a column on its values.

    Parameters
    ----------
    column : has a wrap.
    rows : rows of its table that the space has, all different.
    finish : applies the wrap to a row that JAX traces.
    """
    if column.table.kind == "choice":  # objects, which are never traced
        return Wrapped(_evaluated(column, rows)[1])
    n_operations, texts = _traced(column, finish)
    if n_operations is None:
        results, rejected = _evaluated(column, rows)
        return Wrapped(rejected, _stacked(column, results))
    if n_operations > _FEW_OPERATIONS or (n_operations and column.table.kind == "key"):
        return Wrapped({})
    if n_operations and len(rows) > _SOME_VALUES:
        spread = np.linspace(0, len(rows) - 1, _SOME_VALUES).astype(int)
        labels = column.table.labels[rows]
        rows = rows[np.unique([*spread, *np.argsort(labels)[[0, -1]]])]
    results, rejected = _evaluated(column, rows)
    for result in results.values():
        if _texts(result) != texts:
            raise TypeError(
                f"axis {column.name!r}: its wrap turns values into text, such as "
                f"{_texts(result)[0]!r}, which JAX cannot trace; use ChoiceAxis, or run the model "
                "with SequentialExecution"
            )
    return Wrapped(rejected)


def _traced(column: Column, finish: Callable[[Any], Any]) -> tuple[int | None, list[str]]:
    """Trace a wrap; return how many operations it has (None if it cannot be traced), and texts."""
    values, texts = column.table.values, []

    def traced(row: Any) -> None:
        texts.extend(_texts(finish(row)))  # what else it returns need not be an array

    row = jax.ShapeDtypeStruct(values.shape[1:], values.dtype)
    try:
        return len(jax.make_jaxpr(traced)(row).jaxpr.eqns), texts
    except Exception:  # whatever a wrap makes of a tracer
        return None, []


def _texts(result: Any) -> list[str]:
    return [leaf for leaf in jax.tree.leaves(result) if isinstance(leaf, str)]


def _evaluated(
    column: Column, rows: Sequence[int] | np.ndarray
) -> tuple[dict[int, Any], dict[int, Exception]]:
    """Return what the wrap returns, and what it raises, by row."""
    results, rejected = {}, {}
    for row in map(int, rows):
        try:
            results[row] = column.wrapped(column.table.host_value(row), row)
        except Exception as error:
            try:  # a wrap that is written for JAX, with methods that NumPy's numbers do not have
                results[row] = column.wrapped(column.table.value(row), row)
            except Exception:
                rejected[row] = error
    return results, rejected


def _stacked(column: Column, results: Mapping[int, Any]) -> np.ndarray | None:
    """Return wrapped values as one array by row, if they are numbers or arrays of one shape."""
    arrays = {row: np.asarray(value) for row, value in results.items() if _is_array(value)}
    if len(arrays) < len(results) or len({array.shape for array in arrays.values()}) != 1:
        return None
    first = next(iter(arrays.values()))
    dtype = np.result_type(*{array.dtype for array in arrays.values()})
    stacked = np.empty((len(column.table), *first.shape), dtype)
    stacked[:] = first
    for row, array in arrays.items():
        stacked[row] = array
    return device_values(stacked, f"axis {column.name!r}, after its wrap")


def _is_array(value: Any) -> bool:
    if isinstance(value, (bool, int, float, complex)):
        return True
    if not isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return False
    return bool(jnp.issubdtype(value.dtype, jnp.number) or value.dtype == bool)
