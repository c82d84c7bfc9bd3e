"""The command line, in this process and in processes, pipes and terminals of its own."""

from __future__ import annotations

import datetime
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

import gridax as gx
from gridax._memory import human
from gridax._plan.progress import Progress
from gridax.cli import draw, main, network
from gridax.cli._pace import Pace, of_store

# Bokeh, which serves the explorer, looks for an event loop in a way that Python deprecates.
_SERVER = "ignore:There is no current event loop:DeprecationWarning"
GRIDAX = [sys.executable, "-W", "error", "-W", _SERVER, "-m", "gridax"]
COMMANDS = ("compare", "demo", "explore", "export", "info", "plot", "status")


def model(state):
    noise = state["sigma"] * jax.random.normal(state["key"], (20,))
    rate = {"units": "Hz", "long_name": "mean rate"}
    return xr.Dataset(
        {
            "rate": ((), state["G"] + noise.mean(), rate),
            "course": ("time", noise, {"units": "mV"}),
            "fc": (("region", "region_2"), state["G"] * jnp.ones((3, 3))),
        },
        {"time": ("time", np.arange(20) * 0.1, {"units": "s"}), "region": ["V1", "V2", "M1"]},
    )


SPACE = gx.Space(
    {
        "G": gx.GridAxis(0.1, 0.8, 8, attrs={"long_name": "global coupling", "units": "1/s"}),
        "sigma": gx.LogGridAxis(0.001, 0.1, 3),
        "key": gx.KeyAxis(4, name="trial"),
        "dt": 0.1,
    },
    mode="product",
)
SMALL = gx.Space({"x": gx.GridAxis(0, 1, 11), "y": gx.DataAxis([1, 2])}, mode="product")
GROUPED = gx.Space(
    {
        "a": gx.DataAxis([0.1, 0.3, 0.2], group="setting"),
        "f": gx.ChoiceAxis([jnp.sin, jnp.cos, jnp.tan], group="setting"),
        "W": gx.DataAxis(np.ones((2, 3, 3)), name="connectome"),
        "V": gx.DataAxis(np.ones((2, 2)), labels=["odd", "even"], group="phase"),
    },
    mode="product",
)


def product(state):
    return {"v": state["x"] * state["y"]}


def failing(state):
    if state["y"] == 2 and state["x"] > 0.8:
        raise ValueError(f"no root at {state['x']:.1f}\nsecond line")
    if state["y"] == 2 and state["x"] > 0.45:
        raise ZeroDivisionError("flat")
    return product(state)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of results, which no test changes."""
    folder = tmp_path_factory.mktemp("made")
    quiet = {"progress": False}
    gx.ParallelExecution(model, SPACE).run(**quiet).to_netcdf(folder / "sweep.nc")
    parallel = gx.ParallelExecution(product, SMALL)
    parallel.run(store=folder / "done.zarr", **quiet)
    parallel.run(store=folder / "half.zarr", block={"x": 1}, shard=(0, 2), **quiet)
    sequential = gx.SequentialExecution(failing, SMALL)
    sequential.run(store=folder / "failed.zarr", on_error="record", **quiet)
    grouped = gx.ParallelExecution(lambda s: jnp.sum(s["W"]) * s["a"], GROUPED)
    grouped.run(**quiet).to_zarr(folder / "grouped.zarr")
    xr.Dataset({"a": ("x", [1, 2])}).to_netcdf(folder / "other.nc")
    (folder / "text.nc").write_text("no netCDF\n")
    (folder / "cut.nc").write_bytes((folder / "sweep.nc").read_bytes()[:5000])
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def gridax(made, monkeypatch, tmp_path):
    """Run a command here, `{}` being the folder of results; return exit code and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        arguments = [argument.format(made) for argument in arguments]
        done = CliRunner(catch_exceptions=False).invoke(main, arguments)
        return done.exit_code, done.output.replace(f"{made}/", "")

    return run


_started: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def _end_processes():
    """End what a test that fails has left running."""
    yield
    while _started:
        started = _started.pop()
        started.kill()
        started.wait()


