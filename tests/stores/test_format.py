"""The metadata of a store: sealed, and of arrays that gridax writes only."""

from __future__ import annotations

import json
import re
import struct
import tarfile
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import xarray as xr
import zarr
from numcodecs.blosc import Blosc
from numcodecs.vlen import VLenUTF8

import gridax as gx
from gridax._stores.arrays import DamagedChunk, StoredArray, with_checksum
from gridax._stores.folder import Folder
from gridax._stores.format import check_seal, read_header, seal

ROOT = {"zarr_format": 3, "node_type": "group", "attributes": {"a": 1, "ü": [1.5, None]}}


def placed(folder, content):
    place = Folder(folder)
    place.create({"zarr.json": content})
    return place


def test_sealed_metadata_are_what_they_were(tmp_path):
    place = placed(tmp_path / "run.zarr", seal(ROOT))
    assert check_seal(place) == ROOT


def test_sealing_twice_is_sealing_once():
    once = seal(ROOT)
    assert seal(json.loads(once)) == once
    assert json.loads(once)["attributes"].keys() == {"a", "ü", "gridax_checksum"}


def test_metadata_that_nobody_sealed_are_taken_as_they_are(tmp_path):
    assert check_seal(placed(tmp_path / "run.zarr", json.dumps(ROOT).encode())) == ROOT


def test_every_changed_byte_of_sealed_metadata_is_noticed(tmp_path):
    content = seal({**ROOT, "attributes": {**ROOT["attributes"], "gridax_kind": "run"}})
    place = placed(tmp_path / "run.zarr", content)
    for i in range(len(content)):
        place.put("zarr.json", content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        with pytest.raises(ValueError, match="its metadata are damaged"):
            check_seal(place)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 50, b"[]", b"3", b"{}", b'{"attributes": 3}', b"\xff\xfe", b"[" * 10**5],
    ids=["empty", "zeros", "list", "number", "no attributes", "no table", "no text", "deep"],
)
def test_damaged_metadata_say_so(tmp_path, content):
    with pytest.raises(ValueError, match="its metadata are damaged"):
        check_seal(placed(tmp_path / "run.zarr", content))


def test_no_metadata_is_no_store(tmp_path):
    (tmp_path / "run.zarr").mkdir()
    with pytest.raises(ValueError, match="there is no Zarr store of format 3"):
        check_seal(Folder(tmp_path / "run.zarr"))


ARRAY = StoredArray("y", (5, 7), (2, 4), np.dtype("float32"), ("a", "b"), {"units": "mV"})


@pytest.mark.parametrize(
    "dtype", ["float16", "float64", "complex64", "bool", "int8", "uint8", "int64", "uint32"]
)
@pytest.mark.parametrize("is_compressed", [True, False])
def test_zarr_reads_what_is_written_and_the_other_way_round(tmp_path, dtype, is_compressed):
    array = StoredArray("y", (5, 7), (2, 4), np.dtype(dtype), ("a", "b"), {}, is_compressed)
    values = (np.arange(35).reshape(5, 7) % 3).astype(dtype)
    files = {f"y/c/{i}/{k}": b"" for i in range(3) for k in range(2)}
    for i, k in np.ndindex(3, 2):
        piece = values[2 * i : 2 * i + 2, 4 * k : 4 * k + 4]
        files[f"y/c/{i}/{k}"] = array.encode(piece)
        np.testing.assert_array_equal(
            array.decode(files[f"y/c/{i}/{k}"])[tuple(map(slice, piece.shape))], piece
        )
    for key, content in {**files, "y/zarr.json": json.dumps(array.metadata()).encode()}.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(content)
    opened = zarr.open_array(tmp_path / "y", mode="r+")
    assert opened.dtype == values.dtype
    np.testing.assert_array_equal(opened[...], values)
    opened[...] = values[::-1, ::-1].copy()
    found = array.read([(tmp_path / array.key_of(n)).read_bytes() for n in array.numbers()])
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values[::-1, ::-1])
    assert StoredArray.from_metadata("y", array.metadata()) == array


