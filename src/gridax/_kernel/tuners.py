"""What was measured of a program, for the next executor and, if JAX caches programs, process."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import jax

from gridax import _devices, _disk
from gridax._plan.plan import Level, Plan
from gridax._plan.tuning import Tuner

# Bounded, so that programs that were thrown away do not stay in memory for good.
_MOST = 256
_tuners: collections.OrderedDict[Hashable, Tuner] = collections.OrderedDict()


def shared(key: Hashable, make: Callable[[], Tuner]) -> Tuner:
    """Return the tuner of a program and a grid, which all executors of this process share."""
    tuner = _tuners.pop(key, None) or make()
    _tuners[key] = tuner
    if len(_tuners) > _MOST:
        _tuners.popitem(last=False)
    return tuner


def recall(key: tuple[Any, ...], like: Plan) -> Plan | None:
    """Return the plan that another process found to be the fastest, if it is known and valid.

    Parameters
    ----------
    key : what determines the plan, in plain values that are the same in every process.
    like : a plan of the same sweep.
    """
    try:
        return _plan(json.loads(_path(key).read_text()), like)
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None


def remember(key: tuple[Any, ...], plan: Plan) -> None:
    """Keep the fastest plan for other processes, beside JAX's compiled programs."""
    path = _path(key)
    levels = [{"dims": e.dims, "width": e.width, "depth": e.depth} for e in plan.levels]
    counts = {"n_devices": plan.n_devices, "n_threads": plan.n_threads, "lanes": plan.lanes}
    counts["points_last"] = plan.points_last
    # A folder that cannot be written costs time, not results; JAX warns of it.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _disk.whole(path) as unfinished:
            unfinished.write_text(json.dumps({**counts, "levels": levels}))


def are_kept() -> bool:
    """Whether JAX caches programs in a folder, beside which plans can be kept."""
    folder = _folder()
    return bool(folder) and "://" not in folder


def _folder() -> str:
    return getattr(jax.config, "jax_compilation_cache_dir", None) or ""


def _path(key: tuple[Any, ...]) -> Path:
    device = _devices.devices()[0]
    everything = repr((key, jax.__version__, device.platform, device.device_kind))
    name = f"gridax-{hashlib.sha256(everything.encode()).hexdigest()[:32]}.json"
    return Path(_folder()) / name


def _plan(content: dict[str, Any], like: Plan) -> Plan:
    """Return the plan in a file, or raise an error if it does not fit the sweep."""
    groups = {level.dims: level.groups for level in like.levels}
    levels = []
    for level in content["levels"]:
        dims = tuple(map(int, level["dims"]))
        levels.append(Level(dims, int(level["width"]), int(level["depth"]), groups.get(dims)))
    lanes = int(content["lanes"])
    plan = dataclasses.replace(
        like,
        levels=tuple(levels),
        n_devices=int(content["n_devices"]),
        n_threads=int(content["n_threads"]),
        lanes=lanes,
        points_last=bool(content["points_last"]),
        is_counted=False,  # nothing is measured again
    )
    covered = sorted(dim for level in levels for dim in level.dims)
    chosen = [level for level in like.levels if level.groups is not None]
    widest = [max(level.longest(like.block), like.n_vmap) for level in levels]
    if (
        covered != list(range(len(like.sizes)))
        or not all(1 <= level.width <= n for level, n in zip(levels, widest, strict=True))
        or not all(1 <= level.depth <= level.size(like.block) for level in levels)
        or not {level.dims for level in chosen} <= {level.dims for level in levels}
        or not 1 <= plan.n_devices <= like.n_devices
        or not 1 <= plan.n_threads <= like.n_threads
        or not 0 <= plan.lanes <= (math.prod(like.block) if like.is_counted else 0)
    ):
        raise ValueError("a plan of another sweep")
    return plan