def process(*arguments, **keywords):
    """Start a command in a process of its own, warnings being errors there."""
    environment = {**os.environ, "MPLBACKEND": "Agg", **keywords.pop("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **keywords}
    _started.append(subprocess.Popen([*GRIDAX, *map(str, arguments)], env=environment, **pipes))
    return _started[-1]


def ended(started):
    out, err = started.communicate(timeout=600)
    return started.returncode, out, err


def terminal(*arguments, env=None, columns=80, seeing=lambda seen: None):
    """Run a command in a terminal of its own; return exit code and what is seen there.

    `seeing` is called with what has been seen so far.
    """
    shown, inside = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **(env or {})}
    started = subprocess.Popen(
        [*GRIDAX, *map(str, arguments)], stdin=inside, stdout=inside, stderr=inside, env=environment
    )
    os.close(inside)
    seen = b""
    while select.select([shown], [], [], 600)[0]:
        try:
            seen += os.read(shown, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        seeing(seen.decode(errors="replace"))
    os.close(shown)
    return started.wait(timeout=600), seen.decode()


# --- help -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(gridax, command):
    code, out = gridax(command, "--help")
    assert code == 0
    assert f"  Examples:\n    gridax {command}" in out
    assert max(map(len, out.splitlines())) <= 80
    assert gridax(command, "-h") == (code, out)


def test_the_help_lists_the_commands_and_the_version_is_gridax_own(gridax):
    code, out = gridax("--help")
    listed = re.findall(r"^  (\w+)  ", out.partition("Commands:")[2], re.MULTILINE)
    assert (code, tuple(listed)) == (0, COMMANDS)
    assert out.count("...") == 1  # in "[ARGS]...": no text is cut
    assert gridax("--version") == (0, f"gridax {gx.__version__}\n")


def test_the_codes_of_status_stand_in_its_help(gridax):
    assert "3    points are pending" in gridax("status", "--help")[1]


def test_wrong_use_exits_with_2(gridax):
    assert gridax("inform")[0] == 2
    assert gridax("info")[0] == 2
    code, out = gridax("status", "{}/done.zarr", "--interval", "0")
    assert (code, "0.0 is not in the range x>=0.1" in out) == (2, True)


# --- errors -----------------------------------------------------------------------------------

WRONG = {
    "nowhere.nc": "there is no file 'nowhere.nc'",
    "{}/other.nc": "'other.nc' cannot be opened as a result: it is not a gridax result, as the "
    "attribute 'gridax_format' is missing; xarray.open_dataset opens any netCDF file",
    "{}/text.nc": "'text.nc' cannot be read as a netCDF file (OSError: [Errno -51] NetCDF: Unknown "
    "file format: 'text.nc')",
    "{}/cut.nc": "'cut.nc' cannot be read as a netCDF file (OSError: [Errno -101] NetCDF: HDF "
    "error: 'cut.nc')",
    "{}/empty": "'empty' cannot be read as a Zarr store (ValueError: there is no Zarr store of "
    "format 3)",
    "memory://nowhere.zarr": "there is no store 'memory://nowhere.zarr'",
    "file://{}/nowhere.nc": "there is no file 'nowhere.nc'",
    "odd://place": "Protocol not known: odd",
}


@pytest.mark.parametrize("file", WRONG)
@pytest.mark.parametrize("command", ["info", "status", "plot", "explore"])
def test_a_file_that_is_no_result_is_told_in_a_line(gridax, command, file):
    assert gridax(command, file) == (1, f"Error: {WRONG[file]}\n")


def test_no_text_of_a_file_commands_the_terminal(gridax, tmp_path):
    evil = "\x1b]0;title\x07\x1b[2Jred"

    def bad(state):
        if state["x"]:
            raise ValueError(evil)
        return xr.Variable((), 0.0, {"long_name": evil, "units": evil})

    x = gx.DataAxis([0, 1], attrs={"long_name": evil, "units": evil})
    one = gx.Space({"x": x, "note": evil}, mode="product")
    gx.SequentialExecution(bad, one).run(
        store=tmp_path / "evil.zarr", on_error="record", progress=False
    )
    for command in ("info", "status"):
        out = gridax(command, "evil.zarr")[1]
        assert "title" in out
        assert not re.search("[\x1b\x07]", out)
    assert "\x1b" not in repr(gx.open_result(tmp_path / "evil.zarr"))


def test_a_damaged_chunk_is_told_with_its_output(gridax, made, tmp_path):
    shutil.copytree(made / "done.zarr", tmp_path / "copy.zarr")
    chunk = next(path for path in (tmp_path / "copy.zarr/v/c").rglob("*") if path.is_file())
    chunk.write_bytes(bytes(byte ^ 1 for byte in chunk.read_bytes()))
    code, out = gridax("export", "copy.zarr", "copy.nc")
    assert code == 1
    assert re.match("Error: 'v' of '.*copy.zarr' is damaged .*\n$", out)
    assert not (tmp_path / "copy.nc").exists()


def test_a_damaged_netcdf_file_is_told(gridax, made, tmp_path):
    content = bytearray((made / "sweep.nc").read_bytes())
    values = gx.open_result(made / "sweep.nc").dataset["rate"].values.tobytes()
    content[content.index(values) + 5] ^= 1
    (tmp_path / "flipped.nc").write_bytes(content)
    assert gridax("plot", "flipped.nc", "rate", "--mean", "trial") == (
        1,
        "Error: 'flipped.nc' is damaged (NetCDF: HDF error)\n",
    )
    assert (
        gridax(
            "plot", "flipped.nc", "fc", "--mean", "trial", "--sel", "G=0.1", "--sel", "sigma=0.1"
        )[0]
        == 0
    )


def test_an_error_of_a_bucket_names_the_url(gridax, monkeypatch):
    def refuse(path):
        raise RuntimeError("no credentials")

    monkeypatch.setattr(gx, "open_result", refuse)
    assert gridax("info", "s3://bucket/sweep.zarr") == (
        1,
        "Error: 's3://bucket/sweep.zarr' cannot be opened (RuntimeError: no credentials)\n",
    )
    with pytest.raises(RuntimeError, match="no credentials"):  # of a file, it would be our fault
        gridax("info", "sweep.zarr")


def test_an_error_of_the_system_names_the_file(gridax, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", "/data/sweep.nc")

    monkeypatch.setattr(gx, "open_result", refuse)
    assert gridax("info", "sweep.nc") == (1, "Error: '/data/sweep.nc': Permission denied\n")


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("plot", "matplotlib", "plot"),
        ("explore", "panel", "explore"),
        ("explore", "bokeh", "explore"),
    ],
)
def test_a_missing_extra_is_named(gridax, monkeypatch, command, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    message = f"Error: {package} is not installed: pip install 'gridax[{extra}]'\n"
    assert gridax(command, "{}/sweep.nc", "rate") == (1, message)


def test_a_warning_is_one_line(gridax, monkeypatch):
    opened = gx.open_result

    def warning(path):
        warnings.warn("odd\n  thing", UserWarning, stacklevel=1)
        return opened(path)

    monkeypatch.setattr(gx, "open_result", warning)
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, out = gridax("status", "{}/done.zarr")
    assert (code, out) == (0, "Warning: odd thing\ndone.zarr: 22 of 22 points done\n")
    assert warnings.showwarning is shown


# --- info -------------------------------------------------------------------------------------


def test_info_says_what_a_file_holds(gridax):
    code, out = gridax("info", "{}/sweep.nc")
    assert code == 0
    assert out.partition("\nProvenance\n")[0] == (
        "sweep.nc: 96 of 96 points done\n"
        "\n"
        "Dimensions\n"
        "            size  labels          unit  axis         description\n"
        "  G            8  0.1 … 0.8       1/s   GridAxis     global coupling\n"
        "  sigma        3  0.001 0.01 0.1        LogGridAxis\n"
        "  trial        4  0 1 2 3               KeyAxis\n"
        "  time        20  0.0 … 1.9       s\n"
        "  region       3  'V1' 'V2' 'M1'\n"
        "  region_2     3\n"
        "\n"
        "Fixed\n"
        "  dt  0.1\n"
        "\n"
        "Outputs\n"
        "          at each point      dtype       size  unit  description\n"
        "  rate    one value          float32    384 B  Hz    mean rate\n"
        "  course  time               float32  7.68 kB  mV\n"
        "  fc      region × region_2  float32  3.46 kB\n"
    )


def test_info_says_where_a_file_comes_from(gridax):
    made_by = dict(
        line.split(maxsplit=1)
        for line in gridax("info", "{}/sweep.nc")[1].partition("\nProvenance\n")[2].splitlines()
    )
    assert made_by["model"].endswith("test_cli.model")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", made_by["when"])
    assert made_by["on"] == f"{jax.local_devices()[0].device_kind}, float32"
    assert made_by["with"].startswith(f"gridax {gx.__version__}, jax {jax.__version__}, xarray ")


def test_info_says_what_was_run(gridax, tmp_path):
    def scaled(state, factor, *, options):
        return factor * state["x"] * options["w"].sum()

    state = {"x": gx.GridAxis(0, 1, 3), "weights": np.ones((2, 3)), "dt": 0.1}
    space = gx.Space(state, mode="product", key=7)
    options = {"w": np.ones(4), "solver": "heun"}
    gx.SequentialExecution(scaled, space, 2.5, options=options).run(progress=False).to_netcdf(
        "a.nc"
    )
    out = gridax("info", "a.nc")[1]
    assert "  weights  <not stored: float64[2,3]>\n  dt       0.1\n" in out
    made_by = out.partition("\nProvenance\n")[2]
    assert "factor=2.5, options.w=float64[4]," in made_by
    assert "options.solver='heun'" in made_by
    assert re.search(r"^  key +jax\.random\.key\(7\)$", made_by, re.MULTILINE)


def test_info_lists_the_members_of_a_shared_dimension(gridax):
    out = gridax("info", "{}/grouped.zarr")[1]
    assert (
        "              size  labels             axis\n"
        "  setting        3\n"
        "    a               0.1 0.3 0.2        DataAxis\n"
        "    f               'sin' 'cos' 'tan'  ChoiceAxis\n"
        "  connectome     2  0 1                DataAxis of 3×3\n"
    ) in out


def test_info_says_how_far_a_run_has_come(gridax):
    assert gridax("info", "{}/half.zarr")[1].startswith(
        "half.zarr: 12 of 22 points done, 10 pending\n"
    )
    out = gridax("info", "{}/failed.zarr")[1]
    assert out.startswith("failed.zarr: 16 of 22 points done, 6 failed\n")
    assert "status" not in out  # is no output of the model


def test_info_says_that_a_run_went_on_with_another_model(gridax, made, tmp_path):
    shutil.copytree(made / "half.zarr", tmp_path / "half.zarr")
    changed = gx.ParallelExecution(lambda s: {"v": s["x"] - s["y"]}, SMALL)
    changed.run(store=tmp_path / "half.zarr", resume="force", progress=False)
    assert re.search(r"resumed  with another model, \d{4}-", gridax("info", "half.zarr")[1])


@pytest.mark.parametrize("url", ["file://{}/done.zarr", "file://{}/sweep.nc"])
def test_a_file_may_be_a_url(gridax, url):
    assert gridax("info", url)[0] == 0


def test_a_name_with_brackets_and_blanks_stays_as_it_is(gridax, made, tmp_path):
    shutil.copy(made / "sweep.nc", tmp_path / "[bold] a:smile: b.nc")
    out = gridax("info", "[bold] a:smile: b.nc")[1]
    assert out.startswith("[bold] a:smile: b.nc: 96 of 96")


# --- status -----------------------------------------------------------------------------------


def test_status_exits_with_0_where_all_is_done(gridax):
    assert gridax("status", "{}/done.zarr") == (0, "done.zarr: 22 of 22 points done\n")
    assert gridax("status", "{}/sweep.nc") == (0, "sweep.nc: 96 of 96 points done\n")


def test_status_exits_with_3_where_points_are_pending(gridax):
    assert gridax("status", "{}/half.zarr") == (
        3,
        "half.zarr: 12 of 22 points done, 10 pending\n",
    )


def test_status_exits_with_4_and_messages_where_points_failed(gridax):
    assert gridax("status", "{}/failed.zarr") == (
        4,
        "failed.zarr: 16 of 22 points done, 6 failed\n"
        "  ZeroDivisionError: flat\n"
        "    at x=0.5, y=2 and 3 more\n"
        "  ValueError: no root at 0.9\n"
        "    at x=0.9, y=2\n"
        "  ValueError: no root at 1.0\n"
        "    at x=1.0, y=2\n",
    )


def test_status_shows_a_few_messages_of_many(gridax, tmp_path):
    def bad(state):
        if state["x"] > 0.05:
            raise ValueError(f"at {state['x']:.1f}")
        return state["x"]

    one = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    gx.SequentialExecution(bad, one).run(
        store=tmp_path / "bad.zarr", on_error="record", progress=False
    )
    code, out = gridax("status", "bad.zarr")
    assert (code, len(out.splitlines())) == (4, 1 + 2 * 3 + 1)
    assert out.endswith("  … and 7 other messages\n")


def test_a_finished_run_is_watched_no_longer(gridax):
    assert gridax("status", "{}/done.zarr", "--watch") == (0, "done.zarr: 22 of 22 points done\n")


# Gets to its end when a file says that it may.
WRITER = """
import sys, time
from pathlib import Path
import gridax as gx
def model(state):
    while state["x"] > 0.5 and not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return {"v": state["x"] * state["y"]}
space = gx.Space({"x": gx.GridAxis(0, 1, 11), "y": gx.DataAxis([1, 2])}, mode="product")
gx.SequentialExecution(model, space).run(store=sys.argv[1], block={"x": 1}, progress=False)
"""


@pytest.fixture
def under_way(tmp_path):
    """A store that another process is writing."""
    store = tmp_path / "run.zarr"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, store, tmp_path / "go"])
    try:
        while not store.exists():
            assert writer.poll() is None
            time.sleep(0.05)
        yield store
    finally:
        writer.kill()
        writer.wait()


