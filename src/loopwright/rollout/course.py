"""A rollout from where it is to its end: add, ready, one step after another, promote or withdraw.

At every look the counts of both versions go to `analysis.judge`; what it says is done and written down. The state is
saved before each thing that is done, so that a rollout that was killed does it again and goes on.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from loopwright.durations import format_duration
from loopwright.errors import RolloutError
from loopwright.loop import Loop
from loopwright.rollout.analysis import Verdict, judge
from loopwright.rollout.counts import UNKNOWN, Arm, latest, rebase
from loopwright.rollout.evidence import Step
from loopwright.rollout.gateway import Gateway, GatewayLost, NotReady
from loopwright.rollout.journal import Journal, Outcome
from loopwright.rollout.resume import Saved
from loopwright.settings import Settings

FASTEST, SLOWEST = 0.1, 2.0
"""Seconds between two looks: a twentieth of the bake time within these."""
PATIENCE = 60.0
"""Real seconds that a step or a start is given at least where loop time runs faster: processes do not."""
MISSED_LOOKS = 3
"""The challenger is taken back when the data plane gives it less than it should have at so many looks in a row."""

STOPPED = "stopped with Ctrl-C"
"""The reason of a rollout that a person ended, which is no verdict on the version."""


class Course:
    """A rollout under way; `run` ends it, whatever it takes."""

    def __init__(
        self,
        gateway: Gateway,
        loop: Loop,
        settings: Settings,
        registry_promote: Callable[[int], None],
        journal: Journal,
        now: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        self._gateway, self._spec, self._clock = gateway, loop.rollout, settings.clock
        self._registry_promote, self._journal, self._now, self._pause = registry_promote, journal, now, pause
        # The newest known counts of the champion and the challenger.
        self._last = (UNKNOWN, UNKNOWN)
        # The step of which it is written down that it cannot be told.
        self._written = 0

    @property
    def _at(self) -> Saved:
        return self._journal.at

    def run(self) -> Outcome:
        """Go on from where the journal is to the end."""
        try:
            return self._go()
        except KeyboardInterrupt:
            if self._at.phase == "promoting":
                raise
            return self._roll_back(STOPPED)
        except GatewayLost:
            raise
        except Exception:
            if self._at.phase == "stepping" and self._at.champion is not None:
                with suppress(Exception):
                    self._gateway.shift(self._at.version, 0)
            raise

    def check(self) -> None:
        """See that what was left can be gone on with."""
        at, serving = self._at, self._gateway.champion()
        if serving == at.version and at.champion is not None:
            # It was killed between the gateway's promotion and what follows it.
            self._journal.save(phase="promoting")
        elif serving not in (at.champion, at.version):
            raise RolloutError(
                f"version {serving} serves, and the rollout of version {at.version} began with {at.champion}",
                expected="the champion to stay while a rollout is stopped",
                do="roll another version out, which ends this rollout",
            )
        self._journal.say(f"going on with the rollout of version {at.version}")

    def abandon(self, other: int) -> None:
        """End a rollout that was left unfinished, as another one is wanted."""
        at = self._at
        if at.phase == "promoting":
            self._promote()
        elif at.version == other:
            self._roll_back("it was left unfinished, and the steps or the model are other ones now")
        else:
            self._roll_back(f"it was left unfinished, and version {other} was rolled out instead")

    def _go(self) -> Outcome:
        at = self._at
        if at.phase == "withdrawing":
            return self._roll_back(at.reason)
        if at.phase != "promoting":
            try:
                self._gateway.add(at.version, at.bundle, at.digest)
                self._gateway.wait_ready(at.version, self._real(self._spec.timeout))
                refusal = self._step_up()
            except NotReady as error:
                refusal = str(error)
            if refusal:
                return self._roll_back(refusal)
            self._journal.save(phase="promoting")
        return self._promote()

    def _step_up(self) -> str:
        """Go through the steps; returns why to roll back, or nothing when the version is to be the champion."""
        if self._at.phase == "adding":
            self._journal.save(phase="stepping", begun=self._counts()[1])
        while self._at.index < len(self._at.steps):
            step, verdict = self._step(self._at.steps[self._at.index])
            self._journal.judged(step, verdict)
            if verdict.kind == "roll_back":
                return verdict.reason
            self._journal.save(index=self._at.index + 1, base=None, done=(*self._at.done, step))
        return ""

    def _step(self, weight: int) -> tuple[Step, Verdict]:
        """Give the challenger this share, and look until there is a verdict to promote or to roll back."""
        version = self._at.version
        if self._at.base is None or self._gateway.weights().get(version) != weight:
            self._gateway.shift(version, weight)
        if self._at.base is None:
            # From here on both versions' counts are of the same time and the same shares.
            self._journal.save(base=self._counts(), step_started=self._now())
        self._journal.shifted(weight)
        assert self._at.base is not None
        self._last = latest(self._last[0], self._at.base[0]), latest(self._last[1], self._at.base[1])
        missed, told = 0, ""
        while True:
            step, verdict = self._look(weight)
            given = self._gateway.weights().get(version, weight)
            missed = missed + 1 if given < weight else 0
            if verdict.kind != "roll_back" and missed >= MISSED_LOOKS:
                text = f"the data plane gives it {given} % of the traffic instead of {weight} %"
                verdict = replace(verdict, kind="roll_back", reason=text)
            self._journal.say(f"{weight} %: {verdict.reason}", changed=verdict.kind != told, verdict=verdict)
            told = verdict.kind
            if verdict.kind in ("promote", "roll_back"):
                return step, verdict
            self._pause(min(SLOWEST, max(FASTEST, self._clock.seconds(self._spec.bake) / 20)))

    def _look(self, weight: int) -> tuple[Step, Verdict]:
        """What both did in this step so far, and what to make of it; a step has its time."""
        counts, base = self._counts(), self._at.base
        assert base is not None
        moved = rebase(base[0], self._last[0], counts[0]), rebase(base[1], self._last[1], counts[1])
        if repr(moved) != repr(base):  # by their text, as NaN differs from itself
            self._journal.save(base=moved, begun=rebase(self._at.begun, self._last[1], counts[1]))
        self._last = latest(self._last[0], counts[0]), latest(self._last[1], counts[1])
        step = Step(weight, counts[0] - moved[0], counts[1] - moved[1])
        elapsed = self._now() - self._at.step_started
        baked = elapsed >= self._clock.seconds(self._spec.bake)
        verdict = judge(self._spec, [*self._at.done, step], self._at.before, baked=baked)
        if verdict.kind == "cannot_tell" and baked and self._written != weight:
            self._journal.judged(step, verdict)
            self._written = weight
        if verdict.kind in ("wait", "cannot_tell") and elapsed >= self._real(self._spec.timeout):
            reason = f"no verdict after {format_duration(self._spec.timeout)}: {verdict.reason}"
            verdict = replace(verdict, kind="roll_back", reason=reason)
        return step, verdict

    def _promote(self) -> Outcome:
        total = latest(self._last[1], self._counts()[1]) - self._at.begun
        self._gateway.promote(self._at.version)
        self._registry_promote(self._at.version)
        return self._journal.promoted(total, self._now() - self._at.started)

    def _roll_back(self, reason: str) -> Outcome:
        if self._at.phase != "withdrawing":
            begun = self._counts()[1] if self._at.phase == "adding" else self._at.begun
            self._journal.save(phase="withdrawing", reason=reason, decided=self._now(), begun=begun)
            self._journal.say(f"taking version {self._at.version} back: {reason}")
        at = self._at
        if at.champion is not None:
            # Where the data plane refuses even this, withdrawing does it.
            with suppress(NotReady):
                self._gateway.shift(at.version, 0)
        to_zero = self._now() - at.decided
        total = latest(self._last[1], self._counts()[1]) - at.begun
        self._gateway.withdraw(at.version)
        return self._journal.rolled_back(total, self._now() - at.started, to_zero)

    def _counts(self) -> tuple[Arm, Arm]:
        counts = self._gateway.counts()
        champion = UNKNOWN if self._at.champion is None else counts.get(self._at.champion, UNKNOWN)
        return champion, counts.get(self._at.version, UNKNOWN)

    def _real(self, duration: timedelta) -> float:
        seconds = self._clock.seconds(duration)
        return seconds if self._clock.speed <= 1 else max(seconds, PATIENCE)
