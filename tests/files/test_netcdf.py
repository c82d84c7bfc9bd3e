"""Files appear whole or not at all, replace only what may be replaced, and open or say why not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from tests.ids import plain

SPACE = gx.Space({"x": gx.GridAxis(0, 1, 5), "k": gx.KeyAxis(3)}, mode="product")


def run(factor=1.0):
    return gx.ParallelExecution(lambda s: factor * s["x"] * jnp.ones(20), SPACE).run(progress=False)


@pytest.fixture(scope="module")
def result():
    return run()


def save(result, path, **options):
    method = result.to_zarr if path.suffix == ".zarr" else result.to_netcdf
    method(path, **options)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["run.nc", "run.zarr", "no suffix", "ünï çödé.nc"])
def test_a_saved_result_is_one_file_and_nothing_stays_beside_it(result, tmp_path, name):
    save(result, tmp_path / name)
    assert names_in(tmp_path) == [name]
    assert gx.open_result(tmp_path / name).dataset.identical(result.dataset)


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_a_path_may_be_relative_and_a_string(result, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (result.to_zarr if name.endswith("zarr") else result.to_netcdf)(name)
    assert gx.open_result(name).dataset.identical(result.dataset)


def test_a_netcdf_file_is_replaced(result, tmp_path):
    path = tmp_path / "run.nc"
    run(2.0).to_netcdf(path)
    opened = gx.open_result(path)
    result.to_netcdf(path)
    assert gx.open_result(path).dataset.identical(result.dataset)
    assert opened.dataset["value"].max() == 2  # who has opened the old file keeps it
    assert names_in(tmp_path) == ["run.nc"]


@pytest.mark.parametrize("content", [b"print('my script')", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_file_that_is_no_result_is_not_replaced(result, tmp_path, content):
    file = tmp_path / "script.py"
    file.write_bytes(content)
    text = (
        f"{str(file)!r} is not a gridax result, so it is not replaced; give another name, or remove"
    )
    with pytest.raises(FileExistsError, match=re.escape(text)):
        result.to_netcdf(file)
    assert file.read_bytes() == content


def test_an_empty_file_is_replaced(result, tmp_path):
    (tmp_path / "new.nc").touch()
    result.to_netcdf(tmp_path / "new.nc")
    assert gx.open_result(tmp_path / "new.nc").dataset.identical(result.dataset)


def test_a_zarr_store_is_replaced_only_when_asked_for(result, tmp_path):
    path = tmp_path / "run.zarr"
    run(2.0).to_zarr(path)
    text = f"{str(path)!r} exists; pass overwrite=True to replace a result"
    with pytest.raises(FileExistsError, match=re.escape(text)):
        result.to_zarr(path)
    assert gx.open_result(path).dataset["value"].max() == 2
    result.to_zarr(path, overwrite=True)
    assert gx.open_result(path).dataset.identical(result.dataset)
    assert names_in(tmp_path) == ["run.zarr"]


def a_text_file(path):
    path.write_text("my notes")


def a_folder(path):
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def a_zarr_store_of_somebody_else(path):
    xr.Dataset({"a": ("x", [1, 2])}).to_zarr(path, zarr_format=3, consolidated=False)


def a_netcdf_result(path):
    run().to_netcdf(path)


@pytest.mark.parametrize(
    "make", [a_text_file, a_folder, a_zarr_store_of_somebody_else, a_netcdf_result]
)
def test_nothing_but_a_zarr_result_is_replaced_by_one(result, tmp_path, make):
    path = tmp_path / "data"
    make(path)
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    text = f"{str(path)!r} is not a gridax result, so it is not replaced even with overwrite=True"
    with pytest.raises(FileExistsError, match=re.escape(text)):
        result.to_zarr(path, overwrite=True)
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_a_link_stays_a_link(result, tmp_path, name):
    (tmp_path / "big disk").mkdir()
    target, link = tmp_path / "big disk" / name, tmp_path / name
    save(run(2.0), target)
    link.symlink_to(target)
    save(result, link, **({"overwrite": True} if name.endswith("zarr") else {}))
    assert link.is_symlink()
    assert gx.open_result(target).dataset.identical(result.dataset)
    assert names_in(tmp_path / "big disk") == [name]


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_a_folder_that_does_not_exist_is_not_made(result, tmp_path, name):
    text = f"the folder {str(tmp_path / 'missing')!r} does not exist; create it first"
    with pytest.raises(FileNotFoundError, match=re.escape(text)):
        save(result, tmp_path / "missing" / name)
    assert names_in(tmp_path) == []


def test_netcdf_does_not_go_over_a_folder(result, tmp_path):
    (tmp_path / "run.nc").mkdir()
    text = f"{str(tmp_path / 'run.nc')!r} is a folder; give the name of a file"
    with pytest.raises(IsADirectoryError, match=re.escape(text)):
        result.to_netcdf(tmp_path / "run.nc")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_netcdf_does_not_go_over_a_device(result, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    text = f"{str(path)!r} is not a regular file; give another name"
    with pytest.raises(FileExistsError, match=re.escape(text)):
        result.to_netcdf(path)
    assert path.is_fifo()


@pytest.mark.parametrize("method", ["to_netcdf", "to_zarr"])
@pytest.mark.parametrize("path", [None, 3, ["run.nc"]], ids=plain)
def test_what_is_no_path_is_refused(result, method, path):
    with pytest.raises(TypeError, match=r"str, bytes or os.PathLike object"):
        getattr(result, method)(path)


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_an_attribute_that_would_change_the_data_leaves_the_old_file(result, tmp_path, name):
    path = tmp_path / name
    save(result, path)
    bad = run(2.0)
    bad.dataset["value"].attrs["scale_factor"] = 2.0
    text = "variable 'value': the attribute 'scale_factor' would change the data when a file is"
    with pytest.raises(ValueError, match=re.escape(text)):
        save(bad, path, **({"overwrite": True} if name.endswith("zarr") else {}))
    assert gx.open_result(path).dataset.identical(result.dataset)
    assert names_in(tmp_path) == [name]


def write(content):
    return lambda path: path.write_bytes(content)


def a_plain_netcdf_file(path):
    xr.Dataset({"a": ("x", [1, 2])}).to_netcdf(path)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (write(b"G, rate\n0.1, 3\n"), "cannot be read as a netCDF file (OSError: "),
        (write(b""), "cannot be read as a netCDF file (OSError: "),
        (write(b"\x89HDF\r\n\x1a\n" + bytes(100)), "cannot be read as a netCDF file (OSError: "),
        (write(b"CDF\x01" + bytes(100)), "cannot be"),
        (a_folder, "cannot be read as a Zarr store (ValueError: there is no Zarr store"),
        (
            a_plain_netcdf_file,
            "cannot be opened as a result: it is not a gridax result, as the attribute "
            "'gridax_format' is missing; xarray.open_dataset opens any netCDF file",
        ),
        (
            a_zarr_store_of_somebody_else,
            "cannot be opened as a result: it is not a gridax result, as the attribute",
        ),
    ],
    ids=["text", "empty", "HDF5 header", "netCDF header", "folder", "plain netCDF", "plain Zarr"],
)
def test_what_is_no_result_is_not_opened(tmp_path, make, text):
    path = tmp_path / "data"
    make(path)
    with pytest.raises(ValueError, match=re.escape(f"{str(path)!r} {text}")):
        gx.open_result(path)


def test_a_truncated_file_is_not_opened(result, tmp_path):
    result.to_netcdf(tmp_path / "whole.nc")
    content = (tmp_path / "whole.nc").read_bytes()
    path = tmp_path / "part.nc"
    for size in np.linspace(0, len(content) - 1, 12, dtype=int):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="cannot be read as a netCDF file"):
            gx.open_result(path)


def test_a_flipped_byte_in_the_data_is_found_when_they_are_read(result, tmp_path):
    result.to_netcdf(tmp_path / "whole.nc")
    content = (tmp_path / "whole.nc").read_bytes()
    data = result.dataset["value"].values.tobytes()
    start = content.index(data)
    for i, offset in enumerate((0, len(data) // 2, len(data) - 1)):
        damaged = bytearray(content)
        damaged[start + offset] ^= 1
        path = tmp_path / f"damaged{i}.nc"
        path.write_bytes(damaged)
        opened = gx.open_result(path)
        with pytest.raises((OSError, RuntimeError), match="HDF error"):
            opened.to_dataframe()


def test_a_flipped_byte_in_the_labels_is_found_when_the_file_is_opened(result, tmp_path):
    result.to_netcdf(tmp_path / "whole.nc")
    content = bytearray((tmp_path / "whole.nc").read_bytes())
    content[content.index(SPACE.dataset["x"].values.tobytes()) + 9] ^= 1
    (tmp_path / "damaged.nc").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as a netCDF file"):
        gx.open_result(tmp_path / "damaged.nc")


def test_a_file_with_random_damage_is_refused_or_gives_what_was_saved(result, tmp_path):
    result.to_netcdf(tmp_path / "whole.nc")
    content = (tmp_path / "whole.nc").read_bytes()
    rng = np.random.default_rng(0)
    refusals, noticed = [], 0
    for i, start in enumerate(rng.integers(0, len(content) - 64, size=80)):
        damaged = bytearray(content)
        damaged[start : start + 64] = rng.bytes(64)
        path = tmp_path / f"damaged{i}.nc"
        path.write_bytes(damaged)
        try:
            opened = gx.open_result(path)
        except ValueError as error:
            refusals.append((path, str(error)))
        else:
            with opened.dataset as dataset:
                assert dataset.attrs == result.dataset.attrs
                for name, variable in result.dataset.variables.items():
                    try:
                        values = dataset.variables[name].values
                    except (OSError, RuntimeError):
                        noticed += 1
                    else:
                        np.testing.assert_array_equal(values, variable.values)
    assert refusals
    assert noticed
    assert all(str(path) in text for path, text in refusals)


@pytest.mark.parametrize(
    ("missing", "error"), [("zarr.json", ValueError), ("x", OSError), ("value", OSError)]
)
def test_what_a_zarr_result_lost_is_named_and_not_replaced_by_zeros(
    result, tmp_path, missing, error
):
    path = tmp_path / "run.zarr"
    result.to_zarr(path)
    lost = path / missing
    lost.unlink() if lost.is_file() else shutil.rmtree(lost)
    with pytest.raises(error, match=re.escape(str(path))):
        gx.open_result(path).dataset.load()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(result, tmp_path):
    path = tmp_path / "run.nc"
    result.to_netcdf(path)
    path.chmod(0)
    with pytest.raises(PermissionError):
        gx.open_result(path)


@pytest.mark.parametrize("opener", [gx.open_result, gx.Result.open])
def test_both_ways_to_open_are_the_same(result, tmp_path, opener):
    result.to_netcdf(tmp_path / "run.nc")
    opened = opener(Path(tmp_path / "run.nc"))
    assert isinstance(opened, gx.Result)
    assert opened.dataset.identical(result.dataset)


def test_a_url_of_this_machine_names_a_file(result, tmp_path):
    result.to_netcdf(tmp_path / "the run.nc")
    url = (tmp_path / "the run.nc").as_uri()
    assert gx.open_result(url).dataset.identical(result.dataset)


def test_an_empty_path_is_refused():
    text = "open_result got an empty path; pass the name of a file or a store"
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.open_result("")


@pytest.mark.slow
def test_a_file_with_texts_is_opened_many_times_in_a_process(tmp_path):
    # HDF5 2 forgets where texts of any length lie; with this setting what is freed is overwritten.
    space = gx.Space(
        {"m": gx.ChoiceAxis(["heun", "é", ""]), "a": gx.ChoiceAxis(["x", "yy"])}, "product"
    )
    run = gx.SequentialExecution(lambda s: {"n": len(s["m"])}, space).run(progress=False)
    run.to_netcdf(tmp_path / "texts.nc")
    program = """