@pytest.mark.slow
def test_a_run_of_another_process_is_watched_until_its_end(under_way, tmp_path):
    watch = process("status", under_way, "--watch", "--interval", "0.2")
    first = watch.stdout.readline()
    (tmp_path / "go").touch()
    code, out, err = ended(watch)
    out = first + out
    lines = [line.removeprefix(f"{under_way}: ") for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[-1] == "22 of 22 points done"
    done = [int(line.partition(" of 22 points done")[0]) for line in lines]
    assert done == sorted(set(done))  # a line for each change, and none without
    if len(done) > 2:
        assert re.fullmatch(
            r"\d+ of 22 points done, \d+ pending( · [\d.]+ points/(s|min) · 0:\d\d:\d\d left)?",
            lines[1],
        )
    assert "\x1b" not in out


@pytest.mark.slow
def test_info_reads_a_store_that_another_process_is_writing(under_way):
    code, out, err = ended(process("info", under_way))
    assert (code, err) == (0, "")
    assert re.match(rf"{under_way}: \d+ of 22 points done", out)


@pytest.mark.slow
def test_ctrl_c_ends_the_watch(made):
    watch = process("status", made / "half.zarr", "--watch", "--interval", "60")
    first = watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    code, rest, err = ended(watch)
    assert first.endswith("half.zarr: 12 of 22 points done, 10 pending\n")
    assert (code, rest, err) == (130, "", "")


@pytest.mark.slow
def test_the_watch_moves_a_bar_in_a_terminal(under_way, tmp_path):
    def seeing(seen):
        if "━" in seen:
            (tmp_path / "go").touch()

    code, seen = terminal("status", under_way, "--watch", "--interval", "0.2", seeing=seeing)
    assert code == 0
    assert "━" * 80 in seen
    assert "22 of 22 points done\r\n" in seen


def test_a_store_may_be_away_for_a_moment_while_it_is_begun_anew(gridax, monkeypatch):
    opened, seen = gx.open_result, []

    def flickering(path):
        seen.append(path)
        if len(seen) == 2:
            raise FileNotFoundError(f"there is no file {path!r}")
        return opened(path.replace("half", "done") if len(seen) > 2 else path)

    monkeypatch.setattr(gx, "open_result", flickering)
    code, out = gridax("status", "{}/half.zarr", "--watch", "--interval", "0.1")
    assert code == 0
    assert out.splitlines()[-1].startswith("half.zarr: 22 of 22")


def test_a_store_that_stays_away_ends_the_watch(gridax, monkeypatch):
    opened, seen = gx.open_result, []

    def vanishing(path):
        seen.append(path)
        return opened(path if len(seen) == 1 else "nowhere.zarr")

    monkeypatch.setattr(gx, "open_result", vanishing)
    code, out = gridax("status", "{}/half.zarr", "--watch", "--interval", "0.1")
    assert (code, len(seen)) == (1, 3)
    assert out.endswith("Error: there is no file 'nowhere.zarr'\n")


def test_the_pace_is_that_of_the_last_changes():
    pace = Pace()
    assert pace.see(0, now=0.0)
    assert pace.describe(pending=100, now=0.0) == ""
    assert pace.see(20, now=10.0)
    assert not pace.see(20, now=15.0)
    assert pace.describe(pending=80, now=15.0) == " · 2 points/s · 0:00:35 left"
    assert pace.describe(pending=80, now=70.0) == (
        " · 2 points/s · 0:00:00 left · nothing new for 0:01:00"
    )
    assert pace.describe(pending=0, now=15.0) == ""
    for i in range(1, 21):  # slower: what was before is forgotten
        pace.see(20 + i, now=10.0 + 30 * i)
    assert pace.describe(pending=60, now=610.0) == " · 2 points/min · 0:30:00 left"


def test_the_pace_begins_anew_with_the_sweep():
    pace = Pace()
    pace.see(50, now=0.0)
    pace.see(2, now=1.0)
    assert pace.describe(pending=98, now=1.0) == ""
    pace.see(4, now=3601.0)
    assert pace.describe(pending=96, now=3601.0) == " · 2 points/h · 2 days, 0:00:00 left"


def test_the_end_of_a_run_is_told_from_when_its_blocks_were_written(tmp_path):
    folder = tmp_path / "run.zarr" / "status" / "c" / "0"
    folder.mkdir(parents=True)
    store, progress = str(tmp_path / "run.zarr"), Progress(40, 0, 100)
    assert of_store(store, progress, since=0, now=1e9) == ""
    for i in range(4):  # ten points each, a block per minute
        (folder / str(i)).write_bytes(b"")
        os.utime(folder / str(i), (1e9 + 60 * i, 1e9 + 60 * i))
    last = 1e9 + 180
    end = datetime.datetime.fromtimestamp(last + 360).strftime("%H:%M")
    assert of_store(store, progress, since=1e9 - 60, now=last + 30) == (
        f"10 points/min; expected to end at {end}, in 0:05:30"
    )
    assert of_store(store, progress, since=1e9 - 60, now=last + 7200) == (
        "10 points/min until 2:00:00 ago; 0:06:00 of work left"
    )
    assert of_store(store, progress, None, now=last) == "no run writes to it at the moment"
    assert of_store(store, Progress(100, 0, 100), None, now=last) == ""
    assert of_store("s3://bucket/run.zarr", progress, None, now=last) == ""


def test_the_time_before_a_run_was_resumed_does_not_count(tmp_path):
    folder = tmp_path / "run.zarr" / "status"
    folder.mkdir(parents=True)
    for i, at in enumerate([0, 1, 1000, 1002, 1004]):
        (folder / str(i)).write_bytes(b"")
        os.utime(folder / str(i), (1e9 + at, 1e9 + at))
    store, progress = str(tmp_path / "run.zarr"), Progress(50, 0, 100)
    pace = of_store(store, progress, since=1e9 + 990, now=1e9 + 1004)
    assert pace.startswith("5 points/s; expected to end at ")


def test_info_tells_when_a_run_will_end(gridax):
    seen = []

    def slow(state):
        time.sleep(0.005)
        seen.append(gridax("info", "half.zarr") if len(seen) == 40 else None)
        if len(seen) == 60:
            raise KeyboardInterrupt
        return state["x"]

    space = gx.Space({"x": gx.GridAxis(0, 1, 100)}, mode="product")
    run = gx.SequentialExecution(slow, space)
    with pytest.raises(KeyboardInterrupt):
        run.run(store="half.zarr", block={"x": 5}, progress=False)
    code, out = seen[40]
    assert code == 0
    assert re.search(r"points/s; expected to end at \d\d:\d\d, in 0:00:0\d", out)
    code, out = gridax("info", "half.zarr")
    assert "no run writes to it at the moment" in out


# --- compare ----------------------------------------------------------------------------------


def test_compare_exits_with_0_for_equal_results_and_1_for_others(gridax, made):
    code, out = gridax("compare", "{}/done.zarr", "{}/done.zarr")
    assert (code, out.splitlines()[0]) == (0, "<gridax.Comparison: equal>")
    code, out = gridax("compare", "{}/done.zarr", "{}/half.zarr")
    assert code == 1
    assert out.startswith(
        "<gridax.Comparison: not equal within rtol=1e-05, atol=1e-08>\n"
        "done.zarr: 22 points, 22 in both\n"
        "half.zarr: 22 points, 22 in both\n"
        "10 points without a value in half.zarr\n"
    )
    assert re.search(r"^    v  0 +0 +0 +10 +x=0\.\d, y=1$", out, re.MULTILINE)


def test_compare_takes_tolerances(gridax):
    def scaled(factor):
        return lambda state: factor * (1 + state["x"])

    for name, factor in (("a.nc", 1.0), ("b.nc", 1.001)):
        gx.SequentialExecution(scaled(factor), SMALL).run(progress=False).to_netcdf(name)
    code, out = gridax("compare", "a.nc", "b.nc")
    assert code == 1
    assert "    value  0.002    0.000999  22             0           x=1.0, y=1\n" in out
    assert gridax("compare", "a.nc", "b.nc", "--rtol", "1e-2")[0] == 0
    assert gridax("compare", "a.nc", "b.nc", "--atol", "1e-2")[0] == 0
    assert gridax("compare", "a.nc", "b.nc", "--atol", "-1")[0] == 2


def test_compare_exits_with_2_if_a_file_cannot_be_read(gridax):
    assert gridax("compare", "{}/done.zarr", "nowhere.nc") == (
        2,
        "Error: there is no file 'nowhere.nc'\n",
    )
    assert gridax("compare", "{}/text.nc", "{}/done.zarr")[0] == 2


# --- export -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
def test_export_writes_what_opens_again(gridax, made, tmp_path, name):
    assert gridax("export", "{}/done.zarr", name) == (0, f"{name} written\n")
    wanted = gx.open_result(made / "done.zarr").dataset
    assert gx.open_result(tmp_path / name).dataset.equals(wanted)


def test_export_replaces_a_file_only_if_told_so(gridax, tmp_path):
    for name in ("out.nc", "out.zarr", "out.csv"):
        assert gridax("export", "{}/done.zarr", name)[0] == 0
        before = os.stat(tmp_path / name).st_ino
        assert gridax("export", "{}/done.zarr", name) == (
            1,
            f"Error: '{name}' already exists; replace it with --overwrite\n",
        )
        assert os.stat(tmp_path / name).st_ino == before
        assert gridax("export", "{}/done.zarr", name, "--overwrite")[0] == 0
        assert os.stat(tmp_path / name).st_ino != before
    assert sorted(os.listdir(tmp_path)) == ["out.csv", "out.nc", "out.zarr"]


def test_export_never_replaces_what_is_no_result(gridax, tmp_path):
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "notes.txt").write_text("keep me")
    code, out = gridax("export", "{}/done.zarr", "mine.zarr", "--overwrite")
    assert code == 1
    assert "'mine.zarr' is not a gridax result, so it is not replaced even with --overwrite" in out
    assert (tmp_path / "mine.zarr" / "notes.txt").read_text() == "keep me"


