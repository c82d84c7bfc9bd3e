"""What is asked of workers in other processes, what is sent to them, and what they do with it."""

from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
import os
import platform
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gridax import _version
from gridax._devices import SETTINGS
from gridax._execution.pointwise import Carried, PointwiseEvaluator
from gridax._execution.sendable import sendable
from gridax._execution.tiled import TiledEvaluator
from gridax._outputs.template import Output, Template, unit_difference
from gridax._reduce.outputs import ReducedOutputs
from gridax._run.evaluator import Evaluator, Request, store_evaluated
from gridax._run.job import Job
from gridax._stores.base import DONE, Task
from gridax._stores.memory import MemoryStore

# Number of jobs whose compiled programs a worker keeps.
_KEPT = 4

Tasks = tuple[Task, ...]


class BlockOutputs(NamedTuple):
    """What a worker returns: the outputs of a block, or how many points it has stored.

    Attributes
    ----------
    task : the block.
    stored : number of points that the worker has stored; None if it returns their outputs.
    arrays : outputs of the block.
    errors : what the model raised, by position in the block.
    """

    task: Task
    stored: int | None = None
    arrays: Sequence[np.ndarray] = ()
    errors: Mapping[tuple[int, ...], str] = {}


class Killed(NamedTuple):
    """A block whose workers died every time, and the text of the error."""

    task: Task
    text: str


@dataclasses.dataclass(frozen=True)
class RemoteJob:
    """Everything that a worker needs to evaluate blocks; sent once to each worker.

    Attributes
    ----------
    name : unique name of the job.
    pickled : the pickled `Job`, and what its outputs are reduced to.
    n_vmap, jit : as in `DaskExecution`.
    outputs : what the model returns.
    handle : where blocks are written; if None, they are returned.
    block : points of a block along each dimension.
    memory, lanes, record : as in `Request`.
    versions : versions that must be the same in all processes.
    settings : settings of JAX in the process that sends the job.
    cores : the core of each worker, by its address, if all of them share one machine.
    carried : which outputs points carry to the next ones, if any.
    """

    name: str
    pickled: bytes
    n_vmap: int | None
    jit: bool
    outputs: tuple[Output, ...]
    handle: Any
    block: tuple[int, ...]
    memory: int | None
    lanes: bool | int
    record: bool
    versions: dict[str, str]
    settings: dict[str, Any]
    cores: Mapping[str, int] = dataclasses.field(default_factory=dict)
    carried: Carried | None = None


class Workers(abc.ABC):
    """Processes that evaluate blocks. Abstract: all methods."""

    @abc.abstractmethod
    def n(self) -> int:
        """Return how many blocks are evaluated at the same time."""

    @abc.abstractmethod
    def results(self, job: RemoteJob, batches: Iterator[Tasks]) -> Iterator[BlockOutputs | Killed]:
        """Yield what the workers return for all blocks, in any order.

        Raises
        ------
        Exception
            What the model raised in a worker.
        RuntimeError
            If the workers are lost, or lack a package.
        """


