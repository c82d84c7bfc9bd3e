"""Every change to a model changes its digest, and nothing else does, in any process."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridax._digest.digest import digest
from tests.properties.generated_models import (
    CONSTANTS,
    EDITS,
    HELPERS,
    WHOLE_MODULES,
    files_of,
    write,
)
from tests.properties.imported_models import examined, imported

ROOT = Path(__file__).parents[2]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a function that writes a model to a folder of its own."""
    base = tmp_path_factory.mktemp("models")
    before = [*sys.path]
    yield lambda *model, **options: write(files_of(*model, **options), base / f"m{next(_numbers)}")
    sys.path[:] = before


@pytest.fixture(scope="module")
def elsewhere():
    """Return a function that finds the digest of a model in another process, which is shared."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.properties.imported_models"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
            "PYTHONHASHSEED": "7",
            "JAX_PLATFORMS": "cpu",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )

    def digest_of(folder):
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
        return process.stdout.readline().rstrip("\n")

    yield digest_of
    process.stdin.close()
    assert process.wait() == 0
    process.stdout.close()


CASES = [
    *[(constant, ["call"]) for constant in CONSTANTS],
    *[("global number", [helper]) for helper in HELPERS],
]


@pytest.mark.parametrize(("constant", "helpers"), CASES, ids=str)
def test_a_change_counts_but_not_what_only_readers_see_nor_a_call(folders, constant, helpers):
    one = examined(folders(constant, helpers, 2.0))
    assert one.unknown == ()
    assert examined(folders(constant, helpers, 3.0)).digest != one.digest
    edit = "" if helpers[0] in WHOLE_MODULES else "everything"
    model = imported(folders(constant, helpers, 2.0, edit=edit))
    assert digest(model) == one.digest
    model({"x": 1.0})
    assert digest(model) == one.digest


@given(
    constant=st.sampled_from(sorted(CONSTANTS)),
    helpers=st.lists(st.sampled_from(sorted(HELPERS)), min_size=1, max_size=4),
    values=st.lists(
        st.sampled_from([-1.0, 0.5, 2.0, 2.0000000001, 3.0, 1e30]),
        min_size=2,
        max_size=2,
        unique=True,
    ),
    edit=st.sampled_from(EDITS),
)
@pytest.mark.slow
def test_changes_count_and_edits_do_not(folders, elsewhere, constant, helpers, values, edit):
    if constant == "global flag":
        values = [2.0, 3.0]
    one, other = (folders(constant, helpers, value) for value in values)
    same = folders(constant, helpers, values[0], edit=edit)
    if set(helpers) & set(WHOLE_MODULES) and edit == "globals":
        same = one
    found = [examined(folder).digest for folder in (one, other, same)]
    assert found[0] != found[1]
    assert found[0] == found[2]
    assert found == [elsewhere(folder) for folder in (one, other, same)]
