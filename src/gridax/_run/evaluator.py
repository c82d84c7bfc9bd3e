"""The contract between a run and the code that evaluates its points."""

from __future__ import annotations

import abc
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gridax._outputs.template import Template
from gridax._plan.blocks import Wish
from gridax._plan.plan import Plan, Region, shape_of
from gridax._reduce.outputs import ReducedOutputs
from gridax._run.fingerprints import Traced
from gridax._run.job import Job
from gridax._stores.base import Store
from gridax._text import error_text


class Computed(NamedTuple):
    """The outputs of some points.

    Attributes
    ----------
    region : where the points are.
    arrays, owned, errors : one array per output, as `Store.write` takes them.
    """

    region: Region
    arrays: Sequence[np.ndarray]
    owned: bool = False
    errors: Mapping[tuple[int, ...], str] = {}


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
    at : on the monotonic clock.
    """

    def __init__(self, at: float) -> None:
        self._at, self._has_begun = at, False

    def note_begun(self) -> None:
        """Note that something is evaluated."""
        self._has_begun = True

    @property
    def is_over(self) -> bool:
        """Whether no more is to be begun."""
        return self._has_begun and time.monotonic() > self._at


@dataclasses.dataclass(frozen=True)
class Request:
    """What to evaluate, and within which bounds.

    Attributes
    ----------
    store : knows which points are still to be evaluated.
    block : points of a block along each dimension; None if the evaluator may choose.
    memory : maximum number of bytes that a device may use; None if the evaluator may choose.
    lanes : whether points may leave a loop one by one.
    record : whether an error of the model is yielded as `Failed`, or raised.
    check_template : called with what the model returns before any of it is stored.
    reduced : what the outputs are reduced to, if so: then the store has cells in place of points.
    deadline : when nothing more is begun, if at all.
    explores : whether faster plans are looked for.
    """

    store: Store
    block: tuple[int, ...] | None
    memory: int | None
    lanes: bool | int
    record: bool
    check_template: Callable[[Template], None]
    reduced: ReducedOutputs | None = None
    deadline: Deadline | None = None
    explores: bool = True

    def note_begun(self) -> None:
        """Note that something is evaluated."""
        if self.deadline is not None:
            self.deadline.note_begun()

    @property
    def is_over(self) -> bool:
        """Whether no more is to be evaluated."""
        return self.deadline is not None and self.deadline.is_over


class Evaluator(abc.ABC):
    """Evaluates a job; an executor is a job and an evaluator. Abstract: all methods."""

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
    def plan(
        self, memory: int | None, lanes: bool | int, reduced: ReducedOutputs | None = None
    ) -> Plan:
        """Return how the sweep will be divided; parameters are as in `Request`."""

    @abc.abstractmethod
    def wish(
        self, memory: int | None, lanes: bool | int, reduced: ReducedOutputs | None = None
    ) -> Wish:
        """Return which blocks suit the evaluator best; parameters are as in `Request`."""

    @abc.abstractmethod
    def seconds(self) -> float:
        """Return about how long a point takes."""

    @property
    @abc.abstractmethod
    def is_traced(self) -> bool:
        """Whether the model receives JAX arrays, which are traced."""

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
            case Computed(region, arrays, owned, errors):
                yield store.write(region, arrays, owned, errors)
            case Failed(region, error):
                if request.reduced is None:
                    yield store.fail(region, error)
                else:
                    yield store.write(*_all_failed(request.reduced, region, error))
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
