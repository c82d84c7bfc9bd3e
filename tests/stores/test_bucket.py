"""Stores behind URLs: in the memory of fsspec, and on a server that speaks S3."""

from __future__ import annotations

import logging
import os
import re
import uuid

import fsspec
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._stores.arrays import HEAD
from gridax._stores.bucket import _FEW, Bucket
from gridax._stores.location import Head

FILES = {"zarr.json": b"root", "x/zarr.json": b"array", "x/c/0/1": b"chunk", "empty": b""}

# What a machine may have set up for the real service shall not be used.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "*",
}


@pytest.fixture(scope="module")
def s3():
    """A bucket on a server of this process: its URL, and how to reach it."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    server_module = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        patch.setattr(logging.getLogger("werkzeug"), "disabled", True)
        server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        try:
            server.start()
            host, port = server.get_host_and_port()
        except (OSError, RuntimeError) as error:
            pytest.skip(f"no S3 server can be started here: {error}")
        options = {
            "key": "test",
            "secret": "test",
            "client_kwargs": {"endpoint_url": f"http://{host}:{port}"},
        }
        fsspec.filesystem("s3", **options).mkdir("sweeps")
        yield "s3://sweeps", options
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
def anywhere(request):
    """A URL under which there is nothing yet, and how to reach it."""
    base, options = request.getfixturevalue("s3") if request.param == "s3" else ("memory:/", {})
    return f"{base}/{uuid.uuid4().hex}/run.zarr", options


@pytest.fixture
def in_memory():
    """The same, where a request takes no time."""
    return f"memory://{uuid.uuid4().hex}/run.zarr", {}


@pytest.fixture
def place(anywhere):
    return Bucket(*anywhere)


def content_of(place):
    found = place._fs.find(place._path)
    return {path.removeprefix(f"{place._path}/"): place._fs.cat_file(path) for path in found}


def test_a_store_appears_with_all_its_files(place):
    assert not place.exists()
    assert place.create(FILES)
    assert place.exists()
    assert content_of(place) == FILES


@pytest.mark.parametrize("name", ["a b", "ünï.zarr", "run.zarr/"])
def test_a_url_may_hold_what_names_hold(anywhere, name):
    url, options = anywhere
    place = Bucket(f"{url}/{name}", options)
    assert place.create(FILES)
    assert place.read(list(FILES)) == list(FILES.values())
    assert content_of(place) == FILES


@pytest.mark.parametrize("name", ["run[1].zarr", "run*.zarr", "run?.zarr"])
def test_a_url_that_fsspec_takes_for_a_pattern_is_refused(anywhere, name):
    url, options = anywhere
    text = (
        f"{url + name!r} contains one of * ? [, which fsspec takes for patterns; use another name"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        Bucket(url + name, options)


def test_the_root_is_written_last(place, monkeypatch):
    written = []

    def pipe(content, really=place._fs.pipe):
        written.append(sorted(content))
        assert not place._fs.exists(f"{place._path}/zarr.json")
        really(content)

    monkeypatch.setattr(place._fs, "pipe", pipe)
    assert place.create(FILES)
    assert written == [sorted(f"{place._path}/{key}" for key in FILES if key != "zarr.json")]


def test_who_comes_second_gets_nothing_and_changes_nothing(place, anywhere):
    assert place.create(FILES)
    assert not Bucket(*anywhere).create({"zarr.json": b"other", "y": b"new"})
    assert content_of(place) == FILES


def test_who_comes_second_while_files_are_written_does_not_get_the_root(place, anywhere):
    class Slow(dict):
        """Files of which somebody else makes a store while they are being read."""

        def __getitem__(self, key):
            if key == "x/zarr.json":
                assert Bucket(*anywhere).create({"zarr.json": b"theirs"})
            return super().__getitem__(key)

    assert not place.create(Slow(FILES))
    assert place.read(["zarr.json"]) == [b"theirs"]


def test_what_stands_there_is_replaced_when_wanted(place):
    place.create({"zarr.json": b"old", "y/c/0": b"old"})
    assert place.create(FILES, replace=True)
    assert content_of(place) == FILES


def test_nothing_need_stand_there_to_be_replaced(place):
    assert place.create(FILES, replace=True)
    assert content_of(place) == FILES


def test_files_are_written_at_once(place):
    place.create(FILES)
    place.writer(durable=True)({"x/c/0/1": b"new", "y/c/0/0": b"chunk"})
    assert content_of(place) == {**FILES, "x/c/0/1": b"new", "y/c/0/0": b"chunk"}


def test_what_an_interrupted_creation_has_left_is_nothing_yet(place, anywhere):
    described = b'{"attributes": {"flag_meanings": "pending done failed"}}'
    place.put("status/zarr.json", described)
    place.put("y/zarr.json", b"array")
    assert not place.exists()
    assert Bucket(*anywhere).create({**FILES, "status/zarr.json": described})
    assert place.exists()


def test_a_status_of_somebody_else_is_theirs(place):
    place.put("status/zarr.json", b"{}")
    assert place.exists()


def test_neighbors_stay(place, anywhere):
    url, options = anywhere
    neighbor = Bucket(f"{url}2", options)
    neighbor.create(FILES)
    place.create({"zarr.json": b"old"})
    place.create(FILES, replace=True)
    place.tidy(2.0**40)
    assert content_of(neighbor) == FILES


def test_files_are_read_in_the_order_in_which_they_are_asked_for(place):
    place.create(FILES)
    keys = ["x/c/0/1", "nothing", "zarr.json", "x", "empty", "zarr.json"]
    assert place.read(keys) == [b"chunk", None, b"root", None, b"", b"root"]
    assert place.read([]) == place.heads([]) == []


@pytest.mark.parametrize("times", [1, _FEW])
def test_the_heads_of_files_are_their_first_bytes_and_their_size(place, times):
    place.create(FILES)
    contents = {f"of {n}": bytes(i % 256 for i in range(n)) for n in (1, HEAD, HEAD + 1, 1000)}
    for key, content in contents.items():
        place.put(key, content)
    asked = ["nothing", "empty", "x", *contents] * times
    wanted = [None, Head(b"", 0), None]
    wanted += [Head(content[:HEAD], len(content)) for content in contents.values()]
    assert place.heads(asked) == wanted * times


def test_a_key_that_looks_like_a_pattern_is_a_key(place):
    place.create({**FILES, "[0]/c/0": b"brackets", "0/c/0": b"none"})
    assert place.read(["[0]/c/0", "0/c/0"]) == [b"brackets", b"none"]
    assert place.heads(["[0]/c/0"]) == [Head(b"brackets", 8)]


def test_a_file_is_replaced_and_seen_by_who_asks_next(place, anywhere):
    place.create(FILES)
    other = Bucket(*anywhere)
    assert other.heads(["zarr.json"]) == [Head(b"root", 4)]
    place.put("zarr.json", b"longer root")
    assert other.read(["zarr.json"]) == [b"longer root"]
    assert other.heads(["zarr.json"]) == [Head(b"longer root", 11)]


def test_it_keeps_its_name_and_knows_no_room(place, anywhere):
    assert place.name == anywhere[0]
    assert place.free() is None


# Whole runs.

SPACE = gx.Space(
    {"x": gx.GridAxis(0, 1, 6), "k": gx.KeyAxis(2, name="trial"), "dt": 0.1}, "product"
)


class Model:
    """A Python model that counts its calls, and fails while it is told to."""

    def __init__(self):
        self.n_calls = 0
        self.fail_from(np.inf)

    def fail_from(self, x):
        os.environ["GRIDAX_FAILS_FROM"] = str(x)  # which is no part of the model

    def __call__(self, state):
        x = float(state["x"])
        if x > float(os.environ["GRIDAX_FAILS_FROM"]):
            raise ArithmeticError("no fixed point")
        self.n_calls += 1
        return {"rate": x, "series": x * np.arange(3.0)}


def vectorized(state):
    return {"rate": state["x"], "series": state["x"] * jnp.arange(3.0)}


def assert_same(result, model, execution=gx.SequentialExecution):
    """Compare with a run in memory, but for when it ran and what it says of the model."""
    expected = execution(model, SPACE).run(progress=False).dataset
    found = result.dataset.load()
    for dataset in (found, expected):
        dataset.attrs = {
            name: value
            for name, value in dataset.attrs.items()
            if name not in ("created", "history", "gridax_fingerprints")
        }
    xr.testing.assert_identical(found, expected)
    assert list(found.indexes) == list(expected.indexes)
    assert {n: v.dtype for n, v in found.items()} == {n: v.dtype for n, v in expected.items()}


def run(model, anywhere, **options):
    url, storage_options = anywhere
    given = {"store": url, "storage_options": storage_options, "progress": False, **options}
    if "block" not in given:
        given["block"] = {"x": 2}
    return gx.SequentialExecution(model, SPACE).run(**given)


def opened(anywhere):
    url, storage_options = anywhere
    return gx.open_result(url, storage_options=storage_options)


def test_a_run_gives_what_it_gives_in_memory(anywhere):
    result = run(Model(), anywhere)
    assert result.progress.done == result.progress.total == 12
    assert_same(result, Model())
    assert_same(opened(anywhere), Model())
    assert opened(anywhere)[4]["series"].tolist() == result[4]["series"].tolist()


def test_a_vectorized_run_gives_what_it_gives_in_memory(anywhere):
    url, storage_options = anywhere
    options = {"store": url, "storage_options": storage_options, "progress": False}
    execution = gx.ParallelExecution(vectorized, SPACE, n_pmap=2)
    assert_same(execution.run(block={"x": 2}, **options), vectorized, gx.ParallelExecution)
    again = gx.ParallelExecution(vectorized, SPACE).run(**options)
    assert_same(again, vectorized, gx.ParallelExecution)


def test_a_run_that_failed_is_gone_on_with(anywhere):
    model = Model()
    model.fail_from(0.5)
    with pytest.raises(ArithmeticError, match="no fixed point") as caught:
        run(model, anywhere)
    url = repr(anywhere[0])
    note = f"6 of 12 points are saved in {url}; call run(store={url}) again to resume"
    assert note in caught.value.__notes__
    kept = caught.value.result
    assert kept.progress.done == model.n_calls == 4 + 2  # half of the block that was begun
    rates = kept.dataset["rate"].isel(trial=1)
    np.testing.assert_allclose(rates, [0, 0.2, 0.4, np.nan, np.nan, np.nan], rtol=1e-6)
    assert opened(anywhere).progress == kept.progress

    model.fail_from(np.inf)
    result = run(model, anywhere)
    assert model.n_calls == 12
    assert_same(result, Model())
    assert run(model, anywhere).progress.done == 12
    assert model.n_calls == 12


def test_errors_are_recorded_and_points_tried_again(in_memory):
    model = Model()
    model.fail_from(0.9)
    result = run(model, in_memory, on_error="record")
    assert result.progress.failed == 2
    assert set(result.failed["error"]) == {"ArithmeticError: no fixed point"}
    model.fail_from(np.inf)
    assert_same(run(model, in_memory, retry_failed=True), Model())
    assert model.n_calls == 12


def test_processes_share_a_store_by_its_shards(in_memory):
    models = [Model() for _ in range(3)]
    for i, model in enumerate(models):
        run(model, in_memory, shard=(i, 3))
    assert sum(model.n_calls for model in models) == 12
    assert_same(opened(in_memory), Model())


def test_who_makes_a_store_second_goes_on_with_the_first(anywhere):
    model = Model()

    def racing(state):
        if not model.n_calls:
            model.n_calls = 1
            run(Model(), anywhere, version="1")
        model.n_calls += 1
        return Model()(state)

    result = run(racing, anywhere, version="1")
    assert model.n_calls == 2  # the second had evaluated the first point by then
    assert_same(result, Model())


def test_another_sweep_is_refused_and_stays(in_memory):
    run(Model(), in_memory)
    axes = {"x": gx.GridAxis(0, 2, 6), "k": gx.KeyAxis(2, name="trial"), "dt": 0.1}
    text = (
        f"{in_memory[0]!r}, which holds another sweep: the axis 'x' is 0.0, 0.2, 0.4, 0.6, 0.8, 1.0"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.SequentialExecution(Model(), gx.Space(axes, "product")).run(
            store=in_memory[0], progress=False
        )
    assert_same(opened(in_memory), Model())


def test_a_result_is_replaced_when_asked_for(anywhere):
    other = Model()
    run(lambda s: other(s)["rate"], anywhere)
    before = set(content_of(Bucket(*anywhere)))
    assert_same(run(Model(), anywhere, overwrite=True), Model())
    after = set(content_of(Bucket(*anywhere)))
    assert "value/zarr.json" in before - after
    assert "series/zarr.json" in after - before


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_somebody_else_are_left_alone(in_memory, overwrite):
    place = Bucket(*in_memory)
    place.put("thesis.tex", b"years of work")
    with pytest.raises(FileExistsError, match=re.escape(f"{in_memory[0]!r} is not a gridax")):
        run(Model(), in_memory, overwrite=overwrite)
    assert content_of(place) == {"thesis.tex": b"years of work"}


def truncated(content):
    return content[:-3]


def emptied(content):
    return b""


def flipped(content):
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]


def removed(content):
    return None


def damage(anywhere, how):
    """Damage a chunk of a finished store, and see that nobody takes it for data."""
    run(Model(), anywhere)
    place, key = Bucket(*anywhere), "series/c/1/0/0"
    content = how(place.read([key])[0])
    if content is None:
        place._fs.rm_file(f"{place._path}/{key}")
    else:
        place.put(key, content)
    with pytest.raises(OSError, match=re.escape(f"'series' of {anywhere[0]!r} is damaged (")):
        opened(anywhere).dataset["series"].load()


def assert_repaired(anywhere, verify):
    model = Model()
    text = f"1 block(s) of {anywhere[0]!r} are damaged, and are computed again"
    with pytest.warns(UserWarning, match=re.escape(text)):
        result = run(model, anywhere, verify=verify)
    assert model.n_calls == 4
    assert_same(result, Model())


def test_a_truncated_object_is_computed_again(anywhere):
    damage(anywhere, truncated)
    assert_repaired(anywhere, "size")


@pytest.mark.parametrize(
    ("how", "verify"),
    [
        (emptied, "size"),
        (removed, "size"),
        (removed, "full"),
        (truncated, "full"),
        (flipped, "full"),
    ],
)
def test_damaged_objects_are_computed_again(in_memory, how, verify):
    damage(in_memory, how)
    assert_repaired(in_memory, verify)


@pytest.mark.parametrize(("how", "verify"), [(truncated, "none"), (flipped, "size")])
def test_damage_that_nobody_looks_for_costs_no_call(in_memory, how, verify):
    damage(in_memory, how)
    model = Model()
    assert run(model, in_memory, verify=verify).progress.done == 12
    assert model.n_calls == 0


@pytest.mark.slow
def test_a_bucket_that_is_not_there_says_so(s3):
    _, options = s3
    with pytest.raises(FileNotFoundError, match="bucket does not exist"):
        run(Model(), ("s3://nowhere/run.zarr", options))


def test_nothing_behind_a_url_says_so(anywhere):
    with pytest.raises(FileNotFoundError, match=re.escape(f"there is no store {anywhere[0]!r}")):
        opened(anywhere)
