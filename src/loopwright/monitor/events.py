"""Prediction events: one message of many rows, from bytes to arrays, with everything checked on the way.

A message is checked before it is acknowledged, so that what was accepted can be counted without fail.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.profile import Counts, Profile

Value = float | int | str | bool | None


class EventError(ValueError):
    """A message that cannot be used; the text says why, and `reason` what it counts as."""

    def __init__(self, text: str, reason: str = "broken") -> None:
        super().__init__(text)
        self.reason = reason


class Message(msgspec.Struct):
    """What a predictor sends: n rows, as columns. Numbers may be packed: float64, little-endian, NaN for missing."""

    version: str
    ids: list[str]
    at: float
    columns: dict[str, list[Value] | bytes]
    predictions: list[float] | bytes
    """P(positive) or values; of more than two classes the probability of the decided one."""
    decided: list[int] | None = None
    """Of more than two classes the decided one of each row, by its place in the profile's; -1 where it is none."""


@dataclass(frozen=True)
class Batch:
    """A checked message: (n,) arrays of the profile's features, float64 or object."""

    version: str
    ids: Sequence[str]
    columns: dict[str, NDArray[Any]]
    predictions: NDArray[np.float64]
    unknown: int
    """How many columns the profile does not have; they are ignored."""
    at: float = 0.0
    """When the predictions were made, in seconds since the epoch, as their sender says; 0 where it does not."""
    decided: Counts | None = None
    """The predicted class of each row by its place in the profile's classes, -1 where none of them; None where it
    follows from the prediction."""

    @property
    def told(self) -> NDArray[np.float64]:
        """What labels and other versions' answers are held against: the predictions, or places of decided classes."""
        return self.predictions if self.decided is None else np.where(self.decided < 0, np.nan, self.decided)


_DECODER = msgspec.msgpack.Decoder(Message)


def decode(body: bytes) -> Message:
    """Read a msgpack message. Raises EventError for anything else."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventError(f"not a message of events: {error}") from error


def check(message: Message, profile: Profile) -> Batch:
    """Make arrays of a message. Raises EventError naming the column, what was found and what was expected."""
    predictions = _unpacked("predictions", message.predictions)
    rows = len(predictions)
    if rows == 0:
        raise EventError("a message without predictions; expected at least one")
    if len(message.ids) != rows:
        raise EventError(f"there are {len(message.ids)} ids for {rows} predictions; expected as many")
    columns: dict[str, NDArray[Any]] = {}
    for name, bins in profile.features.items():
        values = message.columns.get(name)
        if values is None:
            raise EventError(f"the column {name} is missing; the profile of version {message.version} has it")
        if bins.kind == "number":
            columns[name] = _unpacked(name, values) if isinstance(values, bytes) else _numbers(name, values)
        elif isinstance(values, bytes):
            raise EventError(f"column {name}: found packed numbers; expected a list of text")
        else:
            columns[name] = np.array(values, dtype=object)
        if len(columns[name]) != rows:
            raise EventError(f"column {name}: found {len(columns[name])} values; expected {rows}, one a prediction")
    unknown = len(message.columns.keys() - profile.features.keys())
    decided = _decided(message, rows, len(profile.classes))
    return Batch(message.version, message.ids, columns, predictions, unknown, message.at, decided)


def _decided(message: Message, rows: int, classes: int) -> Counts | None:
    """The decided classes' places; of more than two classes a message has them, or none is known."""
    if classes <= 2:
        return None
    if message.decided is None:
        return np.full(rows, -1, dtype=np.int64)
    if len(message.decided) != rows:
        raise EventError(f"there are {len(message.decided)} decided classes for {rows} predictions; expected as many")
    if min(message.decided) < -1 or max(message.decided) >= classes:
        raise EventError(f"decided: expected places of {classes} classes, or -1")
    return np.array(message.decided, dtype=np.int64)


def _unpacked(name: str, values: list[float] | bytes) -> NDArray[np.float64]:
    if isinstance(values, list):
        return np.array(values, dtype=np.float64)
    if len(values) % 8:
        raise EventError(f"{name}: found {len(values)} bytes of packed numbers; expected eight a value")
    return np.frombuffer(values, dtype="<f8").astype(np.float64)


def _numbers(name: str, values: list[Value]) -> NDArray[np.float64]:
    """Values of a number column, with None and "" as NaN. Raises EventError for text."""
    array = np.array(values)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    text = next((value for value in values if isinstance(value, str) and value != ""), None)
    if text is not None:
        raise EventError(f"column {name}: found {text[:40]!r}; expected a number")
    return np.array([np.nan if value is None or value == "" else value for value in values], dtype=np.float64)


class EventQueue:
    """Acknowledged batches that wait to be counted, bounded by their rows."""

    def __init__(self, most_rows: int) -> None:
        self._most, self._rows = most_rows, 0
        self._batches: deque[Batch] = deque()

    def offer(self, batch: Batch) -> bool:
        """Take a batch, unless there is no room for its rows."""
        if self._rows + len(batch.predictions) > self._most:
            return False
        self._rows += len(batch.predictions)
        self._batches.append(batch)
        return True

    def take(self) -> Batch | None:
        """The oldest batch, if any."""
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._rows -= len(batch.predictions)
        return batch

    @property
    def batches(self) -> int:
        """How many batches wait."""
        return len(self._batches)
