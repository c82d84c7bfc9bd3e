"""Everything that the reference document shows runs with only the imports changed."""

from __future__ import annotations

import itertools
import re
import runpy
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

SCRIPTS = Path(__file__).parent / "reference"

pytestmark = pytest.mark.slow


class Chapter:
    """What a script printed, warned of and drew, and the names that it left."""

    def __init__(self, name: str) -> None:
        import matplotlib.pyplot as plt

        self.figures = 0

        def show() -> None:
            self.figures += 1
            plt.gcf().canvas.draw()
            plt.close("all")

        printed: list[str] = []
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            patch.setattr(plt, "show", show)
            patch.setattr(
                "builtins.print", lambda *parts: printed.append(" ".join(map(str, parts)))
            )
            self.names = runpy.run_path(str(SCRIPTS / f"{name}.py"))
        self.warnings = [str(warning.message) for warning in caught]
        self.printed = "\n".join(printed)

    def __getattr__(self, name: str) -> Any:
        return self.names[name]

    def says(self, *lines: str) -> bool:
        """Whether it printed these lines, one right after the other."""
        return "\n" + "\n".join(lines) + "\n" in f"\n{self.printed}\n"


@pytest.fixture(scope="module")
def axes() -> Chapter:
    return Chapter("axes")


@pytest.fixture(scope="module")
def spaces() -> Chapter:
    return Chapter("spaces")


@pytest.fixture(scope="module")
def execution() -> Chapter:
    return Chapter("execution")


def test_the_preview_holds_twelve_combinations(axes: Chapter) -> None:
    assert axes.says("Created parameter space with 12 combinations")
    combinations = re.findall(
        r"Combination (\d): coupling=(\S+), noise=(\S+), fixed=42.0", axes.printed
    )
    assert [(i, coupling) for i, coupling, _ in combinations] == [
        ("0", "0.00"),
        ("1", "0.00"),
        ("2", "0.00"),
        ("3", "0.67"),
        ("4", "0.67"),
    ]
    noise = [float(value) for *_, value in combinations]
    assert noise[3:] == noise[:2]
    assert all(0.01 <= value < 0.1 for value in noise)


def test_an_axis_has_a_size_and_values(axes: Chapter) -> None:
    assert axes.says(
        "Axis size: 5", "Generated values: [0.   0.25 0.5  0.75 1.  ]", "Values shape: (5,)"
    )
    assert axes.says(
        "Spacing is uniform: True",
        "n= 5: 5 values from 0.000 to 1.000",
        "n=10: 10 values from 0.000 to 1.000",
        "n=20: 20 values from 0.000 to 1.000",
    )


def test_a_regional_grid_repeats_its_value_in_all_regions(axes: Chapter) -> None:
    assert axes.says(
        "Regional grid shape: (5, 68)",
        "Each sample has shape: (68,)",
        "Sample 2 value: 0.500 (broadcasted to all regions)",
        "All regions identical per sample: True",
    )


def test_random_values_are_reproducible_and_uniform(axes: Chapter) -> None:
    assert axes.says(
        "Same key gives identical results: True", "Different key gives different results: True"
    )
    assert abs(axes.values1.mean() - 0.5) < 0.1
    assert 0 <= axes.values1.min() < axes.values1.max() < 1
    assert axes.broadcast_values.shape == (3, 4, 2)
    assert axes.says("Shape: (3,)")
    assert axes.says("All values in first sample identical: True")
    np.testing.assert_array_equal(axes.broadcast_values[:, 0, 0], axes.independent_values)


def test_given_values_and_matrices_are_axes(axes: Chapter) -> None:
    assert axes.says("DataAxis size: 5", "Values: [0.142 0.284 0.426 0.568 0.71 ]")
    assert axes.says(
        "Matrix axis shape: (3, 2, 2)", "First connectivity matrix:", "[[1.  0.5]", " [0.5 1. ]]"
    )
    np.testing.assert_array_equal(axes.fib_axis.generate_values(), axes.fib_normalized)


def test_distributions_have_the_moments_that_they_should(axes: Chapter) -> None:
    assert abs(axes.normal_samples.mean() - 0.5) < 0.02
    assert abs(axes.normal_samples.std() - 0.15) < 0.02
    assert 0 < axes.beta_samples.min() < axes.beta_samples.max() < 1
    assert axes.lognormal_samples.min() > 0
    assert abs(jnp.median(axes.lognormal_samples) - 1) < 0.1


def test_draws_are_independent_or_broadcast(axes: Chapter) -> None:
    assert axes.independent_samples.shape == axes.broadcast_samples.shape == (3, 2, 4)
    assert len(np.unique(axes.independent_samples)) == 24
    assert axes.says("All elements identical: True")