def test_export_compresses(gridax, made, tmp_path):
    gridax("export", "{}/sweep.nc", "plain.nc")
    gridax("export", "{}/sweep.nc", "small.nc", "--complevel", "9")
    assert (tmp_path / "small.nc").stat().st_size < (tmp_path / "plain.nc").stat().st_size
    assert gx.open_result(tmp_path / "small.nc").dataset.identical(
        gx.open_result(made / "sweep.nc").dataset
    )


def test_export_says_that_a_run_is_not_finished(gridax, tmp_path):
    code, out = gridax("export", "{}/half.zarr", "half.nc")
    assert (code, out) == (
        0,
        "Note: 'half.zarr' has 12 of 22 points done, 10 pending; the outputs of all other points are NaN\n"
        "half.nc written\n",
    )
    assert gridax("status", "half.nc")[0] == 3


def test_a_table_has_a_row_per_point(gridax, made, tmp_path):
    assert gridax("export", "{}/done.zarr", "out.csv")[0] == 0
    wanted = gx.open_result(made / "done.zarr").to_dataframe()
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "out.csv"), wanted, check_dtype=False, rtol=1e-6
    )
    assert (tmp_path / "out.csv").read_text().splitlines()[:2] == ["x,y,v", "0.0,1,0.0"]


def test_a_matrix_stands_in_a_table_with_its_label(gridax, tmp_path):
    assert gridax("export", "{}/grouped.zarr", "out.csv")[0] == 0
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["a", "f", "connectome", "V", "value"]
    assert list(table.f) == ["sin"] * 4 + ["cos"] * 4 + ["tan"] * 4
    assert list(table.connectome) == [0, 0, 1, 1] * 3
    assert list(table.V) == ["odd", "even"] * 6


