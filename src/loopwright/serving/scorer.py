"""From columns to predictions with their ids: the one place where KServe's path, the fast path and gRPC meet.

One row is predicted at once, on the event loop, as handing it over would cost more than it does. Many rows go to a
small pool of threads, and wait there in a bounded queue: when that is full, or takes too long, the caller is told to
come again later. Explanations have another one, so that they hold no prediction up. Every prediction is counted and
handed to the events' queue here.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import urandom
from typing import Protocol, TypeVar

from kserve.errors import InvalidInput

from loopwright.errors import InputError
from loopwright.models.columns import Array, Columns, Prediction, Value
from loopwright.models.model import Model
from loopwright.serving.batch import MAX_ROWS
from loopwright.serving.metrics import Metrics

T = TypeVar("T")

MAX_ID_LENGTH = 200
# Above this many rows a prediction leaves the event loop, so that health checks and other requests go on meanwhile. By
# an engine that is so many times as fast it stays for as many times the rows.
ROWS_IN_LOOP = 200
_MOST_GAIN = 5.0


class TooManyRows(InvalidInput):  # type: ignore[misc]
    """A request with more rows than one answer may have: HTTP 413."""


class Overloaded(Exception):
    """There is too much to do: HTTP 503 with Retry-After, gRPC RESOURCE_EXHAUSTED."""


class Sink(Protocol):
    """Where predictions go to be monitored; see `Events`."""

    def add(self, identity: str, columns: Columns, predictions: Array) -> None:
        """Take the n predictions of one request with their columns: (n,), or of more than two classes (n, classes)."""

    def add_row(self, identity: str, values: Sequence[Value], prediction: Prediction) -> None:
        """Take one prediction with its values, in the order of the model's inputs."""


@dataclass(frozen=True)
class Limits:
    """How much work may wait."""

    threads: int = 2
    """Predictions of many rows at the same time, and so many requests for explanations."""
    waiting: int = 64
    """Requests of many rows that are predicted or wait to be, and so many for explanations; more are refused."""
    seconds: float = 30.0
    """How long one may wait and be worked on, and how long a request's body may take to arrive."""


class Scorer:
    """One version's model, with what counts and keeps its predictions."""

    def __init__(self, model: Model, metrics: Metrics, events: Sink | None, limits: Limits | None = None) -> None:
        self.model = model
        self.limits = limits or Limits()
        self.threshold = model.threshold
        self.classes = tuple(_label(value) for value in model.classes)
        self._metrics, self._events = metrics, events
        self._predicting = self.queue("predict")

    def one(self, identity: str, values: Sequence[Value]) -> Prediction:
        """Predict one row of checked values."""
        prediction = self.model.predict_row(values)
        self._metrics.predicted(1)
        if self._events is not None:
            self._events.add_row(identity, values, prediction)
        return prediction

    async def many(self, identity: str, columns: Columns, count: int) -> Array:
        """Predict the rows of columns. Raises Overloaded."""
        if count <= ROWS_IN_LOOP * min(self.model.gain, _MOST_GAIN):
            predictions = self.model.predict(columns)
        else:
            predictions = await self._predicting.do(lambda: self.model.predict(columns))
        self._metrics.predicted(count)
        if self._events is not None:
            self._events.add(identity, columns, predictions)
        return predictions

    def queue(self, name: str) -> "Queue":
        """A pool of threads and a queue before it, apart from that of predictions and as large."""
        return Queue(name, self.limits, self._metrics)


class Queue:
    """A pool of threads with a bounded queue before it."""

    def __init__(self, name: str, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self._metrics, self._held = metrics, 0
        self._pool = ThreadPoolExecutor(limits.threads, name)

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` makes, off the event loop. Raises what it raises, and Overloaded.

        What was begun when time is up goes on in its thread.
        """
        if self._held >= self.limits.waiting:
            raise Overloaded(f"{self.limits.waiting} requests of many rows wait already; try again later")
        self._held += 1
        self._metrics.in_flight += 1
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except TimeoutError as error:
            raise Overloaded(f"it was not done within {self.limits.seconds:g} s; try again later") from error
        finally:
            self._held -= 1
            self._metrics.in_flight -= 1


def check_count(count: int) -> None:
    """Raises InputError for no row, TooManyRows for more than an answer may have."""
    if count < 1:
        raise InputError("there are no rows to predict", expected="at least one")
    if count > MAX_ROWS:
        raise TooManyRows(f"found {count} rows; expected at most {MAX_ROWS}. Send them in several requests")


def identify(given: str | None) -> str:
    """The request's id: the caller's, or one that is made. Raises InputError for one that is too long."""
    if not given:
        return urandom(16).hex()
    if len(given) > MAX_ID_LENGTH:
        raise InputError(f"the request id has {len(given)} characters", expected=f"at most {MAX_ID_LENGTH}")
    return given


def _label(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
