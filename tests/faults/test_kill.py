"""A process that is killed while it saves: the file is the old one or the new one, whole."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gridax as gx

ROOT = Path(__file__).parents[2]

# Saves over the same file without end; all numbers of a file are the number of its turn.
SCRIPT = """
import itertools, sys
import numpy as np
import gridax as gx

space = gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product")
for turn in itertools.count():
    numbers = np.full(200_000, float(turn))
    result = gx.SequentialExecution(lambda s: numbers, space).run(progress=False)
    result.to_netcdf(sys.argv[1])
    print(turn, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems kill by a signal")
@pytest.mark.parametrize("delay", [0.0, 0.003, 0.02])
def test_a_kill_while_saving_leaves_a_whole_file(delay, tmp_path):
    path = tmp_path / "run.nc"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        text=True,
    )
    turn = -1
    for line in process.stdout:
        turn = int(line)
        if turn == 3:
            time.sleep(delay)
            process.kill()
            break
    process.communicate(timeout=60)
    assert turn == 3
    numbers = gx.open_result(path).dataset["value"].values
    assert numbers.shape == (4, 200_000)
    assert numbers[0, 0] >= 3
    assert (numbers == numbers[0, 0]).all()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems kill by a signal")
def test_what_a_killed_process_left_beside_does_not_hinder_the_next(tmp_path):
    path = tmp_path / "run.nc"
    (tmp_path / ".run.nc.0123456789ab.partial").write_bytes(b"half a file")
    space = gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product")
    result = gx.SequentialExecution(lambda s: np.float64(1), space).run(progress=False)
    result.to_netcdf(path)
    assert gx.open_result(path).dataset.identical(result.dataset)