def test_a_table_has_the_numbers_and_a_note_names_the_arrays(gridax, tmp_path):
    assert gridax("export", "{}/sweep.nc", "out.csv") == (
        0,
        "Note: 'out.csv' has the outputs with one value per point; the arrays are left out: course "
        "(time), fc (region × region_2). Write them to tables of their own with --output\n"
        "out.csv written\n",
    )
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["G", "sigma", "trial", "rate"]
    assert len(table) == len(SPACE)


def test_arrays_that_were_not_chosen_are_not_noted(gridax):
    told = gridax("export", "{}/sweep.nc", "out.csv", "--output", "rate")
    assert told == (0, "out.csv written\n")


def test_a_table_of_an_array_has_a_row_per_entry(gridax, made, tmp_path):
    assert gridax("export", "{}/sweep.nc", "out.csv", "--output", "fc", "--output", "rate") == (
        0,
        "out.csv written\n",
    )
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["G", "sigma", "trial", "region", "region_2", "fc", "rate"]
    wanted = gx.open_result(made / "sweep.nc").to_dataframe("fc", "rate")
    pd.testing.assert_frame_equal(table, wanted, check_dtype=False, rtol=1e-6)


def test_arrays_without_common_dimensions_do_not_go_into_one_table(gridax, tmp_path):
    assert gridax("export", "{}/sweep.nc", "out.csv", "--output", "fc", "--output", "course") == (
        1,
        "Error: a table cannot have both fc (region × region_2), course (time), which have "
        "dimensions that the other one lacks; write each to a table of its own\n",
    )
    assert os.listdir(tmp_path) == []


def test_a_table_of_arrays_only_asks_which_one(gridax, tmp_path):
    gridax("export", "{}/sweep.nc", "arrays.nc", "--output", "fc", "--output", "course")
    code, out = gridax("export", "arrays.nc", "out.csv")
    assert code == 1
    assert out == (
        "Error: all outputs are arrays: course (time), fc (region × region_2). Choose which to write "
        "with --output, such as --output course: the table then has one row per point and index of "
        "that array\n"
    )
    assert gridax("export", "arrays.nc", "out.csv", "--output", "course")[0] == 0


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
@pytest.mark.parametrize(
    ("source", "chosen"),
    [("sweep.nc", ["rate", "course"]), ("sweep.nc", ["fc"]), ("half.zarr", ["v"])],
)
def test_export_of_some_outputs_writes_what_opens_again(
    gridax, made, tmp_path, name, source, chosen
):
    options = [each for output in chosen for each in ("--output", output)]
    assert gridax("export", f"{{}}/{source}", name, *options)[0] == 0
    some, whole = gx.open_result(tmp_path / name), gx.open_result(made / source)
    assert [n for n in some.dataset.data_vars if n != "status"] == chosen
    assert len(some) == len(whole)
    assert ("time" in some.dataset.coords) == ("course" in chosen)
    assert ("region" in some.dataset.coords) == ("fc" in chosen)
    for output in chosen:
        np.testing.assert_array_equal(some.dataset[output], whole.dataset[output])
    assert (
        some.dataset.attrs["history"]
        .splitlines()[-1]
        .split(": ", 1)[1]
        .startswith(f"selected {', '.join(chosen)}")
    )
    assert gridax("info", name)[0] == 0


@pytest.mark.parametrize(
    ("chosen", "returned"),
    [(["y", "y.d_a"], {"y"}), (["z", "y.d_a"], {"z"}), (["y.d_a", "z.d_a"], {"y.d_a", "z.d_a"})],
)
def test_export_of_derivatives(chosen, returned, tmp_path):
    space = gx.Space({"a": gx.GridAxis(0, 1, 3)}, mode="product")
    executor = gx.ParallelExecution(lambda s: {"y": s["a"] ** 2, "z": s["a"]}, space)
    executor.run(derivatives="a", progress=False).to_netcdf(tmp_path / "all.nc")
    options = [each for output in chosen for each in ("--output", output)]
    paths = [str(tmp_path / name) for name in ("all.nc", "some.nc")]
    assert CliRunner().invoke(main, ["export", *paths, *options]).exit_code == 0
    some = gx.open_result(paths[1])
    assert set(some.dataset.data_vars) == set(chosen)
    assert set(some[1]) == returned
    assert float(some.dataset["y.d_a"].sel(a=0.5)) == 1.0


def test_an_export_without_derivatives_can_be_extended_without_them(tmp_path):
    def executor(n):
        return gx.ParallelExecution(lambda s: s["a"] ** 2, gx.Space({"a": gx.GridAxis(0, 1, n)}))

    executor(3).run(derivatives="a", progress=False).to_netcdf(tmp_path / "all.nc")
    paths = [str(tmp_path / name) for name in ("all.nc", "some.nc")]
    CliRunner().invoke(main, ["export", *paths, "--output", "value"], catch_exceptions=False)
    more = executor(5).run(extend=paths[1], progress=False).dataset
    assert more["value"].values.tolist() == [0.0, 0.0625, 0.25, 0.5625, 1.0]


def test_export_of_an_output_that_does_not_exist(gridax, tmp_path):
    for name in ("out.nc", "out.zarr", "out.csv"):
        code, out = gridax("export", "{}/sweep.nc", name, "--output", "rat")
        assert (code, out) == (1, "Error: no output 'rat'; the outputs are rate, course, fc\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.h5"], "the name of FILE must end in .nc, .zarr, .csv; got 'out.h5'"),
        (
            ["s3://bucket/out.zarr"],
            "FILE must be a local path, not a URL; got 's3://bucket/out.zarr'",
        ),
        (
            ["out.zarr", "--complevel", "4"],
            "--complevel applies to netCDF files (.nc) only; got 'out.zarr'",
        ),
        (["out.nc", "--complevel", "10"], "10 is not in the range 0<=x<=9."),
    ],
)
def test_wrong_use_of_export(gridax, arguments, message):
    code, out = gridax("export", "{}/done.zarr", *arguments)
    assert code == 2
    assert out.endswith(f"{message}\n")


@pytest.mark.parametrize("name", ["nowhere/out.nc", "nowhere/out.zarr", "nowhere/out.csv"])
def test_export_into_no_folder(gridax, name):
    code, out = gridax("export", "{}/done.zarr", name)
    assert code == 1
    assert "nowhere' does not exist; create it first" in out


