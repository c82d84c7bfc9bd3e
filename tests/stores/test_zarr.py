"""The blocks of a Zarr store by themselves: written whole, status last, and read as written."""

from __future__ import annotations

import itertools
import math
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
import zarr

import gridax as gx
from gridax._files.zarr import create_store, open_store
from gridax._outputs.template import arrays_of, template_of
from gridax._plan.plan import Region
from gridax._run.assembly import Assembly
from gridax._run.job import Job
from gridax._stores import chunking, folder
from gridax._stores.base import DONE, FAILED, PENDING, STATUS, Computed, StoreOptions
from gridax._stores.folder import Folder, FolderWriter
from gridax._stores.format import check_seal, count_states, read_header, set_attributes
from gridax._stores.zarr import ZarrStore
from gridax.result import template_of_result
from gridax.space import points_of
from tests.ids import plain

SIZES = {"x": 5, "y": 3}
RESULT = {"rate": np.float32(0), "series": np.zeros(4), "n": np.int32(0)}


def attempt(path, result=None, sizes=None, block=(2, 2)):
    """Make an empty store of what a model returns, over a grid, if none is there."""
    sizes = SIZES if sizes is None else sizes
    space = gx.Space({"dt": 0.1, "only": gx.GridAxis(0, 1, 2), **axes(sizes)}, "product").isel(
        only=0
    )
    raw = template_of(RESULT if result is None else result)
    assembly = Assembly(Job(lambda state: result, points_of(space)), raw, None, None)
    outputs = assembly.template.outputs
    return create_store(Folder(path), assembly.skeleton({}), outputs, block, False), outputs


def create(*args, **kwargs):
    """Make an empty store; return its outputs."""
    made, outputs = attempt(*args, **kwargs)
    assert made
    return outputs


def axes(sizes):
    return {dim: gx.GridAxis(0, 1, n) for dim, n in sizes.items()}


def opened(path, outputs, only=None, **options):
    place = Folder(path)
    return ZarrStore(place, open_store(place).names, outputs, StoreOptions(**options), only)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zarr"


@pytest.fixture
def outputs(path):
    """An empty store of 3 x 2 blocks at `path`."""
    return create(path)


def values_of(outputs, shape, seed=0):
    """Return random outputs over a grid, of every bit pattern."""
    rng = np.random.default_rng(seed)
    found = []
    for output in outputs:
        array = np.empty((*shape, *output.shape), output.dtype)
        if output.dtype == bool:
            array[...] = rng.integers(0, 2, array.shape)
        elif output.dtype.name in ("int4", "uint4", "int2", "uint2"):
            info = jnp.iinfo(output.dtype)
            array[...] = rng.integers(int(info.min), int(info.max) + 1, array.shape)
        else:
            array = np.frombuffer(rng.bytes(array.nbytes), output.dtype).reshape(array.shape).copy()
            if output.dtype.isbuiltin == 2:  # of whose several NaN one is kept
                with np.errstate(invalid="ignore"):
                    array[np.isnan(array)] = np.nan
        found.append(array)
    return found


def part(array, box):
    return array[tuple(slice(*bounds) for bounds in box)]


def whole(box):
    shape = tuple(stop - start for start, stop in box)
    return Region(box, shape, tuple(slice(0, n) for n in shape))


def at(box, *index):
    """The region of the point at a position in a block."""
    return Region(box, tuple(stop - start for start, stop in box), index)


def fill(store, values, boxes=None):
    """Write some blocks of the grid, or all that are left; return the number of points."""
    new = 0
    for task in store.tasks():
        if boxes is None or task.box in boxes:
            new += store.write(
                Computed(whole(task.box), [part(array, task.box) for array in values])
            )
    return new + store.close()


def assert_holds(path, outputs, values):
    """Compare bit by bit, through Zarr itself and as a user reads it."""
    dataset = open_store(Folder(path)).dataset
    for output, wanted in zip(outputs, values, strict=True):
        found = dataset[output.name].values
        assert found.dtype == wanted.dtype
        assert found.tobytes() == np.ascontiguousarray(wanted).tobytes()


