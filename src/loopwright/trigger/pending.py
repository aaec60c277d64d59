"""The alarms and events that may not start a run yet, and when to decide about each of them again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from loopwright.ledger import Entry
from loopwright.trigger.decide import Decision

# How long at most between two looks at what is kept, in real seconds: another process may have ended a run.
LOOK_SECONDS = 5.0
_SHORTEST = 0.05  # seconds between two looks where the moment has come already


@dataclass(frozen=True)
class Pending:
    """An alarm that waits, the newest decision about it, and when to decide again."""

    alarm: Entry
    decision: Decision
    due: datetime

    @property
    def group(self) -> tuple[str, str]:
        """The source and Alertmanager's group."""
        return self.alarm.facts["source"], self.alarm.facts["group"]


class Waiting:
    """The kept alarms by the number of their entry. The caller holds a lock, except for `all`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._kept: dict[int, Pending] = {}
        self._admitted: dict[int, tuple[str, str]] = {}
        self._at_once = False

    def admit(self, cause: Entry) -> None:
        """This cause holds: it was told of, and is to be decided about."""
        self._admitted[cause.number] = (cause.facts["source"], cause.facts["group"])

    def admitted(self, number: int) -> bool:
        """Whether it still holds, or was decided about or dropped since."""
        return number in self._admitted

    def keep(self, alarm: Entry, decision: Decision) -> None:
        """Keep an alarm, or renew the decision about it."""
        due = decision.until or self._clock() + timedelta(seconds=LOOK_SECONDS)
        self._kept[alarm.number] = Pending(alarm, decision, due)

    def drop(self, number: int) -> None:
        """Keep this alarm no longer."""
        self._kept.pop(number, None)
        self._admitted.pop(number, None)

    def drop_group(self, group: tuple[str, str], *, but: int | None = None) -> list[int]:
        """Drop what is kept of a group, and return the numbers."""
        groups = {**self._admitted, **{number: kept.group for number, kept in self._kept.items()}}
        dropped = [number for number, its in groups.items() if its == group and number != but]
        for number in dropped:
            self.drop(number)
        return dropped

    def look_at_once(self) -> None:
        """Something has changed: all that is kept is due now."""
        self._at_once = True

    def due(self) -> list[Entry]:
        """The alarms to decide about now."""
        now, at_once = self._clock(), self._at_once
        self._at_once = False
        return [kept.alarm for kept in self._kept.values() if at_once or kept.due <= now]

    def delay(self) -> float | None:
        """How many seconds to wait for the next look; None if nothing is kept."""
        if not self._kept:
            return None
        due = min(kept.due for kept in self._kept.values())
        return min(max((due - self._clock()).total_seconds(), _SHORTEST), LOOK_SECONDS)

    def all(self) -> list[Pending]:
        """What is kept, the oldest first."""
        return list(self._kept.copy().values())
