"""What a user may ask of a run, checked before anything is computed."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping
from typing import Any, Literal

from gridax import _checks
from gridax._stores.base import StoreOptions

OnError = Literal["raise", "record"]
Resume = bool | Literal["force"]

_CHOICES: dict[str, tuple[Any, ...]] = {
    "on_error": ("raise", "record"),
    "resume": (True, False, "force"),
    "verify": ("none", "size", "full"),
    "durability": ("process", "power"),
    "overwrite": (True, False),
    "retry_failed": (True, False),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """How a run is kept; the meaning of each stands in `Execution.run`."""

    resume: Resume = True
    overwrite: bool = False
    shard: tuple[int, int] | None = None
    retry_failed: bool = False
    verify: Literal["none", "size", "full"] = "size"
    durability: Literal["process", "power"] = "process"
    block: Mapping[str, int] | None = None
    version: str | None = None
    storage_options: Mapping[str, Any] | None = None

    def resumed(self) -> Options:
        """Return the options for a store that somebody else has made just now."""
        return dataclasses.replace(self, overwrite=False, resume=self.resume or True)

    def for_store(self) -> StoreOptions:
        """Return what the store has to know."""
        return StoreOptions(self.shard or (0, 1), self.verify, self.durability, self.retry_failed)


def checked(
    given: Mapping[str, Any], has_store: bool, extends: bool, sizes: Mapping[str, int]
) -> Options:
    """Return the options that a user gave to `run`.

    Raises
    ------
    TypeError, ValueError
        If an option needs a store, or its value is none of those that it takes.
    """
    for field in dataclasses.fields(Options):
        name, value = field.name, given[field.name]
        choice(name, value)
        alone = value == field.default or (extends and name == "resume")
        if not has_store and not alone:
            raise TypeError(f"{name}={value!r} goes with store=; without one, nothing is kept")
    options = Options(**given)
    if options.shard is not None:
        if options.overwrite:
            raise ValueError(
                "overwrite=True with shard=: each process would replace what the others have "
                "begun; remove the store before they start"
            )
        options = dataclasses.replace(options, shard=_shard(options.shard))
    if options.block is not None:
        options = dataclasses.replace(options, block=_block(options.block, sizes))
    if options.version is not None and not isinstance(options.version, str):
        raise TypeError(f"version must be a string that names the model, got {options.version!r}")
    return options


def choice(name: str, value: Any) -> None:
    """Refuse a value that is none of those an option takes."""
    choices = _CHOICES.get(name)
    # True == 1, but nobody means that.
    if choices and not any(type(value) is type(c) and value == c for c in choices):
        *others, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")


def _shard(shard: Any) -> tuple[int, int]:
    try:
        i, n = map(operator.index, shard)
    except (TypeError, ValueError):
        raise TypeError(
            f"shard must be two whole numbers (i, n): the i-th of n processes, got {shard!r}"
        ) from None
    if n < 1:
        raise ValueError(f"shard=(i, n) must have 0 <= i < n, so n of at least 1, got {shard}")
    if not 0 <= i < n:
        raise ValueError(
            f"shard=(i, n) must have 0 <= i < n, as the first of {n} is shard=(0, {n}), got {shard}"
        )
    return i, n


def _block(block: Any, sizes: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(block, Mapping):
        raise TypeError(
            f"block must give numbers of points by dimension, such as {{{next(iter(sizes), 'G')!r}"
            f": 4}}, got {block!r}"
        )
    for dim, size in block.items():
        if dim not in sizes:
            raise ValueError(f"block names {dim!r}, but the dimensions are {list(sizes)}")
        _checks.count(size, "block", f"the number of points along {dim!r}")
    return {dim: min(operator.index(block.get(dim, n)), n) for dim, n in sizes.items()}
