"""What happens beside alarms, made into causes: it is time, labelled rows came, another model has a new champion.

Each has a key that says which one it was (the schedule's moment, the snapshot that rows came after, the delivery of a
registry's message), so that all triggers on one ledger, at each of their looks, name it alike and write it once.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from loopwright.durations import Clock
from loopwright.ledger import Entry
from loopwright.loop import Retrain
from loopwright.loop.hours import last_tick, next_tick
from loopwright.trigger.causes import Cause
from loopwright.trigger.decide import RECOUNT

# Real seconds between two looks at what other triggers wrote, as an event of theirs may wait for its decision.
LOOK_SECONDS = 5.0
_SHORTEST = 0.05  # seconds between two looks


class Agenda:
    """What a loop is to be reminded of, by the real `clock` and the loop's time."""

    def __init__(self, rules: Retrain, time: Clock, clock: Callable[[], datetime]) -> None:
        self._rules, self._time, self._clock = rules, time, clock
        self._counted: datetime | None = None

    def delay(self) -> float | None:
        """How many real seconds until the next look; None where only alarms and people start runs."""
        if not {"schedule", "new_data", "registry"} & set(self._rules.on):
            return None
        if self._rules.schedule is None:
            return LOOK_SECONDS
        here = self._here()
        tick = next_tick(self._rules.schedule, self._rules.timezone, here)
        return min(max(self._time.seconds(tick - here), _SHORTEST), LOOK_SECONDS)

    def taken_up(self, entries: Sequence[Entry]) -> tuple[dict[str, str], str] | None:
        """The facts and the key of the entry that a schedule began, where the ledger's newest has another one.

        Without it a schedule that is declared today would make up for all of its moments before.
        """
        if self._rules.schedule is None:
            return None
        newest = next((entry for entry in reversed(entries) if entry.kind == "scheduled"), None)
        facts = {"schedule": self._rules.schedule, "timezone": self._rules.timezone}
        if newest is not None and all(newest.facts[name] == value for name, value in facts.items()):
            return None
        return {**facts, "since": self._here().isoformat()}, f"scheduled/{newest.number if newest else 0}"

    def tick(self, entries: Sequence[Entry]) -> Cause | None:
        """The schedule's newest moment, where it is not in the ledger; what was missed before it is not made up for."""
        begun = next((entry for entry in reversed(entries) if entry.kind == "scheduled"), None)
        if self._rules.schedule is None or begun is None:
            return None
        last = last_tick(self._rules.schedule, self._rules.timezone, self._here())
        ticks = (
            entry.facts["moment"]
            for entry in reversed(entries)
            if entry.kind == "event" and entry.facts["source"] == "schedule"
        )
        seen = max(
            datetime.fromisoformat(begun.facts["since"]), datetime.fromisoformat(next(ticks, begun.facts["since"]))
        )
        if last <= seen:
            return None
        summary = f"it is time: {self._rules.schedule} ({self._rules.timezone})"
        return _event("schedule", f"{last:%Y%m%dT%H%MZ}", summary, moment=last.isoformat())

    def counts(self) -> bool:
        """Whether rows are to be counted now; said once in ten minutes of the loop."""
        now = self._clock()
        due = self._counted is None or now >= self._counted + timedelta(seconds=self._time.seconds(RECOUNT))
        if "new_data" not in self._rules.on or not due:
            return False
        self._counted = now
        return True

    def new_data(self, entries: Sequence[Entry], count: int) -> Cause | None:
        """So many labelled rows came after the last snapshot, where that is enough."""
        if count < max(self._rules.min_new_rows, 1):
            return None
        last = next((entry.number for entry in reversed(entries) if entry.kind == "snapshot"), 0)
        return _event("new_data", str(last), f"{count:,} labelled rows came after the last snapshot", rows=count)

    def _here(self) -> datetime:
        return self._time.at(self._clock().timestamp())


def told(source: str, identity: str, summary: str, **facts: str) -> Cause:
    """An event that somebody told of, known by its `identity` however often it is told."""
    return _event(source, hashlib.sha256(identity.encode()).hexdigest()[:40], summary, **facts)


def _event(source: str, name: str, summary: str, **facts: object) -> Cause:
    whole = {"source": source, "group": source, "summary": summary, **facts}
    return Cause(source, source, f"event/{source}/{name}", whole, "event")
