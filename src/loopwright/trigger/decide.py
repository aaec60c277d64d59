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

INTERRUPTED = "interrupted"
"""The error of a run that was cut off with its process: it says nothing about the data or the code."""

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

    @property
    def cut_off(self) -> bool:
        """Whether it was cancelled, or its process was killed: it neither failed nor went through."""
        return self.ended is not None and (
            self.state == "cancelled" or (self.state == "failed" and self.ended.facts.get("error") == INTERRUPTED)
        )


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


def attempts(entries: Sequence[Entry], cause: int) -> list[Entry]:
    """The decisions to start a run because of this cause, in order: the n-th is its n-th attempt."""
    return [decision for decision in starts(entries) if decision.cause == cause]


def standing(entries: Sequence[Entry], cause: Entry) -> Entry | None:
    """The decision that still answers this cause; None when it has none, or an alarm's run came to nothing.

    A run came to nothing when it ended without a version, or its version was taken back, and nothing was promoted
    after it. A version that waits for its rollout or for an approval may still be the answer.
    """
    made = attempts(entries, cause.number)
    if not made:
        return None
    run = next((run for run in runs(entries) if run.entry.cause == made[-1].number), None)
    return None if cause.kind == "alarm" and run is not None and _came_to_nothing(run, entries) else made[-1]


def _came_to_nothing(run: Run, entries: Sequence[Entry]) -> bool:
    if run.ended is None:
        return False
    version, taken_back = run.ended.facts.get("version"), False
    for entry in entries:
        mine = version is not None and entry.facts.get("version") == version and entry.number > run.entry.number
        if entry.kind == "promoted" and (mine or entry.number > run.ended.number):
            return False
        taken_back |= entry.kind == "rolled_back" and mine
    return version is None or taken_back


def failures(known: Sequence[Run]) -> int:
    """How many of the newest ended runs failed in a row, but for those that were cut off."""
    count = 0
    for run in reversed([run for run in known if run.ended and not run.cut_off]):
        if run.state != "failed":
            break
        count += 1
    return count


def _final(rules: Retrain, entries: Sequence[Entry], cause: Entry) -> Decision | None:
    source, version = cause.facts["source"], cause.facts.get("version")
    if source not in rules.on:
        return Decision("no", "source", f"retrain.on has {', '.join(rules.on) or 'nothing'}, and not {source or 'it'}")
    promoted = next((entry for entry in reversed(entries) if entry.kind == "promoted"), None)
    # An alarm can come late, after its version was replaced, so that its place in the ledger does not tell.
    if promoted is not None and version is not None and str(promoted.facts["version"]) != version:
        what = "was promoted since" if promoted.number > cause.number else "is the champion"
        reason = f"the alarm is about version {version}, and version {promoted.facts['version']} {what}"
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