# --- plot and explore -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["p.png", "p.pdf", "p.svg"])
@pytest.mark.sampled(2)
def test_plot_draws_to_a_file(gridax, tmp_path, name):
    arguments = ("rate", "-x", "G", "-y", "sigma", "--mean", "trial", "-o", name)
    assert gridax("plot", "{}/sweep.nc", *arguments) == (0, f"{name} written\n")
    assert (tmp_path / name).stat().st_size > 2000


def test_a_picture_is_called_like_file_and_output(gridax, tmp_path):
    assert gridax("plot", "{}/done.zarr/") == (0, "done-v.png written\n")
    assert gridax(
        "plot", "{}/sweep.nc", "fc", "--sel", "G=0.3", "--mean", "trial", "--sel", "sigma=0.01"
    ) == (
        0,
        "sweep-fc.png written\n",
    )


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("layers[0].(x)-y", "sweep-layers[0].(x)-y.png"),
        ("x/../../evil", "sweep-x_.._.._evil.png"),
        ("C:\\evil", "sweep-C__evil.png"),
        ("a\0b\n", "sweep-a_b_.png"),
        ("größe 1", "sweep-größe_1.png"),
    ],
)
def test_the_name_of_an_output_never_leads_out_of_the_folder(output, name):
    assert draw._file_name("folder/sweep.nc", output) == Path(name)


@pytest.fixture
def drawn(monkeypatch):
    """What `Result.plot` is called with; it draws nothing."""
    calls = []
    monkeypatch.setattr(
        gx.Result, "plot", lambda self, output, **roles: calls.append((output, roles))
    )
    return calls


def test_plot_hands_its_options_on(gridax, drawn):
    options = "course -x time --hue sigma --row G --mean trial"
    gridax("plot", "{}/sweep.nc", *options.split())
    gridax("plot", "{}/grouped.zarr", "--sel", "f=cos", "--sel", "connectome=1", "--sel", "a=0.3")
    roles = {"x": "time", "y": None, "hue": "sigma", "row": "G", "col": None}
    assert drawn == [
        ("course", {**roles, "mean": ("trial",), "sel": None}),
        (
            "value",
            {**dict.fromkeys(roles), "mean": None, "sel": {"f": "cos", "connectome": 1, "a": 0.3}},
        ),
    ]


def test_plot_hands_on_what_describes_a_band(gridax, drawn):
    for spread in ("sem", "0.9", "0.5 --spread 0.9"):
        options = f"rate -x G --band trial --kind step --spread {spread}"
        gridax("plot", "{}/sweep.nc", *options.split())
    assert [roles["spread"] for _, roles in drawn] == ["sem", [0.9], [0.5, 0.9]]
    assert {(roles["band"], roles["kind"]) for _, roles in drawn} == {(("trial",), "step")}


def test_errors_about_bands_and_kinds_speak_of_options(gridax):
    for options, message in {
        "rate -x G --mean trial --kind step -y sigma": (
            "--kind step draws the values along y; use --hue in place of -y"
        ),
        "rate --spread 0.9": "--spread [0.9] describes a band; name its dimension with --band",
        "rate --band tril": (
            "'rate' has no dimension 'tril'; its dimensions are G, sigma, trial; did you mean "
            "'trial'?"
        ),
    }.items():
        assert gridax("plot", "{}/sweep.nc", *options.split()) == (1, f"Error: {message}\n")
    code, out = gridax("plot", "{}/sweep.nc", "rate", "--band", "trial", "--spread", "wide-ish")
    assert code == 2
    assert "--spread takes sd, sem or range, or shares such as 0.9; got wide-ish" in out


def test_the_nearest_number_is_taken_and_told(gridax, drawn):
    code, out = gridax("plot", "{}/sweep.nc", "--sel", "G=0.32", "--sel", "sigma=1e-2")
    assert code == 0
    assert out.startswith("Note: 'G' has no label 0.32; using the nearest one, 0.3\n")
    assert "sigma" not in out
    assert drawn[0][1]["sel"] == {"G": 0.3, "sigma": 0.01}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("rat", "no output 'rat'; the outputs are rate, course, fc"),
        (
            "rate --mean tril",
            "'rate' has no dimension 'tril'; its dimensions are G, sigma, trial; did you mean 'trial'?",
        ),
        ("rate -x time", "'rate' has no dimension 'time'; its dimensions are G, sigma, trial"),
        ("rate --sel g=0.3", "'rate' has no dimension 'g'; its dimensions are G, sigma, trial"),
        ("rate --sel G=3", "'G' has no label '3'; its labels range from 0.1 to 0.8"),
        ("rate --sel G=high", "'G' has no label 'high'; its labels range from 0.1 to 0.8"),
        ("fc --sel region=V3", "'region' has no label 'V3'; the closest are V1, V2"),
        ("fc --sel region=Z", "'region' has no label 'Z'; the labels are V1, V2, M1"),
        ("fc --sel region_2=7", "'region_2' has no label '7'; its labels range from 0 to 2"),
    ],
)
def test_wrong_names_and_labels(gridax, arguments, message):
    assert gridax("plot", "{}/sweep.nc", *arguments.split()) == (1, f"Error: {message}\n")


def test_errors_of_a_picture_speak_of_options(gridax, monkeypatch):
    def refuse(self, output, **roles):
        raise ValueError("average over a dimension with mean=, or choose labels with sel=")

    monkeypatch.setattr(gx.Result, "plot", refuse)
    assert gridax("plot", "{}/sweep.nc") == (
        1,
        "Error: average over a dimension with --mean, or choose labels with --sel\n",
    )


def test_a_date_is_selected_as_it_is_written(gridax, tmp_path):
    days = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")
    run = gx.ParallelExecution(lambda s: {"v": s["x"] * jnp.arange(2.0)}, SMALL)
    dates = {"dims": {"v": ("day",)}, "coords": {"day": days}}
    run.run(progress=False, **dates).to_netcdf(tmp_path / "days.nc")
    assert gridax("plot", "days.nc", "v", "--sel", "day=2020-01-02")[0] == 0
    code, out = gridax("plot", "days.nc", "v", "--sel", "day=2020-01-03")
    assert code == 1
    assert "'day' has no label '2020-01-03'; the closest are 2020-01-01, 2020-01-02" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-o p.jpg", "the name of FIGURE must end in .png, .pdf, .svg; got 'p.jpg'"),
        ("--sel G", "--sel takes NAME=LABEL, such as --sel G=0.3; got 'G'"),
    ],
)
def test_wrong_use_of_plot(gridax, arguments, message):
    code, out = gridax("plot", "{}/sweep.nc", *arguments.split())
    assert code == 2
    assert out.endswith(f"Error: {message}\n")


def test_explore_writes_a_page(gridax, tmp_path):
    code, out = gridax("explore", "{}/sweep.nc", "-o", "page.html")
    assert (code, out) == (
        0,
        f"page.html written, {human((tmp_path / 'page.html').stat().st_size)}\n",
    )
    assert gridax("explore", "{}/sweep.nc", "rate", "-o", "rate.html")[0] == 0
    page, rate = ((tmp_path / name).read_text() for name in ("page.html", "rate.html"))
    assert "sweep.nc" in page
    assert len(rate) < len(page)


