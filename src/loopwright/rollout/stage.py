"""One step of a rollout: the challenger gets its share, and is looked at until there is a verdict on it.

At every look the counts of both versions go to `analysis.judge`. The state is saved when what it is compared with
changes, so that a rollout that was killed goes on with the same evidence.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from loopwright.durations import Clock, format_duration
from loopwright.loop import Loop
from loopwright.rollout import abtest, queries
from loopwright.rollout.analysis import Verdict, judge
from loopwright.rollout.counts import UNKNOWN, Arm, latest, rebase
from loopwright.rollout.evidence import Evidence, Step
from loopwright.rollout.gateway import Gateway
from loopwright.rollout.hands import Hands
from loopwright.rollout.journal import Journal
from loopwright.rollout.pairs import Joiner
from loopwright.rollout.resume import Saved

FASTEST, SLOWEST = 0.1, 2.0
"""Seconds between two looks: a twentieth of the bake time within these."""
PATIENCE = 60.0
"""Real seconds that a step or a start is given at least where loop time runs faster: processes do not."""
UNWELL = 60.0
"""Real seconds after which a challenger that cannot serve, or gets less than its share, is taken back.

A pod that is deleted is back within ten (tried on KServe); an image that cannot be pulled, or a crash loop, is not.
"""


class Stage:
    """The steps of one rollout. `last` are the newest known counts of the champion and the challenger."""

    def __init__(
        self,
        gateway: Gateway,
        loop: Loop,
        clock: Clock,
        journal: Journal,
        hands: Hands,
        ask: queries.Ask | None,
        now: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        self._gateway, self._loop, self._spec, self._clock = gateway, loop.name, loop.rollout, clock
        self._journal, self._hands, self._ask, self._now, self._pause = journal, hands, ask, now, pause
        tolerance = None if loop.model.task == "classification" else loop.rollout.shadow.tolerance
        if loop.several:
            # The answers are places of classes, which are the same or not.
            tolerance = 0.0
        self._joiner = Joiner(tolerance, threshold=loop.model.decided_at)
        self.last = (UNKNOWN, UNKNOWN)
        # The step of which it is written down that it cannot be told; since when the challenger is not well.
        self._written: int | None = None
        self._unwell: float | None = None

    @property
    def _at(self) -> Saved:
        return self._journal.at

    def run(self, weight: int) -> tuple[Step, Verdict]:
        """Give the challenger this share, and look until there is a verdict to promote or to roll back.

        Raises Decided when a person ends the rollout, NotReady when the share cannot be given.
        """
        told, entered = "", False
        while True:
            paused = self._hands.see()
            begun = self._at.base is not None
            if paused is not None and (paused.found is not None or not begun):
                self._journal.say(f"paused by {paused.who}", changed=False)
                self._pause(SLOWEST)
                entered = False
                continue
            if not (entered and begun):
                self._enter(weight)
                entered = True
            step, verdict = self.look(weight)
            if paused is not None and verdict.kind != "roll_back":
                verdict = replace(verdict, kind="wait", reason=f"paused by {paused.who}")
            self._journal.say(f"{weight} %: {verdict.reason}", changed=verdict.kind != told, verdict=verdict)
            told = verdict.kind
            if verdict.kind in ("promote", "roll_back"):
                return step, verdict
            self._pause(min(SLOWEST, max(FASTEST, self.seconds(self._spec.bake) / 20)))

    def _enter(self, weight: int) -> None:
        version, ab = self._at.version, self._at.strategy == "ab"
        if self._at.paused is None:
            self._give(weight)
        if self._at.base is None:
            # From here on both versions' counts are of the same time and the same shares.
            self._journal.save(base=self.counts(), step_started=self._now())
        how = "" if weight and not ab else "mirrored" if not weight else self._group()
        self._journal.shifted(weight, how)
        base = self._at.base
        assert base is not None, f"the step of version {version} has begun"
        self.last = latest(self.last[0], base[0]), latest(self.last[1], base[1])

    def _group(self) -> str:
        ab = self._spec.ab
        if ab.header is not None:
            return f"those with the header {ab.header}: {', '.join(ab.values)}"
        return f"by the cookie {ab.cookie_name(self._loop)}"

    def _give(self, weight: int) -> None:
        version, strategy = self._at.version, self._at.strategy
        asks = self._spec.ab.percent if strategy == "ab" else weight
        if version not in self._gateway.wanted():
            # Somebody took it away, and a person said that it goes on.
            self._gateway.add(version, self._at.bundle, self._at.digest)
            self._gateway.wait_ready(version, self.real(self._spec.timeout))
        self._journal.save(asking=asks)
        if strategy == "ab":
            self._gateway.split(version, self._spec.ab)
        elif weight == 0:
            self._gateway.mirror(version, True)
        else:
            if strategy == "shadow":
                self._gateway.mirror(version, False)
            if self._at.base is None or self._gateway.weights().get(version) != weight:
                self._gateway.shift(version, weight)
        self._journal.save(asked=asks, asking=None)

    def look(self, weight: int) -> tuple[Step, Verdict]:
        """What both did in this step so far, and what to make of it; a step has its time."""
        counts, base = self.counts(), self._at.base
        assert base is not None, "a look is at a step that has begun"
        moved = rebase(base[0], self.last[0], counts[0]), rebase(base[1], self.last[1], counts[1])
        if repr(moved) != repr(base):  # by their text, as NaN differs from itself
            self._journal.save(base=moved, begun=rebase(self._at.begun, self.last[1], counts[1]))
        self.last = latest(self.last[0], counts[0]), latest(self.last[1], counts[1])
        step = Step(weight, counts[0] - moved[0], counts[1] - moved[1])
        elapsed = self._now() - self._at.step_started
        least = self._spec.ab.horizon if self._at.strategy == "ab" else self._spec.bake
        baked = elapsed >= self.seconds(least)
        if weight == 0:
            self._pair()
        asked = self._queries()
        steps = [*self._at.done, step]
        most = self.real(self._spec.timeout) + (self.seconds(least) if self._at.strategy == "ab" else 0)
        late = elapsed >= most
        verdict = judge(self._spec, steps, self._at.before, baked=baked, late=late, pairs=self._at.pairs, queries=asked)
        # The test is made once, so not while its outcome would wait for a person.
        if verdict.kind == "promote" and self._at.strategy == "ab" and self._at.paused is None:
            verdict = abtest.conclude(self._spec, step, verdict)
        verdict = self._well(weight, verdict)
        if self._at.phase != "stepping" or self._at.paused is not None:
            return step, verdict
        if verdict.kind == "cannot_tell" and baked and self._written != weight:
            self._journal.judged(step, verdict)
            self._written = weight
        if verdict.kind in ("wait", "cannot_tell") and late:
            reason = f"no verdict after {format_duration(self._spec.timeout)}: {verdict.reason}"
            verdict = replace(verdict, kind="roll_back", reason=reason)
        return step, verdict

    def _pair(self) -> None:
        at = self._at
        if at.champion is None:
            return
        champion = self._gateway.answers(at.champion, at.pairs.champion)
        challenger = self._gateway.answers(at.version, at.pairs.challenger)
        pairs = self._joiner.take(at.pairs, champion, challenger)
        if pairs != at.pairs:
            self._journal.save(pairs=pairs)

    def _queries(self) -> dict[str, Evidence]:
        found, beyond, at = {}, {}, self._at
        for query in self._spec.analysis.queries:
            text = queries.filled(query, self._loop, at.version, at.champion)
            hold, since = self.seconds(query.hold), at.beyond.get(query.name)
            found[query.name], now = queries.evidence(query, text, self._ask, hold, since, self._now())
            if now is not None:
                beyond[query.name] = now
        if beyond != at.beyond:
            self._journal.save(beyond=beyond)
        return found

    def _well(self, weight: int, verdict: Verdict) -> Verdict:
        """The verdict, but on a challenger that cannot serve or does not get its share: it waits, and then goes."""
        version = self._at.version
        given, ill = self._gateway.weights().get(version, weight), self._gateway.health(version)
        asked = self._spec.ab.percent if self._at.strategy == "ab" else weight
        text = ill or (
            f"the data plane gives it {given} % of the traffic instead of {asked} %" if given < asked else ""
        )
        if not text or verdict.kind == "roll_back":
            self._unwell = None
            return verdict
        if self._unwell is None:
            self._unwell = self._now()
        long = self._now() - self._unwell >= UNWELL
        return replace(verdict, kind="roll_back" if long else "wait", reason=text)

    def counts(self) -> tuple[Arm, Arm]:
        """The cumulative counts of the champion and of the challenger."""
        counts = self._gateway.counts()
        champion = UNKNOWN if self._at.champion is None else counts.get(self._at.champion, UNKNOWN)
        return champion, counts.get(self._at.version, UNKNOWN)

    def seconds(self, duration: timedelta) -> float:
        """A duration of the loop in real seconds."""
        return self._clock.seconds(duration)

    def real(self, duration: timedelta) -> float:
        """The same for what processes need, which are not faster where loop time is."""
        seconds = self.seconds(duration)
        return seconds if self._clock.speed <= 1 else max(seconds, PATIENCE)
