"""What a rollout leaves behind while it goes on: its saved state, its ledger entries, and a line for whoever watches.

Each entry has the one before as its cause, and a key, so that a rollout that is resumed writes it once.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from loopwright.ledger import DuplicateEntry, Ledger
from loopwright.rollout import resume
from loopwright.rollout.analysis import Verdict
from loopwright.rollout.counts import Arm
from loopwright.rollout.evidence import Step
from loopwright.rollout.resume import Saved


@dataclass(frozen=True)
class Look:
    """What a rollout is at, for whoever watches; `changed` when there is something new to say."""

    version: int
    weight: int
    text: str
    changed: bool = True
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Outcome:
    """How a rollout ended. Counts are the challenger's in the whole rollout, None where they are not known."""

    version: int
    promoted: bool
    reason: str
    champion: int | None
    """The version that served before; after a rollback, the one that serves."""
    requests: int | None
    errors: int | None
    seconds: float
    """Real seconds since the start."""
    seconds_to_zero: float | None
    """After a rollback: real seconds from the verdict to the weight being 0."""
    entry: int
    """The ledger entry of the end."""


class Journal:
    """One rollout's. `at` is its saved state, and changes by `save` only."""

    def __init__(
        self,
        path: Path,
        loop: str,
        ledger: Ledger,
        progress: Callable[[Look], None],
        clock: Callable[[], datetime],
        saved: Saved,
    ) -> None:
        self._path, self._loop, self._ledger, self._progress, self._clock = path, loop, ledger, progress, clock
        self.at = saved

    def save(self, **changes: Any) -> None:
        """Change the state, durably."""
        self.at = replace(self.at, **changes)
        resume.save(self._path, self.at)

    def write(self, kind: str, facts: Mapping[str, Any], key: str) -> int:
        """Append an entry that this rollout makes once; returns its number."""
        key = f"{self._loop}/rollout/{self.at.rollout_entry}/{key}"
        try:
            number = self._ledger.append(self._loop, kind, facts, cause=self.at.entry, key=key, at=self._clock()).number
        except DuplicateEntry as error:
            number = error.number
        self.save(entry=max(number, self.at.entry))
        return number

    def shifted(self, weight: int) -> None:
        """The challenger has this share now."""
        self.write("shifted", {"version": self.at.version, "weight": weight}, f"shifted/{weight}")
        self.say(f"version {self.at.version} gets {weight} % of the traffic")

    def judged(self, step: Step, verdict: Verdict) -> None:
        """A verdict was reached; one entry a step for each kind."""
        facts = {
            "version": self.at.version,
            "weight": step.weight,
            "verdict": verdict.kind,
            "reason": verdict.reason,
            "evidence": verdict.evidence,
            "requests": whole(step.challenger.requests),
        }
        self.write("verdict", facts, f"verdict/{step.weight}/{verdict.kind}")

    def promoted(self, total: Arm, seconds: float) -> Outcome:
        """The challenger is the champion."""
        at = self.at
        reason = "there was no champion" if at.champion is None else "enough was seen, and nothing is worse"
        taken = round(seconds, 3)
        facts = {"version": at.version, "previous": at.champion, "seconds": taken}
        entry = self.write("promoted", facts, "ended")
        self._path.unlink(missing_ok=True)
        self.say(f"version {at.version} is the champion: {reason}")
        counts = whole(total.requests), whole(total.errors)
        return Outcome(at.version, True, reason, at.champion, *counts, taken, None, entry)

    def rolled_back(self, total: Arm, seconds: float, to_zero: float) -> Outcome:
        """The challenger is gone; `total` is what it did in all, `to_zero` the seconds from the verdict to 0 %."""
        at, requests, errors = self.at, whole(total.requests), whole(total.errors)
        facts = {
            "version": at.version,
            "champion": at.champion,
            "reason": at.reason,
            "requests": requests,
            "errors": errors,
            "rejected": whole(total.rejected),
            "seconds": round(seconds, 3),
            "seconds_to_zero": round(to_zero, 3),
        }
        entry = self.write("rolled_back", facts, "ended")
        self._path.unlink(missing_ok=True)
        serves = "no version serves" if at.champion is None else f"version {at.champion} serves"
        self.say(f"version {at.version} was taken back: {at.reason}; {serves}")
        return Outcome(
            at.version, False, at.reason, at.champion, requests, errors, round(seconds, 3), round(to_zero, 3), entry
        )

    def say(self, text: str, *, changed: bool = True, verdict: Verdict | None = None) -> None:
        """Tell whoever watches."""
        steps = self.at.steps
        weight = steps[min(self.at.index, len(steps) - 1)] if steps else 100
        self._progress(Look(self.at.version, weight, text, changed, verdict))


def whole(count: float) -> int | None:
    """A count as a ledger entry has it: None where it is not known."""
    return round(count) if math.isfinite(count) else None