def counts(path):
    """Return how many points are done, how many failed, and how many there are."""
    place = Folder(path)
    return count_states(place, read_header(place).arrays[STATUS])


def status_of(path):
    return zarr.open_group(path, mode="r")["status"][...]


def messages_of(path):
    return np.asarray(zarr.open_group(path, mode="r")["error"][...]).tolist()


def test_a_new_store_is_all_to_be_done(path, outputs):
    tasks = list(opened(path, outputs).tasks())
    assert len(tasks) == 6
    assert all(task.todo is None for task in tasks)
    times = np.zeros((5, 3), int)
    for task in tasks:
        part(times, task.box)[...] += 1
    assert (times == 1).all()
    assert (status_of(path) == PENDING).all()
    assert counts(path) == (0, 0, 15)


def test_a_new_store_opens_in_xarray_without_gridax(path, outputs):
    with xr.open_zarr(path) as dataset:
        assert dict(dataset.sizes) == {"x": 5, "y": 3, "series_dim_0": 4}
        assert np.isnan(dataset["rate"].values).all()
        np.testing.assert_array_equal(dataset["x"], np.linspace(0, 1, 5))
        assert dataset["status"].attrs["flag_meanings"] == "pending done failed"


def test_what_is_written_is_read_bit_by_bit(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    assert fill(store, values) == 15
    assert_holds(path, outputs, values)
    assert (status_of(path) == DONE).all()
    assert store.saved() == (15, 15)


def test_a_block_is_a_chunk_of_every_output(path, outputs):
    fill(opened(path, outputs), values_of(outputs, (5, 3)))
    chunks = {name: array.chunks for name, array in zarr.open_group(path, mode="r").arrays()}
    assert chunks["rate"] == chunks["n"] == chunks["status"] == chunks["error"] == (2, 2)
    assert chunks["series"] == (2, 2, 4)
    assert len(list((path / "rate" / "c").rglob("*"))) == 3 + 6


def test_a_block_is_written_when_its_last_point_is(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    task = next(iter(store.tasks()))
    points = list(itertools.product(range(2), range(2)))
    for index in points[:-1]:
        assert store.write(Computed(at(task.box, *index), [array[index] for array in values])) == 1
    assert (
        store.write(Computed(at(task.box, 0, 0), [array[0, 0] for array in values])) == 0
    )  # once more
    assert not (path / "rate" / "c").exists()
    assert store.write(Computed(at(task.box, 1, 1), [array[1, 1] for array in values])) == 1
    assert store.close() == 0
    assert (status_of(path)[:2, :2] == DONE).all()
    assert store.saved() == (4, 15)


def test_the_status_of_a_block_is_written_last(path, outputs, monkeypatch):
    keys = []

    def write(self, files, really=FolderWriter.write):
        really(self, files)
        keys.extend(files)

    monkeypatch.setattr(FolderWriter, "write", write)
    fill(opened(path, outputs), values_of(outputs, (5, 3)))
    names = [key.split("/")[0] for key in keys]
    assert names == [*sorted(RESULT), "status"] * 6
    blocks = [tuple(key.split("/c/")[1].split("/")[:2]) for key in keys]
    assert [set(blocks[i : i + 4]) for i in range(0, 24, 4)] == [
        {(str(a), str(b))} for a in range(3) for b in range(2)
    ]


@pytest.mark.parametrize(("durability", "n"), [("power", 2), ("process", 0)])
def test_with_power_each_file_is_on_the_disk_before_the_next_is_written(
    path, outputs, monkeypatch, durability, n
):
    events = []

    def replace(path, content, is_synced, really=folder._replace):
        events.append("begun")
        really(path, content, is_synced)
        events.append("named")

    def sync(place, really=folder.sync):
        really(place)
        events.append("synced")

    for key in ("rate", "series", "n", "status"):  # so that no folder is missing
        (path / key / "c" / "0" / "0").mkdir(parents=True)
    for key in ("rate", "n", "status"):
        (path / key / "c" / "0" / "0").rmdir()
    monkeypatch.setattr(folder, "_replace", replace)
    monkeypatch.setattr(folder, "sync", sync)
    store = opened(path, outputs, durability=durability)
    fill(store, values_of(outputs, (5, 3)), [next(iter(store.tasks())).box])
    content, name = (["synced"], ["synced"]) if n else ([], [])
    assert events == ["begun", *content, "named", *name] * 4


def test_what_is_all_zeros_is_written_too(path, outputs):
    values = [np.zeros_like(array) for array in values_of(outputs, (5, 3))]
    fill(opened(path, outputs), values)
    assert len([p for p in (path / "n" / "c").rglob("*") if p.is_file()]) == 6
    assert_holds(path, outputs, values)
    assert opened(path, outputs, verify="full").scan()


def test_a_resumed_store_lacks_what_was_not_written(path, outputs):
    values = values_of(outputs, (5, 3))
    first = opened(path, outputs)
    boxes = [task.box for task in first.tasks()]
    fill(opened(path, outputs), values, boxes[1:4])
    store = opened(path, outputs)
    assert not store.scan()
    assert store.n_done == 2 + 4 + 2
    assert list(store.left()) == [boxes[0], *boxes[4:]]
    assert [(task.box, task.todo) for task in store.tasks()] == [
        (box, None) for box in (boxes[0], *boxes[4:])
    ]
    assert fill(store, values) == 15 - 8
    assert_holds(path, outputs, values)
    assert opened(path, outputs).scan()


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9])
def test_shards_divide_the_blocks_among_them(path, outputs, n):
    values = values_of(outputs, (5, 3))
    stores = [opened(path, outputs, shard=(i, n)) for i in range(n)]
    mine = [[task.box for task in store.tasks()] for store in stores]
    assert sorted(itertools.chain(*mine)) == sorted(t.box for t in opened(path, outputs).tasks())
    assert max(map(len, mine)) - min(map(len, mine)) <= 1
    assert sum(store.n_points for store in stores) == 15
    for store in stores:
        fill(store, values)
        assert store.scan()
    assert_holds(path, outputs, values)