def test_wrong_use_of_explore(gridax):
    code, out = gridax("explore", "{}/sweep.nc", "-o", "page.htm")
    assert (code, out.endswith("Error: the name of PAGE must end in .html; got 'page.htm'\n")) == (
        2,
        True,
    )
    assert gridax("explore", "{}/sweep.nc", "rat", "-o", "page.html") == (
        1,
        "Error: no output 'rat'; the outputs are rate, course, fc\n",
    )


def test_explore_hands_its_options_on(gridax, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(gx.Result, "explore", lambda self, *given, **view: Saved(given, view))

    class Saved:
        def __init__(self, *view):
            calls.append(view)

        def save(self, path, *given, **options):
            calls.append((given, options))
            path.write_text("")

    options = "-x G -y sigma --mean trial --sel G=0.3 --sel region=V1 --cmap magma --vmin -1"
    options += " --vmax 2e3 --log --theme dark --every time=10 --max-size 5MB -o page.html"
    code, out = gridax("explore", "{}/sweep.nc", "rate", "fc", *options.split())
    assert (code, out) == (0, "page.html written, 0 B\n")
    view, saved = calls
    assert view == (
        ("rate",),
        {
            "x": "G",
            "y": "sigma",
            "mean": ("trial",),
            "sel": {"G": "0.3", "region": "V1"},
            "cmap": "magma",
            "vmin": -1.0,
            "vmax": 2000.0,
            "norm": "log",
            "theme": "dark",
        },
    )
    assert saved == ((["rate", "fc"], "5MB"), {"every": {"time": 10}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--sel G=3", "--sel 'G': 3 is outside the range of the labels, 0.1 to 0.8"),
        ("--sel G=high", "--sel 'G': the labels are numbers, got 'high'"),
        ("--sel region=V3", "--sel 'region': no label 'V3'; the labels are V1, V2, M1"),
        ("--sel q=1", "no coordinate --sel 'q'; select from G, sigma, trial, "),
        ("--mean time", "--mean 'time' is no dimension of output 'rate'; average over G, "),
        ("-x time", "-x 'time': output 'rate' varies along G, sigma, trial"),
        ("-x G --mean G", "--mean 'G' and -x 'G': leave out one of them"),
        ("--cmap jet", "--cmap 'jet' must be one of viridis, "),
        ("--log --vmin -1", "--vmin -1.0 must be positive with --log"),
        ("--vmin 2 --vmax 1", "--vmin 2 must be smaller than --vmax 1"),
        ("--every tim=2", "--every 'tim' is no dimension; the dimensions are G, sigma, trial"),
        ("--max-size much", "--max-size must be a positive number of bytes or text such as '4 GB'"),
    ],
)
def test_errors_of_explore_speak_of_options(gridax, arguments, message):
    code, out = gridax("explore", "{}/sweep.nc", "rate", "-o", "page.html", *arguments.split())
    assert code == 1
    assert f"Error: {message}" in out
    assert "=" not in message.replace("G=", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--sel G -o page.html", "--sel takes NAME=LABEL, such as --sel G=0.3; got 'G'"),
        ("--every time -o page.html", "--every takes NAME=N, such as --every time=10; got 'time'"),
        ("--every G=0 -o page.html", "--every takes NAME=N, such as --every time=10; got 'G=0'"),
        ("--every G=2", "--every makes a page smaller; name the page with -o"),
    ],
)
def test_wrong_options_of_explore(gridax, arguments, message):
    code, out = gridax("explore", "{}/sweep.nc", *arguments.split())
    assert code == 2
    assert out.endswith(f"Error: {message}\n")


def test_a_page_that_is_too_large_is_refused_with_options_that_exist(gridax):
    code, out = gridax("explore", "{}/sweep.nc", "-o", "page.html", "--max-size", "1 MB")
    assert code == 1
    assert " MB, more than --max-size 1 MB: " in out
    advice = out.partition("; ")[2]
    assert re.fullmatch(
        r"save fewer outputs by naming them after FILE, (keep one in 10 labels of a dimension with "
        r"--every \w+=10, )?or raise --max-size\n",
        advice,
    )
    _, help_text = gridax("explore", "--help")
    for option in re.findall(r"--[\w-]+", out):
        assert option in help_text


@pytest.mark.slow
def test_explore_serves_a_page_until_ctrl_c(made):
    server = process("explore", made / "sweep.nc", "--no-browser")
    assert server.stderr.readline() == "Press Ctrl-C to stop.\n"
    address = re.search(r"http://localhost:\d+", server.stdout.readline())[0]
    for _ in range(3000):
        try:
            with urllib.request.urlopen(address, timeout=600) as page:
                assert page.status == 200
            break
        except urllib.error.URLError:
            time.sleep(0.2)
    else:
        pytest.fail(f"nothing answers at {address}")
    server.send_signal(signal.SIGINT)
    assert ended(server)[0] == 0


# --- pipes and terminals ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_pipe_gets_plain_text_of_80_columns(made):
    plain = ended(process("info", made / "sweep.nc"))
    assert plain[0] == 0
    assert "\x1b" not in plain[1]
    assert max(map(len, plain[1].splitlines()[1:])) <= 80
    assert not re.search(r" $", plain[1], re.MULTILINE)


@pytest.mark.slow
def test_a_terminal_gets_styles_and_no_colors_where_they_are_not_wanted(made):
    code, seen = terminal("info", made / "sweep.nc")
    assert code == 0
    assert "\x1b[1m" in seen
    code, seen = terminal("info", made / "sweep.nc", env={"NO_COLOR": "1"})
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", seen)


@pytest.mark.slow
def test_a_terminal_that_lacks_characters_gets_others(made):
    latin = {"env": {"PYTHONIOENCODING": "latin-1"}, "encoding": "latin-1"}
    code, out, err = ended(process("info", made / "sweep.nc", **latin))
    assert (code, err) == (0, "")
    assert "0.1 ? 0.8" in out


@pytest.mark.slow
def test_a_reader_may_close_the_pipe(made):
    command = f"{shlex.join(GRIDAX)} info {made / 'sweep.nc'} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=600)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.slow
def test_reading_starts_no_gpu_unless_it_is_wanted(made):
    script = (
        "from gridax.cli import main\n"
        f"main(['info', {str(made / 'done.zarr')!r}], standalone_mode=False)\n"
        "import jax; print(jax.config.jax_platforms)"
    )
    free = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    for wanted, platforms in (({}, "cpu"), ({"JAX_PLATFORMS": "cpu,cuda"}, "cpu,cuda")):
        done = subprocess.run(
            [sys.executable, "-c", script], env=free | wanted, capture_output=True, text=True
        )
        assert done.stdout.splitlines()[-1] == platforms, done.stderr


