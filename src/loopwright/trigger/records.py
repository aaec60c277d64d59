"""What the ledger's entries say about runs: which there are, how they ended, and which decision answers a cause.

Nothing is remembered but the ledger, so that two triggers on one, or one that was restarted, see the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loopwright.ledger import Entry

ALARM, EVENT, REQUEST = "alarm", "event", "request"
"""The kinds of entries that are causes: an alarm, what happened otherwise (data, time, a registry), a person."""

INTERRUPTED = "interrupted"
"""The error of a run that was cut off with its process: it says nothing about the data or the code."""

LOST = "lost: within seven hours nobody said how it ended, and it could not be asked after"
"""The error of a run that is elsewhere, or on an engine that is out of reach: closed, so that it blocks nothing."""

FINAL: frozenset[str] = frozenset({"source", "superseded", "dry_run"})
"""The rules whose `no` time does not change: a cause that meets one is not kept."""


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
    def interrupted(self) -> bool:
        """Whether its process was killed, or nobody knows what became of it."""
        if self.ended is None or self.state != "failed":
            return False
        return self.ended.facts.get("error") in (INTERRUPTED, LOST)

    @property
    def cut_off(self) -> bool:
        """Whether it was cancelled, or its process was killed: it neither failed nor went through."""
        return self.interrupted or self.state == "cancelled"


def runs(entries: Sequence[Entry]) -> list[Run]:
    """Every run among the entries, in order. A run is automatic if the decision behind it was not about a request."""
    numbered = {entry.number: entry for entry in entries}
    ends = {entry.facts["run"]: entry for entry in reversed(entries) if entry.kind == "run_ended"}
    found = []
    for entry in entries:
        if entry.kind != "run":
            continue
        decision = numbered.get(entry.cause or 0)
        origin = numbered.get((decision.cause if decision else None) or 0)
        name = str(entry.facts["run"])
        automatic = origin is not None and origin.kind in (ALARM, EVENT)
        found.append(Run(entry, name, automatic, ends.get(name)))
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
    """The decision that still answers this cause; None when it has none, or its run came to nothing.

    A run came to nothing when it ended without a version, or its version was taken back, and nothing was promoted
    after it. A version that waits for its rollout or for an approval may still be the answer. That holds for an alarm
    and for new data, which say what is so and are told again. What happened at a moment is answered by a run that
    failed, and only one that went down with its process is made up for; a person asks again.
    """
    made = attempts(entries, cause.number)
    if not made:
        return None
    run = next((run for run in runs(entries) if run.entry.cause == made[-1].number), None)
    if run is None or cause.kind == REQUEST:
        return made[-1]
    lasting = cause.kind == ALARM or cause.facts["source"] == "new_data"
    open_again = _came_to_nothing(run, entries) if lasting else run.interrupted
    return None if open_again else made[-1]


def unanswered(entries: Sequence[Entry]) -> list[Entry]:
    """The events that wait for a decision: of each group the newest, unless it has been answered for good.

    Nobody repeats an event, as Alertmanager does an alarm, so what waits is found here again after a restart.
    """
    newest = {(entry.facts["source"], entry.facts["group"]): entry for entry in entries if entry.kind == EVENT}
    settled = {entry.cause for entry in entries if entry.kind == "decision" and entry.facts.get("rule") in FINAL}
    return [event for event in newest.values() if event.number not in settled and standing(entries, event) is None]


def failures(known: Sequence[Run]) -> int:
    """How many of the newest ended runs failed in a row, but for those that were cut off."""
    count = 0
    for run in reversed([run for run in known if run.ended and not run.cut_off]):
        if run.state != "failed":
            break
        count += 1
    return count


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