def test_a_store_may_be_restricted_to_some_blocks(path, outputs):
    values = values_of(outputs, (5, 3))
    boxes = [task.box for task in opened(path, outputs).tasks()]
    store = opened(path, outputs).handle().open([boxes[4], boxes[1]])
    assert [task.box for task in store.tasks()] == [boxes[4], boxes[1]]
    assert fill(store, values) == 2 + 2
    assert sorted(opened(path, outputs, only=boxes).left()) == sorted(boxes)
    rest = opened(path, outputs)
    rest.scan()
    assert set(rest.left()) == set(boxes) - {boxes[4], boxes[1]}


def test_a_tile_of_a_block_that_is_not_open_is_left_out(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    fill(store, values)
    box = ((0, 2), (0, 2))
    other = [part(array, box) for array in values_of(outputs, (5, 3), seed=1)]
    assert store.write(Computed(whole(box), other)) == 0
    assert store.fail(at(box, 0, 0), ValueError("too late")) == 0
    store.close()
    assert_holds(path, outputs, values)


def test_a_block_can_be_opened_without_a_task(path, outputs):
    values = values_of(outputs, (5, 3))
    box = ((2, 4), (0, 2))
    store = opened(path, outputs)
    store.begin(box)
    assert store.write(Computed(whole(box), [part(array, box) for array in values])) == 4
    store.close()
    store.begin(box)  # is done, and stays so
    assert store.write(Computed(whole(box), [part(array, box) for array in values])) == 0
    assert (part(status_of(path), box) == DONE).all()
    assert counts(path) == (4, 0, 15)


def test_a_point_that_failed_has_no_value_and_its_message_is_kept(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    tasks = list(store.tasks())
    for task in tasks[1:]:
        store.write(Computed(whole(task.box), [part(array, task.box) for array in values]))
    box = tasks[0].box
    for index in ((0, 0), (0, 1), (1, 0)):
        assert store.write(Computed(at(box, *index), [array[index] for array in values])) == 1
    error = ValueError("no fixed point\nin 100 steps: ∞")
    assert store.fail(at(box, 1, 1), error) == 1
    assert store.fail(at(box, 1, 1), error) == 0
    store.close()
    assert counts(path) == (14, 1, 15)
    assert status_of(path)[1, 1] == FAILED
    messages = messages_of(path)
    assert messages[1][1] == "ValueError: no fixed point\nin 100 steps: ∞"
    assert sum(bool(text) for row in messages for text in row) == 1
    for array, empty in zip(values, (0, np.nan, np.nan), strict=True):
        array[1, 1] = empty
    assert_holds(path, outputs, values)
    assert opened(path, outputs).scan()  # nothing is left to do


def failing_store(path, outputs, values):
    """Write everything but two points of one block, at which the model fails."""
    store = opened(path, outputs)
    for task in store.tasks():
        bad = [(0, 1), (1, 0)] if task.box == ((0, 2), (0, 2)) else []
        shape = tuple(stop - start for start, stop in task.box)
        for index in itertools.product(*map(range, shape)):
            if index in bad:
                store.fail(at(task.box, *index), ValueError(f"at {index}"))
            else:
                here = [part(array, task.box)[index] for array in values]
                store.write(Computed(at(task.box, *index), here))
    store.close()


def test_points_that_failed_are_tried_again_alone_and_their_messages_go(path, outputs):
    values = values_of(outputs, (5, 3))
    failing_store(path, outputs, values)
    store = opened(path, outputs, retry_failed=True)
    assert not store.scan()
    assert store.n_done == 13
    (task,) = store.tasks()
    assert task.box == ((0, 2), (0, 2))
    assert task.todo.tolist() == [[False, True], [True, False]]
    assert store.write(Computed(at(task.box, 0, 1), [array[0, 1] for array in values])) == 1
    assert store.fail(at(task.box, 1, 0), ValueError("again")) == 1
    store.close()
    assert counts(path) == (14, 1, 15)
    assert [text for row in messages_of(path) for text in row if text] == ["ValueError: again"]

    store = opened(path, outputs, retry_failed=True)
    assert not store.scan()
    (task,) = store.tasks()
    assert store.write(Computed(at(task.box, 1, 0), [array[1, 0] for array in values])) == 1
    store.close()
    assert_holds(path, outputs, values)
    assert {text for row in messages_of(path) for text in row} == {""}
    assert opened(path, outputs, retry_failed=True).scan()


def test_messages_survive_where_a_block_is_gone_on_with(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    box = next(iter(store.tasks())).box
    store.write(Computed(at(box, 0, 0), [array[0, 0] for array in values]))
    store.fail(at(box, 0, 1), ValueError("no"))
    store.rescue()
    store = opened(path, outputs)
    store.scan()
    task = next(iter(store.tasks()))
    assert (task.box, task.todo.tolist()) == (box, [[False, False], [True, True]])
    region = Region(box, (2, 2), (slice(1, 2), slice(0, 2)))
    assert store.write(Computed(region, [array[1:2, :2] for array in values])) == 2
    store.close()
    assert status_of(path)[:2, :2].tolist() == [[DONE, FAILED], [DONE, DONE]]
    assert messages_of(path)[0][:2] == ["", "ValueError: no"]


def test_a_block_that_is_interrupted_is_kept_as_far_as_it_is(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    tasks = store.tasks()
    box, other = next(tasks).box, next(tasks).box
    region = Region(box, (2, 2), (slice(0, 1), slice(0, 2)))
    store.write(Computed(region, [array[:1, :2] for array in values]))
    store.rescue()
    assert status_of(path)[:2, :2].tolist() == [[DONE, DONE], [PENDING, PENDING]]
    assert not (path / "status" / "c" / "0" / "1").exists()  # nothing is known of the other
    assert store.saved() == (2, 15)

    store = opened(path, outputs)
    assert not store.scan()
    first, second, *rest = store.tasks()
    assert (second.box, second.todo) == (other, None)
    assert first.todo.tolist() == [[False, False], [True, True]]
    assert (
        store.write(
            Computed(Region(box, (2, 2), (slice(1, 2), slice(0, 2))), [a[1:2, :2] for a in values])
        )
        == 2
    )
    for task in (second, *rest):
        store.write(Computed(whole(task.box), [part(array, task.box) for array in values]))
    store.close()
    assert_holds(path, outputs, values)


def test_rescue_writes_nothing_after_a_write_failed(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    box, other = (task.box for task in itertools.islice(store.tasks(), 2))
    store.write(Computed(at(other, 0, 0), [array[0, 2] for array in values]))
    shutil.rmtree(path)
    store.write(Computed(whole(box), [part(array, box) for array in values]))
    with pytest.raises(FileNotFoundError, match="was removed during the run") as caught:
        store.close()
    (note,) = caught.value.__notes__
    assert note == (
        f"while writing a block to {str(path)!r}; the blocks before it are saved, and "
        f"run(store={str(path)!r}) computes the rest"
    )
    with pytest.raises(FileNotFoundError, match="was removed during the run"):
        store.rescue()
    assert not path.exists()


def test_an_error_of_the_disk_shows_at_the_next_block(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    shutil.rmtree(path / "rate")
    (path / "rate").write_text("a file where the chunks should be")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        fill(store, values)
    assert not (path / "status" / "c").exists()
    with pytest.raises(OSError, match=r"Not a directory|exists"):  # ends the thread, too
        store.rescue()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            "n",
            np.float64(0.5),
            "output 'n' is float64 here and int32 in the store: the first point decides, so return "
            "one type everywhere (0.0, not 0)",
        ),
        ("n", np.int64(1), "output 'n' is int64 here and int32 in the store"),
        ("rate", np.float64(1), "output 'rate' is float64 here and float32 in the store"),
        ("rate", np.complex64(1), "output 'rate' is complex64 here and float32 in the store"),
        ("series", np.ones(4) * 1j, "output 'series' is complex128 here and float64 in the store"),
    ],
    ids=plain,
)
def test_values_that_the_store_cannot_hold_are_refused(path, outputs, name, value, text):
    store = opened(path, outputs)
    box = next(iter(store.tasks())).box
    given = [np.asarray({**RESULT, name: value}[output.name]) for output in outputs]
    with pytest.raises(TypeError, match=re.escape(text)):
        store.write(Computed(at(box, 0, 0), given))


def test_values_that_the_store_can_hold_are_cast(path, outputs):
    store = opened(path, outputs)
    box = ((4, 5), (2, 3))
    (task,) = (task for task in store.tasks() if task.box == box)
    assert task.todo is None
    given = {"rate": np.float16(0.5), "series": np.arange(4, dtype=np.int32), "n": np.bool_(True)}
    store.write(Computed(at(box, 0, 0), [np.asarray(given[output.name]) for output in outputs]))
    store.close()
    dataset = open_store(Folder(path)).dataset.isel(x=4, y=2).load()
    assert dataset["rate"].item() == 0.5
    assert dataset["series"].values.tolist() == [0, 1, 2, 3]
    assert dataset["n"].item() == 1


DTYPES = [
    *("float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
    *("complex64", "complex128", "bool", "int2", "uint2", "int4", "uint4"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
]


EVERY = {
    f"{kind} {dtype}": np.zeros(shape, jnp.dtype(dtype))
    for dtype in DTYPES
    for kind, shape in (("one", ()), ("many", (2, 3)))
}


def test_every_dtype_is_kept_bit_by_bit_in_whole_and_partial_blocks(path):
    outputs = create(path, EVERY, {"x": 5}, (2,))
    assert {output.name: output.dtype for output in outputs} == {
        name: value.dtype for name, value in EVERY.items()
    }
    values = values_of(outputs, (5,))
    store = opened(path, outputs)
    first, second, _ = (task.box for task in store.tasks())
    store.write(Computed(whole(first), [part(array, first) for array in values]))
    store.write(Computed(at(second, 1), [array[3] for array in values]))
    store.rescue()
    store = opened(path, outputs)
    assert not store.scan()
    half, last = store.tasks()
    assert half.todo.tolist() == [True, False]
    store.write(Computed(at(half.box, 0), [array[2] for array in values]))
    store.write(Computed(whole(last.box), [array[4:] for array in values]))
    store.close()
    assert_holds(path, outputs, values)
    assert opened(path, outputs, verify="full").scan()


def test_a_point_without_a_value_is_nan_where_the_dtype_has_one_else_zero(path):
    outputs = create(path, EVERY, {"x": 2}, (2,))
    store = opened(path, outputs)
    box = next(iter(store.tasks())).box
    store.write(Computed(at(box, 0), [np.ones(output.shape, output.dtype) for output in outputs]))
    store.fail(at(box, 1), ValueError("no"))
    store.close()
    dataset = open_store(Folder(path)).dataset
    for output in outputs:
        found = dataset[output.name].values
        assert found.dtype == output.dtype
        assert (found[0] == 1).all()
        has_nan = jnp.issubdtype(output.dtype, jnp.inexact)
        assert np.isnan(found[1]).all() if has_nan else (found[1] == 0).all()


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_keys_are_kept(path, impl):
    keys = jax.random.split(jax.random.key(0, impl=impl), 3)
    outputs = create(path, {"key": keys[0]}, {"x": 3}, (2,))
    store = opened(path, outputs)
    for task in store.tasks():
        store.write(Computed(whole(task.box), arrays_of({"key": part(keys, task.box)})))
    store.close()
    found = gx.open_result(path)
    assert template_of_result(found).outputs[0].impl == impl
    assert jax.random.key_data(found[1]["key"]).tolist() == jax.random.key_data(keys[1]).tolist()


@pytest.mark.parametrize(
    ("shape", "block"),
    [((0,), (2,)), ((3, 0), (2,)), ((0, 3), (5,)), ((0, 0), (1,))],
    ids=plain,
)
def test_outputs_without_elements_are_kept(path, shape, block):
    outputs = create(path, {"none": np.zeros(shape), "n": np.int32(0)}, {"x": 5}, block)
    values = values_of(outputs, (5,))
    for done in (2, 5):
        store = opened(path, outputs, verify="full")
        store.scan()
        for task in store.tasks():
            if task.box[0][0] < done:
                store.write(Computed(whole(task.box), [part(array, task.box) for array in values]))
        store.close()
    assert opened(path, outputs, verify="full").scan()
    assert_holds(path, outputs, values)
    assert gx.open_result(path)[3]["none"].shape == shape


def test_a_store_of_nothing_but_outputs_without_elements_is_kept(path):
    outputs = create(path, {"none": np.zeros(0)}, {"x": 3}, (2,))
    values = values_of(outputs, (3,))
    fill(opened(path, outputs), values)
    assert opened(path, outputs, verify="full").scan()
    assert_holds(path, outputs, values)


def test_a_grid_without_dimensions_is_one_block_of_one_point(path):
    outputs = create(path, sizes={}, block=())
    values = values_of(outputs, ())
    store = opened(path, outputs)
    (task,) = store.tasks()
    assert (task.box, task.todo) == ((), None)
    assert store.write(Computed(Region((), (), ()), values)) == 1
    store.close()
    assert_holds(path, outputs, values)
    assert opened(path, outputs, verify="full").scan()
    assert counts(path) == (1, 0, 1)


def test_a_failure_on_a_grid_without_dimensions_is_kept(path):
    outputs = create(path, sizes={}, block=())
    store = opened(path, outputs)
    (task,) = store.tasks()
    store.fail(Region((), (), ()), ValueError("no"))
    store.close()
    assert messages_of(path) == "ValueError: no"
    store = opened(path, outputs, retry_failed=True)
    assert not store.scan()
    (task,) = store.tasks()
    assert task.todo is None or task.todo.all()
    values = values_of(outputs, ())
    store.write(Computed(Region((), (), ()), values))
    store.close()
    assert messages_of(path) == ""
    assert_holds(path, outputs, values)


def test_outputs_that_are_too_large_for_a_chunk_are_cut(path, monkeypatch):
    monkeypatch.setattr(chunking, "_CHUNK_BYTES", 64)
    outputs = create(path, {"map": np.zeros((5, 7)), "n": np.int32(0)}, {"x": 5}, (2,))
    array = zarr.open_group(path, mode="r")["map"]
    assert array.chunks[0] == 2
    assert math.prod(array.chunks[1:]) * 8 <= 64
    values = values_of(outputs, (5,))
    store = opened(path, outputs)
    first, second, _ = (task.box for task in store.tasks())
    store.write(Computed(whole(first), [part(a, first) for a in values]))
    store.write(Computed(at(second, 0), [a[2] for a in values]))
    store.rescue()
    store = opened(path, outputs, verify="full")
    store.scan()
    half, last = store.tasks()
    assert half.todo.tolist() == [False, True]
    store.write(Computed(at(half.box, 1), [a[3] for a in values]))
    store.write(Computed(whole(last.box), [a[4:] for a in values]))
    store.close()
    assert_holds(path, outputs, values)
    n_parts = math.prod(math.ceil(n / c) for n, c in zip((5, 7), array.chunks[1:], strict=True))
    assert len([p for p in (path / "map" / "c").rglob("*") if p.is_file()]) == 3 * n_parts
    assert opened(path, outputs, verify="full").scan()


def test_damaged_blocks_are_told_once_and_done_again(path, outputs):
    values = values_of(outputs, (5, 3))
    fill(opened(path, outputs), values)
    (path / "rate" / "c" / "0" / "1").unlink()
    (path / "status" / "c" / "2" / "0").write_bytes(b"")
    store = opened(path, outputs)
    text = f"2 block(s) of {str(path)!r} are damaged, and are computed again"
    with pytest.warns(UserWarning, match=re.escape(text)):
        assert not store.scan()
    assert not store.scan()  # under the lock, once more
    assert store.n_done == 15 - 2 - 2
    assert [(task.box, task.todo) for task in store.tasks()] == [
        (((0, 2), (2, 3)), None),
        (((4, 5), (0, 2)), None),
    ]
    assert fill(store, values) == 4
    assert_holds(path, outputs, values)
    assert opened(path, outputs, verify="full").scan()


def half_done(path, outputs, values):
    """Write a point of the first block, note that another failed, and be interrupted."""
    store = opened(path, outputs)
    box = next(iter(store.tasks())).box
    store.write(Computed(at(box, 0, 0), [array[0, 0] for array in values]))
    store.fail(at(box, 0, 1), ValueError("no"))
    store.rescue()
    return box


@pytest.mark.parametrize("name", ["rate", "error"])
@pytest.mark.parametrize("content", [b"", bytes(60)], ids=["empty", "zeros"])
def test_a_block_that_was_begun_and_cannot_be_read_is_done_again(path, outputs, name, content):
    values = values_of(outputs, (5, 3))
    box = half_done(path, outputs, values)
    (path / name / "c" / "0" / "0").write_bytes(content)
    store = opened(path, outputs, verify="none")
    store.scan()
    task = next(iter(store.tasks()))
    assert (task.box, task.todo) == (box, None)
    fill(store, values)
    assert_holds(path, outputs, values)
    assert {text for row in messages_of(path) for text in row} == {""}
    assert opened(path, outputs, verify="full").scan()


def test_damaged_messages_are_found_when_all_is_read(path, outputs):
    values = values_of(outputs, (5, 3))
    failing_store(path, outputs, values)
    chunk = path / "error" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    assert opened(path, outputs).scan()
    store = opened(path, outputs, verify="full")
    with pytest.warns(UserWarning, match=re.escape("1 block(s) of")):
        assert not store.scan()
    (task,) = store.tasks()
    assert (task.box, task.todo) == (((0, 2), (0, 2)), None)
    fill(store, values)
    assert_holds(path, outputs, values)
    assert opened(path, outputs, verify="full").scan()


@pytest.mark.parametrize("n_known", [1, 2, 5])
def test_what_is_known_of_a_block_is_filled_in(path, n_known):
    outputs = create(path, sizes={"x": 5}, block=(2,))
    values = values_of(outputs, (5,))

    def prefill(buffer):
        ((start, stop),) = buffer.box
        known = max(0, min(stop, n_known) - start)
        for mine, array in zip(buffer.arrays, values, strict=True):
            mine[:known] = array[start : start + known]
        buffer.status[:known] = DONE

    store = opened(path, outputs)
    store.prefill = prefill
    new = 0
    for task in store.tasks():
        todo = np.ones(task.box[0][1] - task.box[0][0], bool) if task.todo is None else task.todo
        assert todo.tolist() == [i >= n_known for i in range(*task.box[0])]
        for (local,) in np.argwhere(todo).tolist():
            new += store.write(
                Computed(at(task.box, local), [a[task.box[0][0] + local] for a in values])
            )
    assert new + store.close() == 5
    assert_holds(path, outputs, values)
    assert opened(path, outputs).scan()


def test_what_is_known_can_be_stored_before_anything_is_done(path):
    outputs = create(path, sizes={"x": 5}, block=(2,))
    values = values_of(outputs, (5,))

    def prefill(buffer):
        ((start, stop),) = buffer.box
        known = max(0, min(stop, 3) - start)
        for mine, array in zip(buffer.arrays, values, strict=True):
            mine[:known] = array[start : start + known]
        buffer.status[:known] = DONE

    store = opened(path, outputs)
    store.prefill = prefill
    assert store.copy_known() == 3
    assert status_of(path).tolist() == [DONE] * 3 + [PENDING] * 2
    store.prefill = None
    assert store.copy_known() == 0
    half, last = store.tasks()
    assert (half.todo.tolist(), last.todo) == ([False, True], None)
    store.write(Computed(at(half.box, 1), [a[3] for a in values]))
    store.write(Computed(whole(last.box), [a[4:] for a in values]))
    store.close()
    assert_holds(path, outputs, values)


def test_who_makes_a_store_second_changes_nothing(path, outputs):
    values = values_of(outputs, (5, 3))
    fill(opened(path, outputs), values)
    made, _ = attempt(path)
    assert not made
    assert_holds(path, outputs, values)


def test_a_store_that_would_not_fit_on_the_disk_is_announced(tmp_path):
    result = {"y": np.broadcast_to(np.float64(0), (10**6, 10**6))}  # 8 TB, of which none is there
    text = "the outputs take up to 16 TB, but the disk of"
    free = Folder(tmp_path / "run.zarr").free()
    if free > 16e12:
        pytest.skip("the disk has room for 16 TB")
    with pytest.warns(UserWarning, match=text):
        create(tmp_path / "run.zarr", result, {"x": 2}, (1,))


def test_attributes_are_changed_under_a_new_seal(path, outputs):
    values = values_of(outputs, (5, 3))
    fill(opened(path, outputs), values)
    place = Folder(path)
    before = check_seal(place)
    set_attributes(place, {"note": "resumed", "more": [1, 2]})
    after = check_seal(place)
    assert after["attributes"] == {**before["attributes"], "note": "resumed", "more": [1, 2]}
    assert {k: v for k, v in after.items() if k != "attributes"} == {
        k: v for k, v in before.items() if k != "attributes"
    }
    assert_holds(path, outputs, values)
    assert sorted(p.name for p in path.parent.iterdir()) == ["run.zarr"]


def finished(path):
    return read_header(Folder(path)).finished


def test_a_store_in_which_nothing_is_pending_says_so_until_a_block_is_written_again(path, outputs):
    values = values_of(outputs, (5, 3))
    store = opened(path, outputs)
    first = next(iter(store.tasks())).box
    fill(opened(path, outputs), values, [first])
    opened(path, outputs).finish()
    assert finished(path) is None
    store = opened(path, outputs)
    store.scan()
    for task in store.tasks():
        for index in np.ndindex(*(stop - start for start, stop in task.box)):
            store.fail(at(task.box, *index), ValueError("no"))
    store.close()
    store.finish()
    assert finished(path) == (4, 11)

    store = opened(path, outputs, retry_failed=True)
    store.scan()
    box = next(iter(store.tasks())).box
    assert finished(path) == (4, 11)
    store.write(Computed(whole(box), [part(array, box) for array in values]))
    store.close()
    assert finished(path) is None
    assert counts(path) == (6, 9, 15)
    store.finish()
    assert finished(path) == (6, 9)


def test_a_note_that_cannot_be_written_costs_nothing(path, outputs, monkeypatch):
    store = opened(path, outputs)
    fill(store, values_of(outputs, (5, 3)))

    def put(self, key, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Folder, "put", put)
    store.finish()
    assert finished(path) is None
    assert counts(path) == (15, 0, 15)