def test_zarr_reads_text(tmp_path):
    array = StoredArray("y", (3,), (2,), np.dtypes.StringDType(), ("a",), is_compressed=False)
    values = np.array(["no fixed point", "", "ünï ∞"], array.dtype)
    (tmp_path / "y/c").mkdir(parents=True)
    (tmp_path / "y/zarr.json").write_text(json.dumps(array.metadata()))
    for i in range(2):
        (tmp_path / f"y/c/{i}").write_bytes(array.encode(values[2 * i : 2 * i + 2]))
    assert zarr.open_array(tmp_path / "y", mode="r")[...].tolist() == values.tolist()
    contents = [(tmp_path / f"y/c/{i}").read_bytes() for i in range(2)]
    assert array.read(contents).tolist() == values.tolist()
    assert StoredArray.from_metadata("y", array.metadata()) == array


@pytest.mark.parametrize("block", [(), (0,), (2,), (0, 1), (2, 1)])
def test_a_block_is_read_from_its_chunks(block):
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    whole = values[tuple(slice(k * n, (k + 1) * n) for k, n in zip(block, (2, 4), strict=False))]
    chunks = {n: values[2 * n[0] : 2 * n[0] + 2, 4 * n[1] : 4 * n[1] + 4] for n in ARRAY.numbers()}
    raw = [ARRAY.encode(chunks[number]) for number in ARRAY.numbers(block)]
    np.testing.assert_array_equal(ARRAY.read(raw, block), whole)


def changed(**changes):
    return {**ARRAY.metadata(), **changes}


ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
FOREIGN = {
    "gzip": changed(codecs=[{"name": "bytes"}, {"name": "gzip"}, {"name": "crc32c"}]),
    "no checksum": changed(codecs=ARRAY.metadata()["codecs"][:2]),
    "twice": changed(codecs=[*ARRAY.metadata()["codecs"], {"name": "crc32c"}]),
    "sharding": changed(codecs=[{"name": "sharding_indexed"}]),
    "a data type": changed(data_type="r1000000000"),
    "no data type": changed(data_type=None),
    "objects": changed(data_type="object"),
    "a grid": changed(chunk_grid={"name": "rectilinear", "configuration": {"chunk_shape": [2, 4]}}),
    "keys": changed(chunk_key_encoding={"name": "v2"}),
    "a transformer": changed(storage_transformers=[{"name": "x"}]),
    "chunks of another rank": changed(
        chunk_grid={"name": "regular", "configuration": {"chunk_shape": [2]}}
    ),
    "chunks of nothing": changed(
        chunk_grid={"name": "regular", "configuration": {"chunk_shape": [0, 4]}}
    ),
    "a group": changed(node_type="group"),
}


@pytest.mark.parametrize("metadata", FOREIGN.values(), ids=FOREIGN)
def test_arrays_that_gridax_does_not_write_are_refused(metadata):
    with pytest.raises((ValueError, TypeError)):
        StoredArray.from_metadata("y", metadata)


def sealed(tmp_path, metadata):
    attributes = {"gridax_format": 2, "gridax_kind": "saved"}
    root = {
        "attributes": attributes,
        "consolidated_metadata": {"kind": "inline", "metadata": {"y": metadata}},
    }
    return placed(tmp_path / "run.zarr", seal(root))


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (
            changed(codecs=[ARRAY.metadata()["codecs"][0], ZSTD]),
            "the array 'y' is encoded by bytes, zstd, but gridax writes and reads bytes, crc32c "
            "only; open it with xarray.open_zarr if you trust it",
        ),
        ({"node_type": "array"}, "it describes an array as no Zarr store does ('data_type')"),
    ],
)
def test_a_store_of_arrays_that_gridax_does_not_write_says_so(tmp_path, metadata, text):
    place = sealed(tmp_path, metadata)
    with pytest.raises(ValueError, match=re.escape(text)):
        read_header(place)
    with pytest.raises(ValueError, match=re.escape(repr(place.name))):
        gx.open_result(place.path)


