"""What a user may ask of a run, checked before anything is computed."""

from __future__ import annotations

import dataclasses
import operator
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gridax import _checks, _memory
from gridax._run.progress import Progress
from gridax._stores.base import Durability, StoreOptions, Verify

OnError = Literal["raise", "record"]
Resume = Literal[True, False, "force"]
Order = Literal["grid", "coarse"]


# Marks options that have no meaning without a store.
_STORE: dict[str, Any] = {"needs_store": True}


@dataclasses.dataclass(frozen=True)
class Options:
    """One field per keyword of `Execution.run`, where the meaning of each is documented."""

    store: str | os.PathLike[str] | None = None
    progress: Progress = True
    dims: Mapping[str, Any] | None = None
    coords: Mapping[str, Any] | None = None
    memory: int | None = None
    lanes: bool | int = True
    on_error: OnError = "raise"
    extend: Any = None
    reduce: Mapping[Any, Any] | None = None
    derivatives: Any = ()
    budget: float | None = None
    order: Order = "grid"
    shard: tuple[int, int] | None = dataclasses.field(default=None, metadata=_STORE)
    resume: Resume = dataclasses.field(default=True, metadata=_STORE)
    overwrite: bool = dataclasses.field(default=False, metadata=_STORE)
    retry_failed: bool = dataclasses.field(default=False, metadata=_STORE)
    verify: Verify = dataclasses.field(default="size", metadata=_STORE)
    durability: Durability = dataclasses.field(default="process", metadata=_STORE)
    block: Mapping[str, int] | None = dataclasses.field(default=None, metadata=_STORE)
    version: str | None = dataclasses.field(default=None, metadata=_STORE)
    storage_options: Mapping[str, Any] | None = dataclasses.field(default=None, metadata=_STORE)

    @classmethod
    def checked(cls, given: Mapping[str, Any], sizes: Mapping[str, int]) -> Options:
        """Return the options that a user gave, normalized.

        Parameters
        ----------
        given : value of every option.
        sizes : number of points along each dimension.

        Raises
        ------
        TypeError, ValueError
            If a value is not one that the option takes, or the option needs a store.
        """
        # Most options of most runs are not given; the defaults need no check.
        changed = {name: value for name, value in given.items() if value is not _DEFAULTS[name]}
        for name, value in changed.items():
            _check_choice(name, value)
        options = cls(**changed)
        if options.store is None:
            options._check_store(changed)
        forms: dict[str, Callable[[Any], Any]] = {
            "memory": _memory.parsed,
            "budget": lambda budget: _checks.seconds(budget, "budget"),
            "lanes": _checks.lanes,
            "shard": _shard,
            "block": lambda block: _block(block, sizes),
        }
        normalized = {n: form(changed[n]) for n, form in forms.items() if n in changed}
        if options.shard is not None and options.overwrite:
            raise ValueError(
                "overwrite=True cannot be combined with shard=: each process would replace what "
                "the others have computed; remove the store before they start"
            )
        if not isinstance(options.version, str | None):
            raise TypeError(
                f"version must be a string that names the version of the model, got "
                f"{options.version!r}"
            )
        return dataclasses.replace(options, **normalized) if normalized else options

    def _check_store(self, changed: Mapping[str, Any]) -> None:
        """Reject options that have no meaning without a store."""
        for name, value in changed.items():
            # resume="force" also applies to extend=.
            if name == "resume" and self.extend is not None:
                continue
            if name in _NEED_STORE and value != _DEFAULTS[name]:
                raise TypeError(
                    f"{name}={value!r} requires store=; without one, the run is kept in memory only"
                )

    @property
    def is_plain(self) -> bool:
        """Whether all points are evaluated, and labeled as the model says."""
        return all(
            getattr(self, name) is default
            for name, default in _DEFAULTS.items()
            if name not in _EVALUATION
        )

    @property
    def record(self) -> bool:
        """Whether an error of the model is recorded rather than raised."""
        return self.on_error == "record"

    def for_store(self) -> StoreOptions:
        """Return what the store needs to know."""
        return StoreOptions(
            self.shard or (0, 1),
            self.verify,
            self.durability,
            self.retry_failed,
            is_coarse=self.order == "coarse",
        )


def _allowed(hint: Any) -> tuple[Any, ...]:
    """Return the values that a field of this type may have; empty if there are too many to list."""
    return (True, False) if hint is bool else get_args(hint) if get_origin(hint) is Literal else ()


# Options that say how points are evaluated, rather than which ones, or what becomes of the outputs.
_EVALUATION = {"progress", "memory", "lanes", "on_error"}
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Options)}
_NEED_STORE = {f.name for f in dataclasses.fields(Options) if f.metadata.get("needs_store")}
_CHOICES = {name: _allowed(hint) for name, hint in get_type_hints(Options).items()}


def _check_choice(name: str, value: Any) -> None:
    choices = _CHOICES[name]
    # By type as well, since 1 == True.
    if choices and not any(type(value) is type(c) and value == c for c in choices):
        *others, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")


def _shard(shard: Any) -> tuple[int, int]:
    try:
        i, n = map(operator.index, shard)
    except (TypeError, ValueError):
        raise TypeError(
            f"shard must be two integers (i, n), for the i-th of n processes, got {shard!r}"
        ) from None
    if not 0 <= i < n:
        raise ValueError(
            f"shard=(i, n) must have 0 <= i < n (the first of {max(n, 1)} is shard=(0, "
            f"{max(n, 1)})), got {shard}"
        )
    return i, n


def _block(block: Any, sizes: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(block, Mapping):
        raise TypeError(
            "block must be a mapping from dimensions to numbers of points, such as "
            f"{{{next(iter(sizes), 'G')!r}: 4}}, got {block!r}"
        )
    for dim, size in block.items():
        if dim not in sizes:
            raise ValueError(f"block names {dim!r}, but the dimensions are {list(sizes)}")
        _checks.count(size, "block", f"the number of points along {dim!r}")
    return {dim: min(operator.index(block.get(dim, n)), n) for dim, n in sizes.items()}
