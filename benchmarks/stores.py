"""Stores: streaming against computing or writing alone, small blocks, resuming, shards."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
import zarr

import gridax as gx

from .measure import Row, bytesize, duration

# Time series of a noise-driven network. Prints the seconds, and the peak memory beyond that of a
# process that has only started JAX.
STREAM = """
import resource, sys, time
import jax, jax.numpy as jnp
import gridax as gx

n, steps, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None

def model(state):
    def step(x, key):
        noise = 0.1 * jax.random.normal(key, x.shape)
        x = x + 0.01 * (state["G"] * jnp.tanh(x) - x) + noise
        return x, x
    keys = jax.random.split(state["key"], steps)
    return {"x": jax.lax.scan(step, jnp.zeros(50), keys)[1]}

state = {"G": gx.GridAxis(0, 1, n), "key": gx.KeyAxis(16, name="trial")}
space = gx.Space(state, mode="product")
jax.block_until_ready(jnp.zeros(3) + 1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
gx.ParallelExecution(model, space).run(store=store, progress=False)
seconds = time.perf_counter() - start
print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
# One of several processes that share a store.
SHARD = """
import sys
import gridax as gx

def model(state):
    total = 0
    for i in range(int(sys.argv[4])):
        total += i % 7
    return {"y": total + float(state["a"])}

space = gx.Space({"a": gx.GridAxis(0, 1, int(sys.argv[5]))}, mode="product")
shard = (int(sys.argv[2]), int(sys.argv[3]))
gx.SequentialExecution(model, space).run(
    store=sys.argv[1], shard=shard, progress=False, block={"a": 4}
)
"""


def rows(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield from streaming(Path(folder), quick)
        yield from small_blocks(Path(folder), quick)
        yield from shards(Path(folder), quick)


def streaming(folder: Path, quick: bool) -> Iterator[Row]:
    steps, sizes = (50, (4, 8)) if quick else (1000, (312, 1250))
    store, peaks = folder / "stream.zarr", []
    for n in sizes:
        nbytes = n * 16 * steps * 50 * 4
        times: dict[str, list[float]] = {"stream": [], "compute": [], "write": []}
        peak = 0.0
        for _ in range(1 if quick else 3):
            remove(store)
            seconds, used = map(float, run(STREAM, n, steps, store).split())
            times["stream"].append(seconds)
            peak = max(peak, used)
            times["write"].append(plain_writing(store, folder / "plain.zarr"))
            times["compute"].append(float(run(STREAM, n, steps, "").split()[0]))
        took = {name: statistics.median(each) for name, each in times.items()}
        ratio = took["stream"] / max(took["compute"], took["write"])
        alone = f"alone: compute {duration(took['compute'])}, write {duration(took['write'])}"
        peaks.append(peak)
        yield Row(
            f"stream {bytesize(nbytes)} of time series: time ÷ max(compute, write)",
            f"{duration(took['stream'])}, {ratio:.2f} ×",
            "≤ 1.15 ×",
            ratio <= 1.15,
            alone,
        )
        yield Row(
            "… peak memory above an empty JAX process",
            bytesize(peak),
            "≤ 1 GB",
            peak <= 1e9,
            f"of {bytesize(peaks[0])} with a quarter" if len(peaks) > 1 else "",
        )
    remove(store)


def plain_writing(store: Path, other: Path) -> float:
    """Return the seconds that plain Zarr takes to write chunks like those of a store."""
    remove(other)
    array: Any = zarr.open_group(store, mode="r")["x"]
    block = array.chunks
    chunk = array[tuple(slice(size) for size in block)]
    target = zarr.create_array(
        other,
        shape=array.shape,
        chunks=block,
        dtype=array.dtype,
        compressors=array.compressors,
        fill_value=np.nan,
    )
    start = time.perf_counter()
    for i in range(0, array.shape[0], block[0]):
        for k in range(0, array.shape[1], block[1]):
            here = target[i : i + block[0], k : k + block[1]].shape
            target[i : i + block[0], k : k + block[1]] = chunk[: here[0], : here[1]]
    seconds = time.perf_counter() - start
    remove(other)
    return seconds


def small_blocks(folder: Path, quick: bool) -> Iterator[Row]:
    n = (4, 5) if quick else (100, 100)
    state = {"a": gx.GridAxis(0, 1, n[0]), "b": gx.GridAxis(0, 1, 10 * n[1])}
    space = gx.Space(state, mode="product")
    sweep = gx.ParallelExecution(lambda s: jnp.sin(s["a"] * s["b"]), space)
    path, blocks, n_blocks = folder / "small.zarr", {"a": 1, "b": 10}, n[0] * n[1]
    sweep.run(progress=False)
    alone = timed(lambda: sweep.run(progress=False))
    streamed = timed(lambda: sweep.run(store=path, block=blocks, progress=False))
    each = (streamed - alone) / n_blocks
    by_xarray = region_writes(folder / "xarray.zarr", 20 if quick else 500)
    yield Row(
        f"{n_blocks} blocks of 10 points: overhead per block",
        duration(each),
        "≤ 3 ms",
        each <= 3e-3,
        f"xarray, one region per block: {duration(by_xarray)}",
        by_xarray / each,
    )
    opened = timed(lambda: sweep.run(store=path, progress=False))
    (path / "status" / "c" / str(n[0] - 1) / str(n[1] - 1)).unlink()
    reports: list[float] = []
    start = time.perf_counter()
    new = gx.ParallelExecution(lambda s: jnp.sin(s["a"] * s["b"]), space)
    new.run(store=path, progress=lambda done, total: reports.append(time.perf_counter() - start))
    resumed = reports[-1]
    yield Row(
        f"resume among {n_blocks} finished blocks: until one more is computed",
        duration(resumed),
        "< 3 s",
        resumed < 3,
        f"opening the finished store: {duration(opened)}",
    )
    remove(path)


def region_writes(path: Path, n: int) -> float:
    """Return the seconds that xarray takes per block of 10 points."""
    remove(path)
    empty = xr.Dataset({"y": ("x", np.zeros(10 * n, np.float32))})
    empty.to_zarr(path, encoding={"y": {"chunks": (10,)}}, consolidated=False)

    def write() -> None:
        for i in range(n):
            block = xr.Dataset({"y": ("x", np.ones(10, np.float32))})
            block.to_zarr(path, region={"x": slice(10 * i, 10 * i + 10)}, consolidated=False)

    return timed(write) / n


def shards(folder: Path, quick: bool) -> Iterator[Row]:
    work, points = (100, 16) if quick else (2_000_000, 160)
    seconds = {}
    for n in (1, 4):
        path = folder / f"shards-{n}.zarr"
        start = time.perf_counter()
        processes = [
            subprocess.Popen([sys.executable, "-c", SHARD, *map(str, (path, i, n, work, points))])
            for i in range(n)
        ]
        assert [process.wait() for process in processes] == [0] * n
        seconds[n] = time.perf_counter() - start
        assert gx.open_result(path).progress == (points, 0, points)
        remove(path)
    yield Row(
        f"four processes on one store, on {os.cpu_count()} cores",
        duration(seconds[4]),
        opponent=f"one process: {duration(seconds[1])}",
        ratio=seconds[1] / seconds[4],
    )


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def run(script: str, *arguments: object) -> str:
    # JAX has a single device, which is its default.
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
