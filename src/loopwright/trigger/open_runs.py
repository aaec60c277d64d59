"""The open runs of other processes: a command that was killed, or another trigger, left them or has them under way.

An open run stands in the way of every alarm, so each is asked after until it is closed. Whoever has it under way
writes its end itself: it is closed for them only when the engine has said for a while that it is over. A run of this
place that the engine does not know for long was never started. One of another place, or on an engine that is out of
reach, cannot be asked after: it is closed as lost when no run could still go on (execute.LOST_SECONDS).
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from loopwright.ledger import Entry
from loopwright.trigger import pending
from loopwright.trigger.execute import UNKNOWN_SECONDS, RunResult
from loopwright.trigger.records import INTERRUPTED, Run

# Real seconds that a run has been seen as ended before it is closed.
ENDED_SECONDS = 10.0


class OpenRuns:
    """What is known of open runs, by the number of their entry. The caller holds a lock."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._own: set[int] = set()
        self._queued: set[int] = set()
        self._asked: dict[int, datetime] = {}
        self._over: dict[tuple[int, bool], datetime] = {}

    def own(self, number: int) -> None:
        """This worker has the run in its hands."""
        self._own.add(number)

    def disown(self, number: int) -> None:
        """This worker is done with it, however that went."""
        self._own.discard(number)

    def due(self, known: Sequence[Run]) -> list[Entry]:
        """The open runs to ask after now; none of them is named again before it was judged and some seconds went by."""
        open_ = {run.entry.number: run.entry for run in known if not run.ended and run.entry.number not in self._own}
        now = self._clock()
        self._asked = {number: self._asked.get(number) or datetime.min.replace(tzinfo=now.tzinfo) for number in open_}
        self._over = {seen: since for seen, since in self._over.items() if seen[0] in open_}
        found = [
            entry
            for number, entry in open_.items()
            if number not in self._queued and (now - self._asked[number]).total_seconds() >= pending.LOOK_SECONDS
        ]
        self._queued.update(entry.number for entry in found)
        self._asked |= {entry.number: now for entry in found}
        return found

    def delay(self) -> float | None:
        """How many seconds to wait for the next look; None if there are none."""
        return pending.LOOK_SECONDS if self._asked else None

    def judge(self, number: int, result: RunResult | None) -> RunResult | None:
        """What to close a run with, after what the engine said of it; None: not yet."""
        now = self._clock()
        self._queued.discard(number)
        if result is not None and result.state == "running":
            self._over = {seen: since for seen, since in self._over.items() if seen[0] != number}
            return None
        unknown = result is None
        since = self._over.setdefault((number, unknown), now)
        if (now - since).total_seconds() < (UNKNOWN_SECONDS if unknown else ENDED_SECONDS):
            return None
        return result or RunResult("failed", error=INTERRUPTED)
