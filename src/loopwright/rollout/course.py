"""A rollout from where it is to its end: add, ready, one step after another, promote, keep or withdraw.

The state is saved before each thing that is done, so that a rollout that was killed does it again and goes on. What a
step is, and its verdicts, are in stage.py; what people do meanwhile in hands.py.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from loopwright.errors import RolloutError
from loopwright.loop import Loop
from loopwright.rollout.counts import latest
from loopwright.rollout.gateway import Gateway, GatewayLost, NotReady
from loopwright.rollout.hands import BY_HAND, Decided, Hands
from loopwright.rollout.journal import Journal, Outcome
from loopwright.rollout.resume import Saved
from loopwright.rollout.stage import SLOWEST, Stage

STOPPED = "stopped with Ctrl-C"
"""The reason of a rollout that a person ended, which is no verdict on the version."""


class Course:
    """A rollout under way; `run` ends it, whatever it takes."""

    def __init__(
        self,
        gateway: Gateway,
        loop: Loop,
        registry_promote: Callable[[int], None],
        journal: Journal,
        hands: Hands,
        stage: Stage,
        now: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        self._gateway, self._spec, self._registry_promote = gateway, loop.rollout, registry_promote
        self._journal, self._hands, self._stage, self._now, self._pause = journal, hands, stage, now, pause

    @property
    def _at(self) -> Saved:
        return self._journal.at

    def run(self) -> Outcome:
        """Go on from where the journal is to the end."""
        try:
            return self._go()
        except KeyboardInterrupt:
            if self._at.phase in ("promoting", "keeping", "restoring"):
                raise
            return self._roll_back(STOPPED)
        except GatewayLost:
            raise
        except Exception:
            by_hand = self._at.paused is not None and self._at.paused.found is not None
            if self._at.phase == "stepping" and self._at.champion is not None and not by_hand:
                with suppress(Exception):
                    # Nobody asked for what comes now but this; the share is given again when it goes on.
                    self._journal.save(asked=None, asking=None)
                    self._gateway.shift(self._at.version, 0)
            raise

    def check(self) -> None:
        """See that what was left can be gone on with."""
        at, serving = self._at, self._gateway.champion()
        if at.phase == "stepping" and serving == at.version and at.champion is not None:
            self._journal.say(f"version {at.version} was made the champion by hand")
        elif serving not in (at.champion, at.version):
            raise RolloutError(
                f"version {serving} serves, and the rollout of version {at.version} began with {at.champion}",
                expected="the champion to stay while a rollout is stopped",
                do="roll another version out, which ends this rollout",
            )
        self._journal.say(f"going on with the rollout of version {at.version}")
        if at.paused is not None:
            self._journal.paused(at.paused)

    def abandon(self, other: int) -> None:
        """End a rollout that was left unfinished, as another one is wanted."""
        at = self._at
        if at.phase == "promoting":
            self._promote(watch=False)
        elif at.phase == "keeping":
            self._let_go()
        elif at.version == other:
            self._roll_back("it was left unfinished, and the steps or the model are other ones now")
        else:
            self._roll_back(f"it was left unfinished, and version {other} was rolled out instead")

    def _go(self) -> Outcome:
        at = self._at
        match at.phase:
            case "withdrawing" | "restoring":
                return self._roll_back(at.reason)
            case "keeping":
                return self._keep()
            case "promoting":
                return self._promote()
        try:
            refusal = self._climb()
        except NotReady as error:
            refusal = str(error)
        except Decided as decided:
            if not decided.promote:
                return self._roll_back(decided.reason, decided.who)
            self._journal.save(phase="promoting", reason=decided.reason, by=decided.who, decided=self._now())
            return self._promote()
        if refusal:
            return self._roll_back(refusal)
        self._journal.save(phase="promoting")
        return self._promote()

    def _climb(self) -> str:
        """Add it and go through the steps; why to roll back, or nothing when the version is to be the champion."""
        # What was told while nobody ran it comes first.
        self._hands.see()
        at = self._at
        if at.paused is None or at.paused.found is None:
            self._gateway.add(at.version, at.bundle, at.digest)
            self._gateway.wait_ready(at.version, self._stage.real(self._spec.timeout))
        if at.phase == "adding":
            self._journal.save(phase="stepping", begun=self._stage.counts()[1])
            preview = self._gateway.preview(at.version) if at.steps else None
            self._journal.say(f"version {at.version} is ready{f'; preview: {preview}' if preview else ''}")
        while self._at.index < len(self._at.steps):
            step, verdict = self._stage.run(self._at.steps[self._at.index])
            self._journal.judged(step, verdict)
            if verdict.kind == "roll_back":
                return verdict.reason
            index = self._at.index + 1
            if self._keeps and index == len(self._at.steps):
                # The counts of the last step go on while the former version is kept.
                self._journal.save(index=index, asked=None, reason=verdict.reason)
            else:
                done = (*self._at.done, step)
                self._journal.save(index=index, base=None, done=done, beyond={}, asked=None, reason=verdict.reason)
        return ""

    @property
    def _keeps(self) -> bool:
        return self._at.strategy == "blue_green" and self._at.champion is not None

    def _promote(self, *, watch: bool = True) -> Outcome:
        at, keep = self._at, self._keeps and watch
        try:
            self._gateway.promote(at.version, keep=keep)
        except NotReady as error:
            if self._gateway.champion() != at.version:
                return self._roll_back(str(error))
            raise
        self._registry_promote(at.version)
        total = latest(self._stage.last[1], self._stage.counts()[1]) - at.begun
        if not keep:
            return self._journal.over(self._journal.promoted(total, self._now() - at.started))
        # A moment that is the same when this is done again.
        until = at.kept_until or self._now() + self._stage.seconds(self._spec.keep)
        self._journal.save(kept_until=until, asked=0, asking=None)
        self._journal.promoted(total, self._now() - at.started, datetime.fromtimestamp(until, UTC))
        self._journal.save(phase="keeping", base=self._at.base or self._stage.counts(), paused=None)
        return self._keep()

    def _keep(self) -> Outcome:
        """The former version stays warm: it comes back at once when a person or the evidence says so."""
        at = self._at
        self._journal.say(f"version {at.champion} is kept warm; `loopwright rollout abort` goes back to it at once")
        try:
            while True:
                paused = self._hands.see()
                if self._at.asked is None:
                    # Taken over after somebody's hand.
                    self._gateway.shift(at.champion or 0, 0)
                    self._journal.save(asked=0)
                if paused is None or paused.found is None:
                    step, verdict = self._stage.look(100)
                    if verdict.kind == "roll_back":
                        self._journal.judged(step, verdict)
                        return self._roll_back(verdict.reason)
                if paused is None and self._now() >= at.kept_until:
                    return self._let_go()
                self._pause(SLOWEST)
        except Decided as decided:
            return self._roll_back(decided.reason, decided.who)

    def _let_go(self) -> Outcome:
        at = self._at
        total = latest(self._stage.last[1], self._stage.counts()[1]) - at.begun
        if at.champion is not None and self._gateway.champion() != at.champion:
            self._gateway.withdraw(at.champion)
        self._journal.say(f"version {at.champion} is no longer kept")
        return self._journal.over(self._journal.promoted(total, self._now() - at.started))

    def _roll_back(self, reason: str, by: str = "") -> Outcome:
        if self._at.phase not in ("withdrawing", "restoring"):
            begun = self._stage.counts()[1] if self._at.phase == "adding" else self._at.begun
            phase = "restoring" if self._at.phase == "keeping" else "withdrawing"
            self._journal.save(phase=phase, reason=reason, by=by, decided=self._now(), begun=begun, paused=None)
            self._journal.say(f"taking version {self._at.version} back: {reason}")
        at = self._at
        if at.phase == "withdrawing" and at.champion is not None and self._gateway.champion() == at.version:
            # Somebody made it the champion meanwhile, and nothing would serve without it.
            self._journal.save(phase="promoting", reason="it was made the champion by hand", by=BY_HAND)
            return self._promote(watch=False)
        if at.phase == "restoring" and at.champion is not None:
            self._gateway.restore(at.champion)
            self._registry_promote(at.champion)
        elif at.champion is not None:
            # Where the data plane refuses even this, withdrawing does it.
            with suppress(NotReady):
                self._gateway.shift(at.version, 0)
        to_zero = self._now() - at.decided
        total = latest(self._stage.last[1], self._stage.counts()[1]) - at.begun
        self._gateway.withdraw(at.version)
        return self._journal.over(self._journal.rolled_back(total, self._now() - at.started, to_zero))
