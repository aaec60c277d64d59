"""What a rollout leaves behind while it goes on: its saved state, its ledger entries, and a line for whoever watches.

Each entry has the one before as its cause, and a key, so that a rollout that is resumed writes it once.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from loopwright.errors import RolloutError
from loopwright.ledger import DuplicateEntry, Ledger
from loopwright.rollout.analysis import Verdict
from loopwright.rollout.counts import Arm
from loopwright.rollout.evidence import Step
from loopwright.rollout.resume import Paused, Saved
from loopwright.rollout.states import States


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
        states: States,
        loop: str,
        ledger: Ledger,
        progress: Callable[[Look], None],
        clock: Callable[[], datetime],
        saved: Saved,
    ) -> None:
        self._states, self._loop, self._ledger, self._progress, self._clock = states, loop, ledger, progress, clock
        self.at = saved

    def save(self, **changes: Any) -> None:
        """Change the state, durably."""
        self.at = replace(self.at, **changes)
        self._states.save(self.at)

    def write(self, kind: str, facts: Mapping[str, Any], key: str) -> int:
        """Append an entry that this rollout makes once; returns its number."""
        key = f"{self._loop}/rollout/{self.at.rollout_entry}/{key}"
        try:
            number = self._ledger.append(self._loop, kind, facts, cause=self.at.entry, key=key, at=self._clock()).number
        except DuplicateEntry as error:
            number = error.number
        self.save(entry=max(number, self.at.entry))
        return number

    def shifted(self, weight: int, how: str = "") -> None:
        """The challenger has this share now; `how` says what kind of share, where it is not a draw of each request."""
        facts = {"version": self.at.version, "weight": weight} | ({"how": how} if how else {})
        self.write("shifted", facts, f"shifted/{weight}")
        share = f"{weight} % of the traffic" if weight else "a copy of the traffic"
        self.say(f"version {self.at.version} gets {share}{f', {how}' if how and weight else ''}")

    def paused(self, paused: Paused) -> None:
        """It goes on when a person says so: it was told to pause, or found a share that it had not asked for."""
        at, facts = self.at, {"version": self.at.version, "who": paused.who, "why": paused.why}
        kind = "paused"
        if paused.found is not None:
            kind, facts = "intervened", facts | {"found": paused.found, "asked": at.asked}
        self.write(kind, facts, f"{kind}/{paused.since}")
        self.say(
            f"paused by {paused.who}{f': {paused.why}' if paused.why else ''}; `loopwright rollout resume` goes on"
        )

    def resumed(self, paused: Paused, who: str, why: str) -> None:
        """A person said that it goes on."""
        self.write("resumed", {"version": self.at.version, "who": who, "why": why}, f"resumed/{paused.since}")
        self.say(f"resumed by {who}")

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
        # For people only: that it cannot be shown must not end a rollout.
        with suppress(RolloutError):
            self._states.note(verdict.kind, verdict.reason, self.at.version, step.weight)

    def promoted(self, total: Arm, seconds: float, kept_until: datetime | None = None) -> Outcome:
        """The challenger is the champion; the former one is kept until then."""
        at = self.at
        reason = at.reason or "enough was seen, and nothing is worse"
        if at.champion is None:
            reason = "there was no champion"
        taken = round(seconds, 3)
        facts: dict[str, Any] = {"version": at.version, "previous": at.champion, "seconds": taken}
        if at.by:
            facts |= {"by": at.by, "reason": reason}
        if kept_until is not None:
            facts |= {"kept_until": kept_until.isoformat()}
        entry = self.write("promoted", facts, "ended")
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
        entry = self.write("rolled_back", facts | ({"by": at.by} if at.by else {}), "taken back")
        serves = "no version serves" if at.champion is None else f"version {at.champion} serves"
        self.say(f"version {at.version} was taken back: {at.reason}; {serves}")
        return Outcome(
            at.version, False, at.reason, at.champion, requests, errors, round(seconds, 3), round(to_zero, 3), entry
        )

    def over(self, outcome: Outcome) -> Outcome:
        """Nothing is left to be gone on with."""
        self._states.clear()
        return outcome

    def say(self, text: str, *, changed: bool = True, verdict: Verdict | None = None) -> None:
        """Tell whoever watches."""
        steps = self.at.steps
        weight = steps[min(self.at.index, len(steps) - 1)] if steps else 100
        self._progress(Look(self.at.version, weight, text, changed, verdict))


def whole(count: float) -> int | None:
    """A count as a ledger entry has it: None where it is not known, as where a Prometheus has lost what it had."""
    return round(count) if math.isfinite(count) and count >= 0 else None
