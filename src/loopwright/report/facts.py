"""What a report is made of, and what follows from it: who serves, and the moments worth marking.

Everything here is pure. `cli/report.py` gathers the facts; `page.py` turns them into HTML.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from loopwright.ledger import Entry
from loopwright.loop import Loop
from loopwright.report import story

MOST_MOMENTS = 24
_SAME = 0.01  # seconds: a mark this near to a recorded moment is that moment, rounded


@dataclass(frozen=True)
class Facts:
    """All that the page says."""

    loop: Loop
    entries: Sequence[Entry]
    """The loop's ledger entries, in their order."""
    series: Sequence[Mapping[str, Any]]
    """The lines of series.jsonl, oldest first; empty where the loop was never up."""
    evaluations: Mapping[int, Mapping[str, Any]]
    """Version -> the evaluation that the registry keeps."""
    marks: Sequence[tuple[str, float]]
    """Moments that the ledger does not know, by name, in seconds since the epoch."""
    verified: bool | str
    """True: the hash chain holds; a text: why it does not; False: it was not followed."""
    generated: datetime
    notes: Sequence[str] = ()
    """What could not be read, a sentence each."""

    @cached_property
    def champion(self) -> Entry | None:
        """The promotion of the version that serves now, by the ledger."""
        return next((entry for entry in reversed(self.entries) if entry.kind == "promoted"), None)

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """Every version that occurs, in the order of their numbers; its place here is its colour."""
        found = {str(version) for version in self.evaluations}
        found |= {str(entry.facts["version"]) for entry in self.entries if _has_version(entry)}
        found |= {str(version) for sample in self.series for version in sample.get("requests") or {}}
        return tuple(sorted(found, key=natural))

    @cached_property
    def colours(self) -> dict[str, int]:
        """The colour of each version, which is the same in every picture."""
        return {version: index for index, version in enumerate(self.versions)}

    @cached_property
    def registered(self) -> dict[int, int]:
        """The entry of a judgement -> the version that was registered on it."""
        found = [(one.cause, one.facts.get("version")) for one in self.entries if one.kind == "registered"]
        return {cause: version for cause, version in found if cause is not None and isinstance(version, int)}

    @cached_property
    def timeline(self) -> "Timeline":
        """The moments worth marking."""
        return timeline(self.entries, self.marks)

    def lineage(self, entry: Entry) -> list[Entry]:
        """The entry and its causes among these entries, the nearest first."""
        known = {one.number: one for one in self.entries}
        chain = [entry]
        # A cause is older than what it caused, so a forged cycle ends here.
        while (cause := chain[-1].cause) is not None and cause < chain[-1].number and cause in known:
            chain.append(known[cause])
        return chain


@dataclass(frozen=True)
class Moment:
    """One marked moment."""

    letter: str
    text: str
    at: float
    """Seconds since the epoch."""
    tone: str
    entry: Entry | None
    """What the ledger has of it; None for a mark that was given."""
    cause: int | None
    """The index of the moment that led to it."""
    recorded: bool
    """Whether that cause is the ledger's; if not, the moment only came next after a given mark."""


@dataclass(frozen=True)
class Timeline:
    """The newest moments, in their order, and how many older ones are left out."""

    moments: tuple[Moment, ...]
    left_out: int

    @property
    def zero(self) -> float:
        """The first moment, from which the others are counted; 0 where there is none."""
        return self.moments[0].at if self.moments else 0.0


def natural(version: str) -> tuple[int, str]:
    """Sorts versions by number, and whatever is none behind them."""
    return (int(version), "") if version.isdecimal() else (1 << 60, version)


def timeline(entries: Sequence[Entry], marks: Sequence[tuple[str, float]]) -> Timeline:
    """The ledger's milestones and the given marks, each with the milestone that led to it.

    Where marks are given, the timeline begins with the first of them; what came before is in the ledger.
    """
    milestones = [(entry, entry.at.timestamp(), text) for entry in entries if (text := _milestone(entry))]
    given = [(name, at) for name, at in marks if all(abs(at - moment) > _SAME for _, moment, _ in milestones)]
    begin = min((at for _, at in marks), default=float("-inf")) - _SAME
    found: list[tuple[float, int, Entry | None, str]] = [
        (at, entry.number, entry, text) for entry, at, text in milestones if at >= begin
    ]
    found += [(at, -1, None, name) for name, at in given]
    found.sort(key=lambda one: (one[0], one[1]))
    left_out = max(0, len(found) - MOST_MOMENTS)
    found = found[left_out:]
    place = {entry.number: index for index, (_, _, entry, _) in enumerate(found) if entry is not None}
    known = {entry.number: entry for entry in entries}
    moments = []
    for index, (at, _, entry, text) in enumerate(found):
        cause = None if entry is None else _nearest(entry, known, place)
        recorded = cause is not None
        if cause is None and entry is not None and entry.cause is None and index and found[index - 1][2] is None:
            cause = index - 1
        tone = story.PLAIN if entry is None else toned(entry)
        moments.append(Moment(_letter(index), text, at, tone, entry, cause, recorded))
    return Timeline(tuple(moments), left_out)


def at(seconds: float) -> datetime:
    """A moment in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def said(entry: Entry) -> str:
    """The entry in words; one that was tampered with, or is of another release, may lack what its sentence needs."""
    try:
        return story.sentence(entry)
    except (KeyError, TypeError, ValueError, IndexError, StopIteration, AttributeError):
        return f"{entry.kind}: its facts are not those of this kind"


def toned(entry: Entry) -> str:
    """The entry's tone, and plain where its facts do not say."""
    try:
        return story.tone(entry)
    except (KeyError, TypeError):
        return story.PLAIN


def _milestone(entry: Entry) -> str:
    """The moment's few words, or nothing for an entry that is only a step on the way."""
    version = entry.facts.get("version")
    match entry.kind:
        case "alarm":
            return f"{entry.facts.get('source', 'drift')} alarm on version {version}"
        case "event":
            return str(entry.facts.get("source", "an event")).replace("_", " ")
        case "request":
            return f"{entry.facts.get('by', 'a person')} asked for a run"
        case "run":
            return "run began"
        case "run_ended" if entry.facts.get("state") != "succeeded":
            return f"run {entry.facts.get('state')}"
        case "registered":
            return f"version {version} registered"
        case "approved" | "rejected" | "archived":
            return f"version {version} {entry.kind}"
        case "rollout":
            return f"rollout of version {version} began"
        case "promoted":
            return f"version {version} promoted"
        case "rolled_back":
            return f"version {version} rolled back"
    return ""


def _nearest(entry: Entry, known: Mapping[int, Entry], place: Mapping[int, int]) -> int | None:
    """The index of the nearest cause that is a moment too."""
    while entry.cause is not None and entry.cause < entry.number and entry.cause in known:
        entry = known[entry.cause]
        if entry.number in place:
            return place[entry.number]
    return None


def _has_version(entry: Entry) -> bool:
    return entry.kind in ("registered", "rollout", "promoted", "rolled_back") and "version" in entry.facts


def _letter(index: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index % 26]
