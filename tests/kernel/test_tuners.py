"""What was measured of a program is known to the next executor and process."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import subprocess
import sys

import jax
import pytest

from gridax._kernel import tuners
from gridax._plan.plan import Level, Plan
from gridax._plan.tuning import Tuner

LIKE = Plan(("a", "b"), (10, 20), (10, 20), (Level((0, 1), 20),), n_devices=2, point_bytes=4)
FOUND = Plan(
    ("a", "b"), (10, 20), (10, 20), (Level((1,), 5, depth=4), Level((0,), 2)), point_bytes=4
)


are_kept = tuners.are_kept  # before the fixtures of all tests disable it


@pytest.fixture
def folder(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before)


def test_a_tuner_is_made_once():
    made = [tuners.shared(("test", 1), lambda: Tuner(LIKE)) for _ in range(2)]
    assert made[0] is made[1]
    assert tuners.shared(("test", 2), lambda: Tuner(LIKE)) is not made[0]


def test_tuners_that_were_not_used_for_long_are_given_up(monkeypatch):
    monkeypatch.setattr(tuners, "_MOST", 2)
    monkeypatch.setattr(tuners, "_tuners", collections.OrderedDict())
    first = tuners.shared("first", lambda: Tuner(LIKE))
    for key in ("second", "first", "third"):
        tuners.shared(key, lambda: Tuner(LIKE))
    assert tuners.shared("first", lambda: Tuner(FOUND)) is first
    assert tuners.shared("second", lambda: Tuner(FOUND)).best is FOUND


def test_a_plan_is_recalled_as_it_was_remembered(folder):
    tuners.remember(("program", (10, 20)), FOUND)
    assert tuners.recall(("program", (10, 20)), LIKE) == FOUND
    assert tuners.recall(("another", (10, 20)), LIKE) is None
    assert [path.suffix for path in folder.iterdir()] == [".json"]


@pytest.mark.parametrize(("name", "kept"), [(None, False), ("gs://bucket", False), ("here", True)])
def test_plans_are_kept_in_a_folder_of_this_machine_only(folder, name, kept):
    jax.config.update("jax_compilation_cache_dir", name)
    assert are_kept() == kept


LEVEL = {"dims": [0, 1], "width": 1, "depth": 1}
CONTENT = {"n_devices": 1, "n_threads": 1, "lanes": 0, "points_last": False, "levels": [LEVEL]}


def written(folder, content):
    tuners.remember(("program",), FOUND)
    (path,) = folder.iterdir()
    path.write_text(content)
    return tuners.recall(("program",), LIKE)


def test_a_file_may_have_any_plan_of_the_sweep(folder):
    assert written(folder, json.dumps(CONTENT)).levels == (Level((0, 1)),)


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_file_with_anything_else_is_ignored(folder, content):
    assert written(folder, content) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"levels": 3},
        {"n_devices": float("inf"), "levels": []},
        {"levels": [{**LEVEL, "dims": [0]}]},
        {"levels": [{**LEVEL, "dims": [0, 0]}]},
        {"levels": [{**LEVEL, "width": 999}]},
        {"levels": [{**LEVEL, "depth": 999}]},
        {"n_devices": 3},
        {"n_threads": 2},
        {"n_threads": 0},
        {"lanes": -1},
        {"lanes": 4},
        {"lanes": None},
    ],
    ids=str,
)
def test_a_plan_of_another_sweep_is_ignored(folder, wrong):
    assert written(folder, json.dumps({**CONTENT, **wrong})) is None


def test_a_plan_with_lanes_is_recalled_only_if_the_loop_has_points_to_leave_it(folder):
    found = dataclasses.replace(FOUND, lanes=10)
    tuners.remember(("program",), found)
    assert tuners.recall(("program",), dataclasses.replace(LIKE, is_counted=True)) == found
    assert tuners.recall(("program",), LIKE) is None


def test_a_choice_keeps_its_groups(folder):
    groups = tuple((i,) for i in range(10))
    like = Plan(("a",), (10,), (10,), (Level((0,), groups=groups),))
    tuners.remember(("program",), like)
    assert tuners.recall(("program",), like).levels[0].groups == groups


def test_a_folder_that_cannot_be_written_is_ignored(folder):
    file = folder / "file"
    file.touch()
    jax.config.update("jax_compilation_cache_dir", str(file))
    tuners.remember(("program",), FOUND)
    assert tuners.recall(("program",), LIKE) is None


SWEEP = """
import jax, jax.numpy as jnp, gridax as gx
from gridax._plan import tiling, tuning
from gridax._plan.limits import Limits
tiling.CALL = 1e-9
tuning._TRIAL = 0.0
tuning.Tuner._is_worth_it = lambda self, plan, left: True
space = gx.Space({"a": gx.GridAxis(0, 1, 100), "b": gx.GridAxis(0, 1, 97)}, mode="product")
executor = gx.ParallelExecution(lambda s: jnp.sin(s["a"]) * s["b"], space, n_pmap=1)
print(executor.plan().kind)
tuner = executor._evaluator._prepared().tuner(Limits())
for _ in range(20):
    if not tuner.is_settled(len(space)):
        executor.run(progress=False)
print(executor.plan().kind)
"""


@pytest.mark.slow
def test_another_process_begins_with_the_plan_that_was_found(tmp_path):
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run(
            [sys.executable, "-c", SWEEP], env=environment, capture_output=True, check=True
        ).stdout.decode()
        for _ in range(2)
    ]
    _, found = said[0].splitlines()
    assert said[1].splitlines()[0] == found
    assert any(json.loads(path.read_text()) for path in tmp_path.glob("gridax-*.json"))
