"""Whether a cause starts a run: a pure function of the loop's rules, the ledger's entries and the moment.

Nothing is remembered between decisions but the ledger, so two triggers on one ledger, or one that was restarted, come
to the same answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from loopwright.durations import Clock, format_duration
from loopwright.errors import DataError
from loopwright.ledger import Entry
from loopwright.loop import Retrain

DAY = timedelta(days=1)

# How long until labelled rows are counted again: nothing announces them, and counting reads the source.
RECOUNT = timedelta(minutes=10)

Rule = Literal[
    "alarm",
    "person",
    "source",
    "superseded",
    "in_flight",
    "breaker",
    "cooldown",
    "daily_cap",
    "min_new_rows",
    "resolved",
]
FINAL: frozenset[str] = frozenset({"source", "superseded"})
"""The rules whose `no` time does not change: an alarm that meets one is not kept."""


@dataclass(frozen=True)
class Decision:
    """Start or not, the rule that decided, the reason in words, and when it is worth asking again (None: unknown)."""

    action: Literal["start", "no"]
    rule: Rule
    reason: str
    until: datetime | None = None


@dataclass(frozen=True)
class Run:
    """A run as the ledger has it; `state` is None while it is in flight."""

    entry: Entry
    name: str
    automatic: bool
    ended: Entry | None

    @property
    def state(self) -> str | None:
        """How it ended."""
        return str(self.ended.facts["state"]) if self.ended else None


def decide(
    rules: Retrain,
    clock: Clock,
    entries: Sequence[Entry],
    cause: Entry,
    now: datetime,
    new_rows: Callable[[], int],
    busy: str = "",
) -> Decision:
    """Decide about one cause.

    `entries` are the loop's, in order; `cause` is an `alarm` or a person's `request`; `now` is real time in UTC;
    `new_rows` counts the labelled rows that came after the last snapshot, and is asked last, as it reads the source;
    `busy` says what else keeps the trigger from starting a run, such as a rollout that is under way.
    """
    person = cause.kind == "request"
    if not person and (final := _final(rules, entries, cause)):
        return final
    known = runs(entries)
    if blocked := _in_flight(known, entries) or busy:
        return Decision("no", "in_flight", blocked)
    if person:
        return Decision("start", "person", f"{cause.facts['by']} asked for a run: {cause.facts['reason']}")
    return (
        _breaker(rules, known)
        or _cooldown(rules, clock, known, now)
        or _daily_cap(rules, clock, known, now)
        or _min_new_rows(rules, clock, now, new_rows)
        or Decision("start", "alarm", f"{cause.facts['summary']}; no rule holds a run back")
    )


def runs(entries: Sequence[Entry]) -> list[Run]:
    """Every run among the entries, in order. A run is automatic if the decision behind it was about an alarm."""
    numbered = {entry.number: entry for entry in entries}
    ends = {entry.facts["run"]: entry for entry in reversed(entries) if entry.kind == "run_ended"}
    found = []
    for entry in entries:
        if entry.kind != "run":
            continue
        decision = numbered.get(entry.cause or 0)
        origin = numbered.get((decision.cause if decision else None) or 0)
        name = str(entry.facts["run"])
        found.append(Run(entry, name, origin is not None and origin.kind == "alarm", ends.get(name)))
    return found


def starts(entries: Sequence[Entry]) -> list[Entry]:
    """A trigger's decisions to start a run, in order; their keys are `<loop>/start/<n>`."""
    return [entry for entry in entries if entry.kind == "decision" and "/start/" in (entry.key or "")]


def unclaimed(entries: Sequence[Entry]) -> list[Entry]:
    """Decisions to start whose run is not written yet: whoever decided is about to write it, or was stopped there."""
    behind = {entry.cause for entry in entries if entry.kind == "run"}
    return [entry for entry in starts(entries) if entry.number not in behind]


def failures(known: Sequence[Run]) -> int:
    """How many of the newest ended runs failed in a row."""
    count = 0
    for run in reversed([run for run in known if run.ended]):
        if run.state != "failed":
            break
        count += 1
    return count


def _final(rules: Retrain, entries: Sequence[Entry], cause: Entry) -> Decision | None:
    source, version = cause.facts["source"], cause.facts.get("version")
    if source not in rules.on:
        return Decision("no", "source", f"retrain.on has {', '.join(rules.on) or 'nothing'}, and not {source or 'it'}")
    for entry in entries:
        if entry.kind == "promoted" and entry.number > cause.number and version is not None:
            live = str(entry.facts["version"])
            if live != version:
                reason = f"the alarm is about version {version}, and version {live} was promoted since"
                return Decision("no", "superseded", reason)
    return None


def _in_flight(known: Sequence[Run], entries: Sequence[Entry]) -> str:
    for run in known:
        if not run.ended:
            return f"the run {run.name} is in flight"
    return "a run is about to start" if unclaimed(entries) else ""


def _breaker(rules: Retrain, known: Sequence[Run]) -> Decision | None:
    count = failures(known)
    if count < rules.max_failures:
        return None
    what = "the last run failed" if count == 1 else f"the last {count} runs failed"
    return Decision("no", "breaker", f"{what}, and retrain.max_failures is {rules.max_failures}: a person starts one")


def _cooldown(rules: Retrain, clock: Clock, known: Sequence[Run], now: datetime) -> Decision | None:
    automatic = [run for run in known if run.automatic]
    if not automatic:
        return None
    until = automatic[-1].entry.at + timedelta(seconds=clock.seconds(rules.cooldown))
    if now >= until:
        return None
    reason = f"retrain.cooldown is {format_duration(rules.cooldown)}, and {automatic[-1].name} started less ago"
    return Decision("no", "cooldown", f"{reason}: not before {_moment(until)}", until)


def _daily_cap(rules: Retrain, clock: Clock, known: Sequence[Run], now: datetime) -> Decision | None:
    day = timedelta(seconds=clock.seconds(DAY))
    today = [run for run in known if run.automatic and run.entry.at > now - day]
    if len(today) < rules.daily_cap:
        return None
    until = today[-rules.daily_cap].entry.at + day
    reason = f"{len(today)} automatic runs started in 24 hours, and retrain.daily_cap is {rules.daily_cap}"
    return Decision("no", "daily_cap", f"{reason}: not before {_moment(until)}", until)


def _min_new_rows(rules: Retrain, clock: Clock, now: datetime, new_rows: Callable[[], int]) -> Decision | None:
    if not rules.min_new_rows:
        return None
    again = now + timedelta(seconds=clock.seconds(RECOUNT))
    try:
        count = new_rows()
    except DataError as error:
        return Decision("no", "min_new_rows", f"the new rows cannot be counted: {error}", again)
    if count >= rules.min_new_rows:
        return None
    reason = f"{count} labelled rows came after the last snapshot, and retrain.min_new_rows is {rules.min_new_rows}"
    return Decision("no", "min_new_rows", reason, again)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
