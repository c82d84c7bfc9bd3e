"""The contract between a run and the code that evaluates its points."""

from __future__ import annotations

import abc
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gridax._outputs.template import Template
from gridax._plan.blocks import Wish
from gridax._plan.plan import Plan, Region, shape_of
from gridax._reduce.outputs import ReducedOutputs
from gridax._run.fingerprints import Traced
from gridax._run.job import Job
from gridax._stores.base import Computed, Store
from gridax._text import error_text


class Failed(NamedTuple):
    """Points at which the model raised an error; of a reduced sweep, cells of such points.

    Attributes
    ----------
    region : where the points are.
    error : what it raised, or its text if it was raised in another process.
    """

    region: Region
    error: Exception | str


class StoredElsewhere(NamedTuple):
    """Points whose outputs another process has stored.

    Attributes
    ----------
    n_points : how many.
    """

    n_points: int


Evaluated = Computed | Failed | StoredElsewhere


class Deadline:
    """The time after which nothing more is begun; whatever it is, something is evaluated first.

    Otherwise, a run that compiles for longer than it has time would never get anywhere.

    Parameters
    ----------
    at : on the monotonic clock; infinity if there is no such time.
    """

    def __init__(self, at: float = math.inf) -> None:
        self.at, self._has_begun = at, False

    def note_begun(self) -> None:
        """Note that something is evaluated."""
        self._has_begun = True

    @property
    def is_over(self) -> bool:
        """Whether no more is to be begun."""
        return self._has_begun and time.monotonic() > self.at


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Within which bounds points are evaluated.

    Attributes
    ----------
    memory : maximum number of bytes that a device may use; None if the evaluator may choose.
    lanes : whether points may leave a loop one by one.
    reduced : what the outputs are reduced to, if so.
    """

    memory: int | None
    lanes: bool | int
    reduced: ReducedOutputs | None


@dataclasses.dataclass(frozen=True)
class Request(Bounds):
    """What to evaluate, and within which bounds.

    Attributes
    ----------
    store : knows which points are still to be evaluated; of a reduced sweep, which cells.
    block : points of a block along each dimension; None if the evaluator may choose.
    record : whether an error of the model is yielded as `Failed`, or raised.
    check_template : called with what the model returns before any of it is stored.
    deadline : when nothing more is begun.
    explores : whether faster plans are looked for.
    """

    store: Store
    block: tuple[int, ...] | None
    record: bool
    check_template: Callable[[Template], None]
    deadline: Deadline = dataclasses.field(default_factory=Deadline)
    explores: bool = True


class Evaluator(abc.ABC):
    """Evaluates a job; an executor is a job and an evaluator. Abstract: all methods.

    Attributes
    ----------
    is_traced : whether the model receives JAX arrays, which are traced.
    again : evaluates all points as they were evaluated last, or returns None if it cannot; None if
        there is still something to learn about how to evaluate them.
    """

    is_traced: bool
    again: Callable[[], list[Computed] | None] | None = None

    @abc.abstractmethod
    def template(self, known: Template | None, record: bool) -> Template | None:
        """Return what the model returns, or None if only evaluating it will tell.

        `known` is what it returned in an earlier run, if any; `record` is as in `Request`.
        """

    @abc.abstractmethod
    def evaluate(self, request: Request) -> Iterator[Evaluated]:
        """Evaluate what the store of a request lacks, and yield it as it is computed."""

    @property
    def local(self) -> Evaluator:
        """What evaluates points in this process."""
        return self

    def deriving(self, job: Job) -> Evaluator:
        """Return an evaluator of the same points whose outputs include derivatives.

        Raises
        ------
        TypeError
            If the model is not traced, so that it cannot be differentiated.
        """
        raise TypeError(
            "derivatives= needs a model that JAX traces, but this executor calls it as a plain "
            "Python function; use ParallelExecution, or DaskExecution without jit=False"
        )

    @abc.abstractmethod
    def plan(self, bounds: Bounds) -> Plan:
        """Return how the sweep will be divided."""

    @abc.abstractmethod
    def wish(self, bounds: Bounds) -> Wish:
        """Return which blocks suit the evaluator best."""

    @abc.abstractmethod
    def seconds(self) -> float:
        """Return about how long a point takes."""

    @abc.abstractmethod
    def program(self) -> Traced | None:
        """Return the model as it is traced now, or None if it never is.

        It is the same object for the same trace.
        """


def store_evaluated(evaluator: Evaluator, request: Request) -> Iterator[int]:
    """Evaluate what a store lacks and store it; yield the number of points that are new."""
    store = request.store
    for evaluated in evaluator.evaluate(request):
        match evaluated:
            case Computed():
                yield store.write(evaluated)
            case Failed(region, error):
                if request.reduced is None:
                    yield store.fail(region, error)
                else:
                    yield store.write(_all_failed(request.reduced, region, error))
            case StoredElsewhere(n_points):
                yield n_points
    yield store.close()


def _all_failed(reduced: ReducedOutputs, region: Region, error: Exception | str) -> Computed:
    """Return what is stored of cells at all of whose points the model failed."""
    box, shape, where = region
    arrays = reduced.nothing(box, shape, where)
    text = error if isinstance(error, str) else error_text(error)
    picked = np.zeros(shape, bool)
    picked[where] = True
    cells = np.argwhere(picked.reshape(shape_of(box))).tolist()
    return Computed(region, arrays, False, {tuple(cell): text for cell in cells})