import gridax as gx
kept, n = {}, 0
for step in "o o o 2 o o 3 4 0 o".split():
    if step == "o":
        kept[n] = gx.open_result("texts.nc")
        n += 1
    else:
        kept.pop(int(step))
print(*(result.dataset["m"].values.tolist() for result in kept.values()))
"""
    environment = {**os.environ, "MALLOC_PERTURB_": "165"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['heun', 'é', ''] ['heun', 'é', '']\n"


def test_what_was_computed_from_a_result_is_not_called_damaged(result, tmp_path):
    result.dataset.isel(x=slice(0, 1)).to_netcdf(tmp_path / "part.nc")
    text = (
        "it does not hold the whole space that it describes, as after selecting or averaging: 'x'"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.open_result(tmp_path / "part.nc")
    name = next(iter(result.dataset.data_vars))
    result.dataset.drop_vars(name).to_netcdf(tmp_path / "few.nc")
    text = f"it lacks the outputs [{name!r}], as after selecting some; open it with xarray"
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.open_result(tmp_path / "few.nc")


@pytest.mark.parametrize("complevel", [1, 4, 9])
def test_a_compressed_file_holds_the_same_in_less_room(tmp_path, complevel):
    smooth = run()
    smooth.to_netcdf(tmp_path / "plain.nc")
    smooth.to_netcdf(tmp_path / "small.nc", complevel=complevel)
    assert gx.open_result(tmp_path / "small.nc").dataset.identical(smooth.dataset)
    with xr.open_dataset(tmp_path / "small.nc") as dataset:
        assert dataset["value"].encoding["complevel"] == complevel
        assert dataset["value"].encoding["shuffle"]
        assert dataset["value"].encoding["fletcher32"]  # damage is found as in any other
    large = gx.SequentialExecution(lambda s: np.full(50_000, 0.5), SPACE).run(progress=False)
    large.to_netcdf(tmp_path / "plain.nc")
    large.to_netcdf(tmp_path / "small.nc", complevel=complevel)
    sizes = [(tmp_path / name).stat().st_size for name in ("plain.nc", "small.nc")]
    assert 20 * sizes[1] < sizes[0]
    assert names_in(tmp_path) == ["plain.nc", "small.nc"]


@pytest.mark.parametrize("complevel", [-1, 10, 1.0, "4", True, None], ids=plain)
def test_other_levels_of_compression_are_refused(result, tmp_path, complevel):
    text = f"complevel must be a whole number from 0 to 9, got {complevel!r}"
    with pytest.raises(ValueError, match=re.escape(text)):
        result.to_netcdf(tmp_path / "run.nc", complevel=complevel)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "complex64", "int4", "bool"])
@pytest.mark.parametrize("complevel", [0, 3])
def test_outputs_of_any_type_are_compressed(tmp_path, dtype, complevel):
    typed = gx.SequentialExecution(lambda s: jnp.arange(3).astype(dtype), SPACE).run(progress=False)
    typed.to_netcdf(tmp_path / "run.nc", complevel=complevel)
    again = gx.open_result(tmp_path / "run.nc").dataset["value"]
    assert again.dtype == jnp.dtype(dtype)
    assert again.values.tobytes() == typed.dataset["value"].values.tobytes()


@pytest.mark.parametrize("url", ["memory://run.zarr", "s3://bucket/run.zarr"])
def test_saving_to_a_url_says_how_it_is_done(result, url):
    with pytest.raises(
        ValueError,
        match=re.escape(f"to_zarr writes to a folder, got the URL {url!r}; use run(store="),
    ):
        result.to_zarr(url)
    with pytest.raises(ValueError, match=re.escape(f"of this machine, got the URL {url!r}; copy")):
        result.to_netcdf(url)


def test_one_long_message_among_many_points_takes_little_room(tmp_path):
    def failing(state):
        if state["x"] == 7:
            raise ValueError("no root " * 240)
        return float(state["x"])

    space = gx.Space({"x": gx.DataAxis(np.arange(2000))}, mode="product")
    run = gx.SequentialExecution(failing, space).run(progress=False, on_error="record")
    run.to_netcdf(tmp_path / "run.nc")
    assert (tmp_path / "run.nc").stat().st_size < 500_000
    opened = gx.open_result(tmp_path / "run.nc")
    assert opened.dataset.identical(run.dataset)
    assert opened.failed["error"][7] == f"ValueError: {'no root ' * 240}"
