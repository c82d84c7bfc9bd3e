"""What is sent to the workers of a cluster, and what they do with it."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import platform
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gridax import _version
from gridax._execution.base import Execution
from gridax._execution.parallel import ParallelExecution
from gridax._execution.sequential import SequentialExecution
from gridax._outputs.template import Output, Template
from gridax._run.order import Order
from gridax._run.run import filled
from gridax._stores.base import DONE, Task
from gridax._stores.memory import MemoryStore

# Sweeps whose compiled programs a worker keeps.
_KEPT = 4
# Settings of JAX that change what a model computes.
_SETTINGS = (
    "jax_enable_x64",
    "jax_threefry_partitionable",
    "jax_default_prng_impl",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_debug_nans",
)


class Part(NamedTuple):
    """What comes back: the outputs of a block, or the number of points that are stored.

    Attributes
    ----------
    task : the block.
    stored : number of points that the worker has stored; None if they come back.
    arrays : outputs of the block.
    errors : what the model raised, by position in the block.
    """

    task: Task
    stored: int | None = None
    arrays: Sequence[np.ndarray] = ()
    errors: Mapping[tuple[int, ...], str] = {}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All that a worker needs to evaluate blocks; sent once to each.

    Attributes
    ----------
    name : of the sweep, unlike any other.
    program : the pickled model, space, args, kwargs.
    n_vmap, jit : as in `DaskExecution`.
    outputs : what the model returns.
    handle : where blocks are written to; they come back if None.
    block : points of a block along each dimension.
    memory, record : as in `Order`.
    cores : the core of each worker, by its address, where they share one machine.
    versions : of what must be the same everywhere.
    settings : of JAX, as they are in the process that sends the sweep.
    """

    name: str
    program: bytes
    n_vmap: int | None
    jit: bool
    outputs: tuple[Output, ...]
    handle: Any
    block: tuple[int, ...]
    memory: int | None
    record: bool
    cores: Mapping[str, int]
    versions: dict[str, str]
    settings: dict[str, Any]


def versions() -> dict[str, str]:
    """Return the versions that must be the same in all processes of a sweep."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {
        "gridax": _version.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": python,
    }


def settings() -> dict[str, Any]:
    """Return the settings of JAX that must be the same in all processes of a sweep."""
    return {name: getattr(jax.config, name) for name in _SETTINGS}


@contextlib.contextmanager
def _set(wanted: Mapping[str, Any]) -> Iterator[None]:
    """Let JAX compute as it would in the process that sent a sweep."""
    before = settings()
    differing = [name for name, value in wanted.items() if before[name] != value]
    try:
        for name in differing:
            jax.config.update(name, wanted[name])
        yield
    finally:
        for name in differing:
            jax.config.update(name, before[name])


def pickled(model: Any, space: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return the model, the space and the arguments as bytes.

    Raises
    ------
    TypeError
        If one of them cannot be sent to another process, with its name.
    """
    import cloudpickle

    try:
        return cloudpickle.dumps((model, space, args, kwargs))
    except Exception as error:
        named = {"the model": model, "the space": space}
        named |= {f"argument {i}": value for i, value in enumerate(args)}
        named |= {f"argument {name!r}": value for name, value in kwargs.items()}
        for name, value in named.items():
            try:
                cloudpickle.dumps(value)
            except Exception as why:
                raise TypeError(
                    f"{name} cannot be sent to the workers ({type(why).__name__}: {why}); keep "
                    "what cannot be pickled (open files, locks, connections) out of it, and make "
                    "it inside the model"
                ) from error
        raise


def same(sweep: Sweep) -> Sweep:
    """Return what was given: the task through which a sweep reaches each worker once."""
    return sweep


def check(wanted: Mapping[str, str]) -> None:
    """Refuse to work with other versions than those of the process that sends a sweep.

    Raises
    ------
    VersionMismatch
        If they differ, with both.
    """
    mine = versions()
    if mine != wanted:
        pairs = [(name, mine[name], theirs) for name, theirs in wanted.items()]
        differing = ", ".join(f"{name} {a} and not {b}" for name, a, b in pairs if a != b)
        raise VersionMismatch(
            f"a worker has {differing}; install the same versions in all processes"
        )


def work(sweep: Sweep, tasks: Sequence[Task]) -> list[Part]:
    """Evaluate some blocks on a worker.

    Raises
    ------
    VersionMismatch
        If the worker has other versions than the process that sent the sweep.
    """
    check(sweep.versions)
    # One block at a time, which uses all devices of the process.
    with _lock, _set(sweep.settings):
        execution = _execution(sweep)
        if sweep.handle is None:
            return [_evaluated(sweep, execution, task) for task in tasks]
        return _stored(sweep, execution, tasks)


class VersionMismatch(RuntimeError):
    """Raised where processes of one sweep have different versions of a package."""


_lock = threading.Lock()
_executions: collections.OrderedDict[str, Execution] = collections.OrderedDict()


def _execution(sweep: Sweep) -> Execution:
    """Return the executor of a sweep, which a worker makes once."""
    if sweep.name not in _executions:
        import cloudpickle

        _take_core(sweep.cores)
        model, space, args, kwargs = cloudpickle.loads(sweep.program)
        if sweep.jit:
            _executions[sweep.name] = ParallelExecution(
                model, space, *args, n_vmap=sweep.n_vmap, **kwargs
            )
        else:
            _executions[sweep.name] = SequentialExecution(model, space, *args, **kwargs)
        while len(_executions) > _KEPT:
            _executions.popitem(last=False)
    return _executions[sweep.name]


def _take_core(cores: Mapping[str, int]) -> None:
    """Keep the threads that XLA will start to one core: each worker of this machine has its own."""
    if cores and hasattr(os, "sched_setaffinity"):
        from distributed import get_worker

        address = get_worker().address
        if address in cores:
            os.sched_setaffinity(0, {cores[address]})


def _order(sweep: Sweep, store: Any) -> Order:
    def agreed(raw: Template) -> None:
        shapes = [[output.shape for output in outputs] for outputs in (raw.outputs, sweep.outputs)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the model returned outputs of the shapes {shapes[0]} on a worker, but those of "
                f"the sweep are {shapes[1]}"
            )

    return Order(store, sweep.block, sweep.memory, sweep.record, agreed)


def _evaluated(sweep: Sweep, execution: Execution, task: Task) -> Part:
    store = MemoryStore(task.box, sweep.outputs, is_block=True)
    if task.todo is not None:
        store.status[~task.todo] = DONE
    for _ in filled(store, execution, _order(sweep, store)):
        pass
    return Part(task, None, store.arrays, store.errors)


def _stored(sweep: Sweep, execution: Execution, tasks: Sequence[Task]) -> list[Part]:
    store = sweep.handle.open([task.box for task in tasks])
    store.scan()
    before = store.n_done
    try:
        new = sum(filled(store, execution, _order(sweep, store)))
    except BaseException:
        store.rescue()
        raise
    return [Part(tasks[0], before + new)]