def test_a_small_chunk_does_not_unpack_to_gigabytes():
    array = StoredArray("y", (2**28,), (2**28,), np.dtype("float32"))
    zeros = Blosc("zstd", 9, 1).encode(np.zeros(2**20, np.float32))
    lie = zeros[:4] + struct.pack("<I", array.nbytes) + zeros[8:]
    for content in (zeros, lie):
        with pytest.raises(DamagedChunk, match="does not have the size"):
            array.decode(with_checksum(content))
    small = StoredArray("y", (8,), (8,), np.dtype("float32"))
    with pytest.raises(DamagedChunk, match="does not have the size"):
        small.decode(with_checksum(Blosc("lz4").encode(np.zeros(2**20, np.float32))))


def test_a_small_chunk_of_text_does_not_make_room_for_billions():
    array = StoredArray("y", (2,), (2,), np.dtypes.StringDType(), is_compressed=False)
    content = bytes(VLenUTF8().encode(np.array(["a", "b"], object)))
    assert array.decode(with_checksum(content)).tolist() == ["a", "b"]
    with pytest.raises(DamagedChunk, match="does not have the 2 texts"):
        array.decode(with_checksum(struct.pack("<I", 2**32 - 1) + content[4:]))
    for cut in range(4, len(content)):
        with pytest.raises(DamagedChunk, match="cannot be decoded"):
            array.decode(with_checksum(content[:cut]))


def test_the_checksum_is_that_of_the_codec():
    assert with_checksum(b"abc") == b"abc" + google_crc32c.value(b"abc").to_bytes(4, "little")


# Stores that gridax 0.1 wrote before the format had the number 2.

OLD = Path(__file__).with_name("format_1.tar.xz")
SPACE = gx.Space(
    {"x": gx.GridAxis(0, 1, 3), "k": gx.KeyAxis(2, name="trial"), "dt": 0.1}, mode="product"
)
calls = []


def model(state):
    calls.append(float(state["x"]))
    return {"y": float(state["x"]) * np.arange(3.0), "n": np.int32(7)}


@pytest.fixture
def old(tmp_path):
    with tarfile.open(OLD) as archive:
        archive.extractall(tmp_path, filter="data")
    calls.clear()
    return tmp_path


def run(path, **options):
    return gx.SequentialExecution(model, SPACE).run(
        store=path, version="1", progress=False, **options
    )


@pytest.mark.parametrize("name", ["finished.zarr", "saved.zarr"])
def test_a_store_of_format_1_is_opened(old, name):
    result = gx.open_result(old / name)
    assert result.dataset.attrs["gridax_format"] == 1
    assert not [name for name in result.dataset.attrs if name in ("gridax_chunks", "coordinates")]
    expected = gx.SequentialExecution(model, SPACE).run(progress=False).dataset
    xr.testing.assert_equal(result.dataset.load(), expected)
    assert all(v.dtype == expected[n].dtype for n, v in result.dataset.variables.items())
    assert result[5]["y"].tolist() == [0.0, 1.0, 2.0]


def test_a_finished_store_of_format_1_is_not_run_again(old):
    assert run(old / "finished.zarr", verify="full").progress.done == 6
    assert calls == []


def test_a_store_of_format_1_is_resumed(old):
    opened = gx.open_result(old / "unfinished.zarr")
    assert opened.progress == (4, 0, 6)
    assert np.isnan(opened.dataset["y"].isel(x=2)).all()
    result = run(old / "unfinished.zarr")
    assert calls == [1.0, 1.0]
    xr.testing.assert_equal(
        result.dataset.load(), gx.open_result(old / "finished.zarr").dataset.load()
    )
    assert gx.open_result(old / "unfinished.zarr").progress == (6, 0, 6)


def test_damage_to_a_store_of_format_1_is_noticed_and_repaired(old):
    path = old / "finished.zarr"
    (path / "y/c/1/0/0").unlink()
    with pytest.raises(OSError, match=r"'y' of .* is damaged"):
        gx.open_result(path).dataset["y"].load()
    with pytest.warns(UserWarning, match=r"1 block\(s\) of .* are damaged"):
        assert run(path).progress.done == 6
    assert calls == [0.5, 0.5]