def versions() -> dict[str, str]:
    """Return the versions that must be the same in all processes of a run."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {
        "gridax": _version.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": python,
    }


def settings() -> dict[str, Any]:
    """Return the settings of JAX that must be the same in all processes of a run."""
    return {name: getattr(jax.config, name) for name in SETTINGS}


@contextlib.contextmanager
def _set(wanted: Mapping[str, Any]) -> Iterator[None]:
    """Let JAX compute as it would in the process that sent the job."""
    before = settings()
    differing = [name for name, value in wanted.items() if before[name] != value]
    try:
        for name in differing:
            jax.config.update(name, wanted[name])
        yield
    finally:
        for name in differing:
            jax.config.update(name, before[name])


def _dask_in_this_process() -> contextlib.AbstractContextManager[Any]:
    """Let dask arrays that a model computes, such as those of a stored result, be computed here.

    On the cluster, they would wait for a thread of a worker, whose threads wait for this block.
    """
    if "distributed" not in sys.modules:  # a process without dask
        return contextlib.nullcontext()
    import dask

    return dask.config.set(scheduler="threads")


def pickled(job: Job, reduced: ReducedOutputs | None) -> bytes:
    """Return a job, and what its outputs are reduced to, as bytes.

    Raises
    ------
    TypeError
        If a part of it cannot be sent to another process, with the name of that part.
    """
    import cloudpickle

    try:
        return cloudpickle.dumps((job, reduced))
    except Exception as error:
        parts = {"the model": job.model, "the space": job.points, "reduce=": reduced}
        parts |= {f"argument {i}": value for i, value in enumerate(job.args)}
        parts |= {f"argument {name!r}": value for name, value in job.kwargs.items()}
        for name, value in parts.items():
            try:
                cloudpickle.dumps(value)
            except Exception as reason:
                raise TypeError(
                    f"{name} cannot be sent to the workers ({type(reason).__name__}: {reason}); "
                    "create what cannot be pickled (open files, locks, connections) inside the "
                    "model"
                ) from error
        raise


def identity(job: RemoteJob) -> RemoteJob:
    """Return the job: the task through which it reaches each worker once."""
    return job


def check(required: Mapping[str, str]) -> None:
    """Reject versions that differ from those of the process that sends the job.

    Raises
    ------
    VersionMismatch
        If they differ; the message has both.
    """
    mine = versions()
    if mine != required:
        pairs = [(name, mine[name], theirs) for name, theirs in required.items()]
        differing = ", ".join(f"{name} {a} instead of {b}" for name, a, b in pairs if a != b)
        raise VersionMismatch(
            f"a worker has {differing}; install the same versions in all processes"
        )


def work(job: RemoteJob, tasks: Sequence[Task]) -> list[BlockOutputs]:
    """Evaluate some blocks on a worker.

    Raises
    ------
    VersionMismatch
        If the worker's versions differ from those of the process that sent the job.
    """
    check(job.versions)
    try:
        # One block at a time, since each uses all devices of the process.
        with _lock, _set(job.settings), _dask_in_this_process():
            evaluator, reduced = _evaluator(job)
            if job.handle is None:
                return [_evaluated(job, evaluator, reduced, task) for task in tasks]
            return _stored(job, evaluator, reduced, tasks)
    except BaseException as error:
        failure = sendable(error)
    raise failure  # only here: its context would be sent as well


class VersionMismatch(RuntimeError):
    """Raised if the processes of a run have different versions of a package."""


_lock = threading.Lock()
_evaluators: collections.OrderedDict[str, tuple[Evaluator, ReducedOutputs | None]] = (
    collections.OrderedDict()
)


def _evaluator(job: RemoteJob) -> tuple[Evaluator, ReducedOutputs | None]:
    """Return the evaluator of a job, which a worker creates once, and what it reduces to."""
    if job.name not in _evaluators:
        import cloudpickle

        _take_core(job.cores)
        local, reduced = cloudpickle.loads(job.pickled)
        evaluator: Evaluator = (
            TiledEvaluator(local, job.n_vmap, None)
            if job.jit
            else PointwiseEvaluator(local, job.carried, is_worker=True)
        )
        _evaluators[job.name] = evaluator, reduced
        while len(_evaluators) > _KEPT:
            _evaluators.popitem(last=False)
    return _evaluators[job.name]


def _take_core(cores: Mapping[str, int]) -> None:
    """Pin the threads that XLA will start to one core, since each worker has one of its own."""
    if cores and hasattr(os, "sched_setaffinity"):
        from distributed import get_worker

        address = get_worker().address
        if address in cores:
            os.sched_setaffinity(0, {cores[address]})


def _request(job: RemoteJob, reduced: ReducedOutputs | None, store: Any) -> Request:
    known = job.outputs if reduced is None else reduced.outputs

    def check_template(raw: Template) -> None:
        shapes = [[output.shape for output in outputs] for outputs in (raw.outputs, known)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the model returned outputs with the shapes {shapes[0]} on a worker, but with the "
                f"shapes {shapes[1]} in the process that started the run"
            )
        difference = unit_difference(known, raw.outputs)
        if difference:
            raise ValueError(f"{difference}; every point must return the same outputs")

    bounds = job.memory, job.lanes, reduced
    return Request(*bounds, store, job.block, job.record, check_template)


def _evaluated(
    job: RemoteJob, evaluator: Evaluator, reduced: ReducedOutputs | None, task: Task
) -> BlockOutputs:
    store = MemoryStore(task.box, job.outputs, is_block=True)
    if task.todo is not None:
        store.status[~task.todo] = DONE
    if task.known is not None:
        arrays, store.status[...] = task.known
        for mine, array in zip(store.arrays, arrays, strict=True):
            mine[...] = array
    for _ in store_evaluated(evaluator, _request(job, reduced, store)):
        pass
    return BlockOutputs(task._replace(known=None), None, store.arrays, store.errors)


def _stored(
    job: RemoteJob, evaluator: Evaluator, reduced: ReducedOutputs | None, tasks: Sequence[Task]
) -> list[BlockOutputs]:
    try:
        store = job.handle.open([task.box for task in tasks])
    except ValueError as error:
        location = job.handle.location
        if location.exists():
            raise
        raise FileNotFoundError(
            f"a worker does not find the store {location.name!r}: either it was removed, or "
            f"{location.address!r} is not the same place in all processes; give a path on a disk "
            "that they share, or a URL such as 's3://…'"
        ) from error
    store.scan()
    before = store.n_done
    try:
        new = sum(store_evaluated(evaluator, _request(job, reduced, store)))
    except BaseException:
        store.rescue()
        raise
    return [BlockOutputs(tasks[0], before + new)]
