"""Fixed scalars as coordinates, unless there are thousands of them."""

from __future__ import annotations

import pytest

import gridax as gx
from gridax._grid.points import MOST_FIXED


@pytest.mark.parametrize(("n", "n_coords"), [(MOST_FIXED, MOST_FIXED + 1), (MOST_FIXED + 1, 1)])
def test_more_fixed_scalars_than_a_bound_are_kept_in_the_attributes_only(n, n_coords, tmp_path):
    fixed = {f"p{i}": float(i) for i in range(n)}
    space = gx.Space({"x": gx.GridAxis(0, 1, 3)} | fixed, mode="product")
    assert len(space.dataset.coords) == n_coords
    run = gx.ParallelExecution(lambda s: s["x"] + s["p7"], space).run(progress=False)
    assert len(run.dataset.coords) == n_coords
    run.to_netcdf(tmp_path / "run.nc")
    again = gx.open_result(tmp_path / "run.nc")
    assert len(again.dataset.coords) == n_coords
    assert {name: again.space.state[name] for name in fixed} == fixed


def test_arrays_and_private_values_do_not_count_as_fixed_scalars():
    state = {"x": gx.GridAxis(0, 1, 3), "dt": 0.1, "_internal": list(range(MOST_FIXED + 1))}
    assert gx.Space(state, mode="product").dataset["dt"].item() == 0.1