@pytest.mark.slow
def test_the_model_is_not_imported(tmp_path):
    (tmp_path / "mine.py").write_text("def model(state):\n    return state['x'] + 1\n")
    write = (
        "import gridax as gx, mine\n"
        "space = gx.Space({'x': gx.GridAxis(0, 1, 3)}, mode='product')\n"
        "gx.ParallelExecution(mine.model, space).run(store='run.zarr', progress=False)"
    )
    subprocess.run([sys.executable, "-c", write], cwd=tmp_path, check=True, timeout=600)
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')")
    read = "from gridax.cli import main\n" + "".join(
        f"main({line.split()}, standalone_mode=False)\n"
        for line in ("info run.zarr", "export run.zarr run.nc", "plot run.zarr")
    )
    subprocess.run([sys.executable, "-c", read], cwd=tmp_path, check=True, timeout=600)
    assert sorted(path.name for path in tmp_path.glob("run*")) == [
        "run-value.png",
        "run.nc",
        "run.zarr",
    ]


@pytest.mark.slow
def test_importing_gridax_does_not_import_the_command_line():
    script = "import sys, gridax; print([m for m in sys.modules if m.split('.')[0] in ('click', 'rich') or m.startswith('gridax.cli')])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# --- demo -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What `gridax demo` says and makes, after it was interrupted once."""
    folder = tmp_path_factory.mktemp("demo")
    started = process("demo", cwd=folder)
    while not (folder / "gridax-demo/demo.zarr").exists():
        assert started.poll() is None
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    interrupted = ended(started)
    code, out, err = ended(process("demo", cwd=folder))
    assert (code, err) == (0, "")
    return folder, out, interrupted


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_and_the_same_command_goes_on(demo):
    assert demo[2] == (130, "", "Interrupted; run the same command again to resume.\n")


@pytest.mark.slow
def test_the_demo_says_what_it_made(demo):
    folder, out, _ = demo
    assert sorted(os.listdir(folder / "gridax-demo")) == ["demo.nc", "demo.png", "demo.zarr"]
    assert (
        "Written:\n  gridax-demo/demo.zarr  the store of the sweep\n  gridax-demo/demo.nc " in out
    )
    assert (folder / "gridax-demo/demo.png").stat().st_size > 20_000


@pytest.mark.slow
def test_what_the_demo_says_next_works(demo, monkeypatch):
    folder, out, _ = demo
    monkeypatch.chdir(folder)
    lines = re.findall(r"^  gridax (.*)$", out, re.MULTILINE)
    assert len(lines) == 5
    for line in lines:
        arguments = line.split() + (["-o", "page.html"] if line.startswith("explore") else [])
        done = CliRunner(catch_exceptions=False).invoke(main, arguments)
        assert (done.exit_code, done.output.count("Error")) == (0, 0), done.output
    namespace = {"gridax": gx}
    exec(
        "\n".join(line.strip() for line in out.partition("In Python:\n")[2].splitlines()), namespace
    )


@pytest.mark.slow
def test_coupling_switches_the_network_on_and_fc_fits_best_in_between(demo):
    result = gx.open_result(demo[0] / "gridax-demo/demo.nc")
    assert result.space.dims == ("G", "trial")
    assert result.dataset["G"].attrs["long_name"] == "global coupling G"
    activity = result.dataset["S"].mean(["trial", "region"])
    assert activity.sel(G=0.1) < 0.15
    assert activity.sel(G=0.4) > 0.4
    assert (activity.diff("G") > 0).all()
    fit = result.dataset["fit"].mean("trial")
    assert 0.15 < fit.idxmax("G") < 0.3
    assert fit.max() > 2 * max(fit.sel(G=0.1), fit.sel(G=0.4))
    deviation = result.dataset["course"].std("time").mean("trial")
    assert abs(deviation.idxmax("G") - fit.idxmax("G")) < 0.025


@pytest.mark.slow
def test_the_demo_sweeps_the_measured_connectome_of_tvboptim(demo):
    data = pytest.importorskip("tvboptim.data")
    regions = data.load_structural_connectivity("dk_average")[2]
    dataset = gx.open_result(demo[0] / "gridax-demo/demo.nc").dataset
    assert dataset["region"].values.tolist() == list(regions)
    assert dataset["fit"].attrs["long_name"] == "fit to measured FC, r"


@pytest.mark.slow
def test_the_demo_needs_no_tvboptim(monkeypatch):
    monkeypatch.setitem(sys.modules, "tvboptim", None)
    network.connectome.cache_clear()
    try:
        made_up = network.connectome()
        space = network.space()[[0, -1]]
        run = gx.ParallelExecution(network.model, space).run(progress=False)
        quiet, active = run.dataset["S"].mean("region").values
    finally:
        network.connectome.cache_clear()
    weights = made_up.weights
    assert weights.shape == (84, 84)
    assert len(set(made_up.regions)) == 84
    np.testing.assert_array_equal(weights, weights.T)
    np.testing.assert_allclose(weights.sum(axis=1).mean(), 1)
    assert run.dataset["fit"].attrs["long_name"] == "fit to connectome, r"
    assert quiet < 0.15 < 0.4 < active


@pytest.mark.slow
def test_the_regions_of_the_demo_are_those_of_tvboptim():
    wong_wang = pytest.importorskip("tvboptim.experimental.network_dynamics.dynamics.tvb")
    region = wong_wang.ReducedWongWang()
    S, received = np.random.default_rng(0).uniform(0, 0.6, (2, 1, 50))
    inputs = types.SimpleNamespace(instant=received, delayed=0 * received)
    slopes = region.dynamics(0.0, S, region.DEFAULT_PARAMS, inputs, None)[0]
    np.testing.assert_allclose(network.drift(S, received), slopes, rtol=1e-5)


@pytest.mark.slow
def test_the_demo_goes_on_with_what_is_there(demo):
    folder, first, _ = demo
    status = folder / "gridax-demo/demo.zarr/status"
    before = [path.stat().st_mtime_ns for path in sorted(status.rglob("*"))]
    code, out, err = ended(process("demo", cwd=folder))
    assert (code, out, err) == (0, first, "")
    assert [path.stat().st_mtime_ns for path in sorted(status.rglob("*"))] == before


@pytest.mark.slow
def test_the_demo_replaces_nothing(made, tmp_path):
    shutil.copytree(made / "done.zarr", tmp_path / "demo.zarr")
    assert ended(process("demo", tmp_path)) == (
        1,
        "",
        f"Error: '{tmp_path}/demo.zarr' does not hold this sweep, or it holds the sweep of another "
        "connectome; choose another folder: gridax demo FOLDER\n",
    )


# --- documentation ----------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs/command-line.md"


def shown(section):
    """The text blocks of a section of the page."""
    text = PAGE.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"```text\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_page_shows_what_the_demo_says_and_info_finds(demo, monkeypatch):
    folder, out, _ = demo
    monkeypatch.chdir(folder)
    assert shown("gridax demo") == [out]
    found = CliRunner().invoke(main, ["info", "gridax-demo/demo.zarr"]).output
    on_page = shown("gridax info")[0]
    varying = r"^  (when|on|with) .*$"  # with time, machine and version
    assert re.sub(varying, "", found, flags=re.M) == re.sub(varying, "", on_page, flags=re.M)


def test_the_page_lists_all_commands_and_codes(gridax):
    page = PAGE.read_text()
    assert all(f"\n## gridax {command}\n" in page for command in COMMANDS)
    codes = re.findall(r"^    (\d+)  +(.*)$", gridax("status", "--help")[1], re.MULTILINE)
    assert re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE) == [
        (code, text.replace("--watch", "`--watch`")) for code, text in codes
    ]
