"""Whether a cause starts a run: a pure function of the loop's rules, the ledger's entries and the moment.

Nothing is remembered between decisions but the ledger, so two triggers on one ledger, or one that was restarted, come
to the same answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from loopwright.durations import Clock, format_duration
from loopwright.errors import DataError
from loopwright.ledger import Entry
from loopwright.loop import Retrain
from loopwright.loop.hours import quiet_until
from loopwright.trigger.records import ALARM, REQUEST, Run, failures, runs, unclaimed

DAY = timedelta(days=1)

# How long until labelled rows are counted again: nothing announces them, and counting reads the source.
RECOUNT = timedelta(minutes=10)

Rule = Literal[
    "alarm",
    "event",
    "person",
    "source",
    "superseded",
    "dry_run",
    "source_suspect",
    "in_flight",
    "debounce",
    "quiet_hours",
    "breaker",
    "cooldown",
    "daily_cap",
    "min_new_rows",
    "resolved",
]

# What of a drifted feature is held against `retrain.suspect`, in words.
ODD = {"missing": "missing", "new_values": "new to it", "out_of_range": "out of its range"}


@dataclass(frozen=True)
class Decision:
    """Start or not, the rule that decided, the reason in words, and when it is worth asking again (None: unknown)."""

    action: Literal["start", "no"]
    rule: Rule
    reason: str
    until: datetime | None = None


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

    `entries` are the loop's, in order; `cause` is an `alarm`, an `event` or a person's `request`; `now` is real time in
    UTC; `new_rows` counts the labelled rows that came after the last snapshot, and is asked last, as it reads the
    source; `busy` says what else keeps the trigger from starting a run, such as a rollout that is under way.
    """
    person = cause.kind == REQUEST
    if not person and (final := _final(rules, entries, cause) or _source_suspect(rules, cause)):
        return final
    known = runs(entries)
    if blocked := _in_flight(known, entries) or busy:
        return Decision("no", "in_flight", blocked)
    if person:
        return Decision("start", "person", f"{cause.facts['by']} asked for a run: {cause.facts['reason']}")
    begun = _begun(rules, known, entries)
    return (
        _debounce(rules, clock, cause, now)
        or _quiet_hours(rules, clock, now)
        or _breaker(rules, known)
        or _cooldown(rules, clock, begun, now)
        or _daily_cap(rules, clock, begun, now)
        or _min_new_rows(rules, clock, now, new_rows)
        or _start(rules, cause)
    )


def _start(rules: Retrain, cause: Entry) -> Decision:
    summary = cause.facts["summary"]
    if rules.dry_run:
        return Decision("no", "dry_run", f"{summary}; a run would start now, and retrain.dry_run is set")
    return Decision("start", "alarm" if cause.kind == ALARM else "event", f"{summary}; no rule holds a run back")


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
    said = next((entry for entry in _dry(rules, entries) if entry.cause == cause.number), None)
    return Decision("no", "dry_run", str(said.facts["reason"])) if said else None


def _source_suspect(rules: Retrain, cause: Entry) -> Decision | None:
    """To learn a broken source by heart would make its fault the new normal, and the alarm would be over."""
    limits: Mapping[str, float] = rules.suspect.model_dump()
    # A feature that has drifted from two references is there twice, and odd once.
    found = dict.fromkeys(
        f"{share:.0%} more of {feature['name']} is {ODD[what]} than before"
        for feature in cause.facts.get("features", ())
        for what, share in feature.get("odd", {}).items()
        if share > limits[what]
    )
    if not found:
        return None
    return Decision("no", "source_suspect", f"check the source first: {', '.join(found)}; a person can start a run")


def _in_flight(known: Sequence[Run], entries: Sequence[Entry]) -> str:
    for run in known:
        if not run.ended:
            return f"the run {run.name} is in flight"
    return "a run is about to start" if unclaimed(entries) else ""


def _debounce(rules: Retrain, clock: Clock, cause: Entry, now: datetime) -> Decision | None:
    until = cause.at + timedelta(seconds=clock.seconds(rules.debounce))
    if cause.kind != ALARM or now >= until:
        return None
    reason = f"retrain.debounce is {format_duration(rules.debounce)}, and the alarm came less ago"
    return Decision("no", "debounce", f"{reason}: not before {_moment(until)}", until)


def _quiet_hours(rules: Retrain, clock: Clock, now: datetime) -> Decision | None:
    if not rules.quiet_hours:
        return None
    here = clock.at(now.timestamp())
    end = quiet_until(rules.quiet_hours, rules.timezone, here)
    if end is None:
        return None
    until = now + timedelta(seconds=clock.seconds(end - here))
    reason = f"retrain.quiet_hours has {', '.join(rules.quiet_hours)} ({rules.timezone})"
    return Decision("no", "quiet_hours", f"{reason}: not before {_moment(until)}", until)


def _breaker(rules: Retrain, known: Sequence[Run]) -> Decision | None:
    count = failures(known)
    if count < rules.max_failures:
        return None
    what = "the last run failed" if count == 1 else f"the last {count} runs failed"
    return Decision("no", "breaker", f"{what}, and retrain.max_failures is {rules.max_failures}: a person starts one")


@dataclass(frozen=True)
class _Begun:
    """A run that started by itself, or in a dry run would have: its moment, and what it is called."""

    at: datetime
    name: str


def _begun(rules: Retrain, known: Sequence[Run], entries: Sequence[Entry]) -> list[_Begun]:
    real = [_Begun(run.entry.at, run.name) for run in known if run.automatic]
    dry = [_Begun(entry.at, f"the dry run of entry {entry.number}") for entry in _dry(rules, entries)]
    return sorted([*real, *dry], key=lambda begun: begun.at)


def _dry(rules: Retrain, entries: Sequence[Entry]) -> list[Entry]:
    """The runs that a dry run would have started; they count among themselves, and no longer when it is over."""
    if not rules.dry_run:
        return []
    return [entry for entry in entries if entry.kind == "decision" and entry.facts.get("rule") == "dry_run"]


def _cooldown(rules: Retrain, clock: Clock, begun: Sequence[_Begun], now: datetime) -> Decision | None:
    if not begun:
        return None
    until = begun[-1].at + timedelta(seconds=clock.seconds(rules.cooldown))
    if now >= until:
        return None
    reason = f"retrain.cooldown is {format_duration(rules.cooldown)}, and {begun[-1].name} started less ago"
    return Decision("no", "cooldown", f"{reason}: not before {_moment(until)}", until)


def _daily_cap(rules: Retrain, clock: Clock, begun: Sequence[_Begun], now: datetime) -> Decision | None:
    day = timedelta(seconds=clock.seconds(DAY))
    today = [one for one in begun if one.at > now - day]
    if len(today) < rules.daily_cap:
        return None
    until = today[-rules.daily_cap].at + day
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


def rows(rules: Retrain, cause: Entry) -> dict[str, Any] | None:
    """Which rows a run is to use, as its entry says it: those since `since`, unless there are fewer than `least`.

    None is all rows. The drift of an alarm began with the first of the windows in which it was seen; both times are
    the loop's. What a person asks for says it itself.
    """
    since = cause.facts.get("since")
    if cause.kind == REQUEST:
        return {"since": since, "least": 0} if since else None
    if rules.rows != "after_onset" or cause.kind != ALARM:
        return None
    window = timedelta(seconds=cause.facts.get("window_seconds") or 0)
    onset = datetime.fromisoformat(cause.facts["starts_at"]) - window
    return {"since": onset.isoformat(), "least": rules.min_rows}


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
