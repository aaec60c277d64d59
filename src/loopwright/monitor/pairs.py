"""Requests and responses of KServe's logger, joined and gathered into batches that are counted like our own.

An event is acknowledged as soon as it is in the queue here. Later, many at a time, requests find their responses; the
logger has several workers, so that either may come first. What waits is bounded in bytes, whatever comes: beyond, new
events are refused, and of the halves that wait for their other half the oldest are given up and counted.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from loopwright.monitor.bodies import Answered, Asked, answered, asked
from loopwright.monitor.cloudevents import Half
from loopwright.monitor.events import Batch, EventError, Message, Value, check
from loopwright.statistics.profile import Profile

MOST_BYTES = 24 * 2**20
"""Of the events that wait to be looked at, and again of the halves that wait for their other half."""
PATIENCE = 300.0
"""Real seconds that a half is waited for: as long as a model may take to answer (KServe's timeout is 300 s)."""
AT_ONCE = 1000
"""Events that are looked at before other work is let in: about 10 ms."""
OTHER_HALF = {True: "request", False: "response"}
Key = tuple[str, tuple[str, ...]]


class _Row(NamedTuple):
    """One joined request and response."""

    id: str
    at: float
    asked: Asked
    answered: Answered


class _Waiting(NamedTuple):
    half: Half
    since: float


@dataclass
class Intake:
    """The queue and the join. `profiles` finds the profile of a version; `late` is the greatest age in real seconds."""

    profiles: Callable[[str], Profile | None]
    rejected: Counter[str]
    late: float
    most: int = MOST_BYTES
    received: Counter[str] = field(default_factory=Counter)
    unpaired: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _queue: deque[Half] = field(default_factory=deque)
    _queued: int = 0
    _pending: dict[tuple[bool, Key], _Waiting] = field(default_factory=dict)
    _held: int = 0

    def offer(self, half: Half) -> bool:
        """Take an event, unless there is no room for it."""
        if self._queued + half.size > self.most:
            return False
        self._queued += half.size
        self._queue.append(half)
        return True

    def work(self, now: float) -> list[Batch]:
        """Look at some of the events that came, at the real moment `now`; the batches that came of it, if any."""
        rows: dict[str, list[_Row]] = {}
        for _ in range(min(AT_ONCE, len(self._queue))):
            half = self._queue.popleft()
            self._queued -= half.size
            try:
                self._take(half, now, rows)
            except EventError as error:
                self.rejected[error.reason] += 1
            except (OverflowError, RecursionError):
                # A number beyond a float, or JSON that is nested without end.
                self.rejected["columns"] += 1
        return [batch for version, found in rows.items() for batch in self._batches(version, found)]

    @property
    def waiting(self) -> int:
        """Events that were not looked at yet."""
        return len(self._queue)

    @property
    def pending(self) -> int:
        """Halves that wait for their other half."""
        return len(self._pending)

    def expire(self, now: float) -> None:
        """Give up the halves that waited for too long."""
        while self._pending:
            key, waiting = next(iter(self._pending.items()))
            if now - waiting.since < PATIENCE:
                return
            self._give_up(key)

    def _take(self, half: Half, now: float, rows: dict[str, list[_Row]]) -> None:
        self.received[OTHER_HALF[half.request]] += 1
        if half.at and half.at < now - self.late:
            raise EventError("an event of long ago", "late")
        other = self._pending.pop((not half.request, half.key), None)
        if other is None:
            self._keep(half, now)
            return
        self._held -= other.half.size
        first, second = (half, other.half) if half.request else (other.half, half)
        version, profile = self._version(first)
        if profile is None:
            raise EventError("no profile of the version", "unknown_version")
        if not first.body:
            return  # A GET, for health or metadata, goes through KServe's logger too, and asks for no prediction.
        question = asked(first.body, profile)
        found = answered(second.body, profile)
        if len(question.rows) != len(found.predictions):
            raise EventError(f"{len(found.predictions)} predictions for {len(question.rows)} rows", "columns")
        if found.predictions:
            rows.setdefault(version, []).append(_Row(found.id or half.key[0], second.at, question, found))

    def _keep(self, half: Half, now: float) -> None:
        key = (half.request, half.key)
        if key in self._pending:
            self._give_up(key)
        self._pending[key] = _Waiting(half, now)
        self._held += half.size
        while self._held > self.most:
            self._give_up(next(iter(self._pending)))

    def _give_up(self, key: tuple[bool, Key]) -> None:
        half = self._pending.pop(key).half
        self._held -= half.size
        self.unpaired[OTHER_HALF[half.request]] += 1
        version, profile = self._version(half)
        if half.request and half.body and profile is not None:
            # The logger sends no response that is not a 200.
            self.outcomes[version, "unanswered"] += 1

    def _version(self, half: Half) -> tuple[str, Profile | None]:
        for name in half.names:
            profile = self.profiles(name)
            if profile is not None:
                return name, profile
        return "", None

    def _batches(self, version: str, rows: list[_Row]) -> Iterable[Batch]:
        """One batch of all rows; where one of them cannot be used, a batch each of the others."""
        profile = self.profiles(version)
        assert profile is not None, "rows are of versions with a profile"
        try:
            found = [_batch(version, profile, rows)]
        except EventError as error:
            if len(rows) == 1:
                self.rejected[error.reason] += 1
                return []
            return [batch for row in rows for batch in self._batches(version, [row])]
        self.outcomes[version, "answered"] += len(rows)
        return found


def _batch(version: str, profile: Profile, rows: list[_Row]) -> Batch:
    values = [value for row in rows for value in row.asked.rows]
    columns: dict[str, list[Value] | bytes] = dict(
        zip(profile.features, map(list, zip(*values, strict=True)), strict=True)
    )
    predictions = np.array([value for row in rows for value in row.answered.predictions], dtype="<f8").tobytes()
    ids = [name for row in rows for name in _ids(row.id, len(row.answered.predictions))]
    at = max(row.at for row in rows)
    places = [place for row in rows for place in row.answered.decided or ()]
    decided = places if len(profile.classes) > 2 else None
    try:
        batch = check(Message(version, ids, at, columns, predictions, decided), profile)
    except (EventError, ValueError, TypeError, OverflowError) as error:
        raise EventError(str(error), "columns") from error
    unknown = sum(row.asked.unknown for row in rows)
    return replace(batch, unknown=unknown)


def _ids(identifier: str, rows: int) -> list[str]:
    """The ids of a request's predictions, as the predictor makes them (serving/batch.py)."""
    return [identifier] if rows == 1 else [f"{identifier}/{row}" for row in range(rows)]