def test_product_zip_and_groups_combine_as_stated(spaces: Chapter) -> None:
    assert spaces.says("Parameter space contains 45 combinations")
    assert re.findall(r"^Combination (\d):", spaces.printed, re.M) == ["0", "1", "2"]
    assert spaces.says(" Time constant: 10.0 (fixed)", " Simulation dt: 0.1 (fixed)")
    assert spaces.says(
        "Product mode: 6 combinations",
        "",
        "All combinations (product mode):",
        " 0: a=0.0, b=0.0",
        " 1: a=0.0, b=1.0",
        " 2: a=0.5, b=0.0",
        " 3: a=0.5, b=1.0",
        " 4: a=1.0, b=0.0",
        " 5: a=1.0, b=1.0",
        "Zip mode: 2 combinations (uses minimum axis size)",
        "",
        "Matched combinations (zip mode):",
        " 0: a=0.0, b=0.0",
        " 1: a=0.5, b=1.0",
        "Total combinations: 12",
    )
    assert (len(spaces.product_comp), len(spaces.zip_comp)) == (40, 5)
    for i, (a, x) in enumerate(itertools.product("123", ["0.00", "0.33", "0.67", "1.00"])):
        assert spaces.says(f" {i}: setting_a={a}, setting_b={a}0, param_x={x}")


def test_only_the_zips_of_other_sizes_warn(spaces: Chapter) -> None:
    assert [message.split(";")[0] for message in spaces.warnings] == [
        "the zipped axes differ in size (param_a: 3, param_b: 2)",
        "the zipped axes differ in size (x: 8, y: 5)",
    ]


def test_points_are_reached_in_every_way_that_is_shown(spaces: Chapter) -> None:
    assert spaces.says("Demo space has 6 combinations", "Sequential iteration (first 3):")
    assert len(re.findall(r" Run \d: coupling=0.[024]0, noise=0.0\d{3}", spaces.printed)) == 3
    assert spaces.says(
        "Random access examples:",
        " Combination 0: coupling = 0.000",
        " Combination 2: coupling = 0.400",
        " Last combination: coupling = 1.000",
        " Second to last: coupling = 0.800",
        "Subset contains 3 combinations",
        "Subset combinations:",
        " Original index 1: coupling=0.200",
        " Original index 2: coupling=0.400",
        " Original index 3: coupling=0.600",
        "",
        "Every other combination (3 total):",
        " Index 0: coupling=0.000",
        " Index 1: coupling=0.400",
        " Index 2: coupling=0.800",
    )


def test_tables_hold_parameters_then_results_aligned(spaces: Chapter) -> None:
    assert spaces.df_params.columns.tolist() == ["coupling", "noise"]
    assert spaces.df.columns.tolist() == ["coupling", "noise", "activity", "ratio"]
    assert spaces.df["coupling"].tolist() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    np.testing.assert_allclose(
        spaces.df["activity"], 2 * spaces.df["coupling"] + spaces.df["noise"]
    )
    np.testing.assert_allclose(
        spaces.df["ratio"], spaces.df["coupling"] / (spaces.df["noise"] + 1e-6), rtol=1e-5
    )


def test_sequential_results_have_the_structure_of_the_model(execution: Chapter) -> None:
    assert execution.says("Execution complete! Got 4 results")
    assert execution.says(" Activity shape: (100,)")
    assert execution.says(" Coupling used: 0.200")
    runs = re.findall(r" Run (\d): coupling=(\S+), noise=(\S+), mean=", execution.printed)
    assert [coupling for _, coupling, _ in runs] == ["0.20", "0.63", "1.07", "1.50"]
    assert all(0.015 <= float(noise) < 0.15 for *_, noise in runs)
    state = execution.space[2]
    expected = execution.brain_simulation(state, noise_factor=1.5)
    found = execution.sequential_results[2]
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_parallel_results_are_read_like_sequential_ones(execution: Chapter) -> None:
    assert execution.says("Parallel execution complete! Got 64 results")
    assert execution.says(" Coupling: 0.100")
    assert execution.printed.count("Subset contains 10 results") == 1
    assert execution.says(" Coupling range: [0.10, 2.00]")
    expected = execution.fast_brain_model(execution.parallel_space[37])
    found = execution.parallel_results[37]
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected
    )


def test_both_executions_agree(execution: Chapter) -> None:
    assert execution.says("Performance comparison on 25 parameter combinations:", "=" * 55)
    assert len(execution.seq_results) == len(execution.par_results) == 25
    for one, other in zip(execution.seq_results, execution.par_results, strict=True):
        np.testing.assert_allclose(one["result"], other["result"], rtol=1e-6)
    assert execution.says("Complex space: 27 combinations")


def test_every_figure_is_drawn_and_nothing_else_warns(
    axes: Chapter, spaces: Chapter, execution: Chapter
) -> None:
    assert (axes.figures, spaces.figures, execution.figures) == (6, 2, 2)
    assert axes.warnings == execution.warnings == []
