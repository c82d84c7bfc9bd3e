"""Saltelli's design: its points are those of SALib."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gridax as gx

RANGES = {"a": (0.1, 0.8), "b": (-3.0, 2.0), "c": (1e-3, 1e-1)}


def rows_of(design: dict[str, gx.DataAxis]) -> np.ndarray:
    return np.stack([np.asarray(axis.values) for axis in design.values()], axis=1)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(("n", "seed"), [(2, 0), (8, 1), (64, 7)])
def test_the_points_are_those_of_salib(size: int, n: int, seed: int) -> None:
    sobol_sample = pytest.importorskip("SALib.sample.sobol")
    ranges = dict(list(RANGES.items())[:size])
    problem = {"num_vars": size, "names": [*ranges], "bounds": [*map(list, ranges.values())]}
    rows = sobol_sample.sample(problem, n, calc_second_order=False, seed=seed)
    np.testing.assert_array_equal(rows_of(gx.saltelli(ranges, n, seed=seed)), rows)


def test_each_base_sample_has_both_ends_and_what_lies_between():
    rows = rows_of(gx.saltelli(RANGES, 16)).reshape(16, 5, 3)
    first, last = rows[:, 0], rows[:, -1]
    for i in range(3):
        changed = rows[:, 1 + i]
        np.testing.assert_array_equal(changed[:, i], last[:, i])
        others = [k for k in range(3) if k != i]
        np.testing.assert_array_equal(changed[:, others], first[:, others])
    assert (first != last).all()


def test_axes_share_a_dimension_and_labels_are_kept_bit_for_bit():
    design = gx.saltelli(RANGES, 8, attrs={"b": {"units": "mV"}})
    space = gx.Space({"z": design["c"], "y": [design["a"], design["b"]]}, mode="product")
    assert space.sizes == {"saltelli": 40}
    assert space.dataset["b"].attrs == {"units": "mV"}
    np.testing.assert_array_equal(space.dataset["c"], design["c"].values)
    named = gx.Space(gx.saltelli(RANGES, 8, group="design"), mode="product")
    assert named.sizes == {"design": 40}


def test_a_distribution_is_covered_by_its_quantiles():
    values = rows_of(gx.saltelli({"x": dist.Normal(2.0, 0.5), "y": (0, 1)}, 256))[::4, 0]
    at = np.linspace(0.1, 0.9, 5)
    np.testing.assert_allclose(stats.norm(2.0, 0.5).cdf(np.quantile(values, at)), at, atol=0.02)


@pytest.mark.parametrize(
    ("over", "n", "error", "message"),
    [
        ({"a": (0, 1)}, 100, ValueError, "saltelli: n must be a power of two, which keeps the"),
        ({"a": (0, 1)}, 100, ValueError, "got 100; use 64 or 128"),
        ({"a": (0, 1)}, 1, ValueError, "saltelli: n must be 2 or larger, since one base sample"),
        ({"a": (0, 1)}, 0, ValueError, "saltelli: n must be at least 1, got 0"),
        ({}, 8, TypeError, "saltelli: pass ranges by name, such as {'G': (0.1, 0.8)}; got {}"),
        ({"a": (1, 0)}, 8, ValueError, "axis 'a': low must be smaller than high"),
        ({"a": 3}, 8, TypeError, "axis 'a': pass bounds (low, high) or a numpyro distribution"),
        ({"a": dist.Poisson(1.0)}, 8, ValueError, "has no inverse cumulative distribution"),
    ],
)
def test_what_is_wrong_is_said(over: Any, n: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        gx.saltelli(over, n)
