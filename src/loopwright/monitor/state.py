"""What the monitor knows and does, without HTTP: count what was queued, look, notify, and write it all down."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from loopwright.durations import Clock, format_duration
from loopwright.loop import Loop
from loopwright.monitor import criticals, odd
from loopwright.monitor import exposition as metrics
from loopwright.monitor.alerts import body
from loopwright.monitor.answers import Answers
from loopwright.monitor.archive import Archive
from loopwright.monitor.counters import Counters, VersionCounts
from loopwright.monitor.detector import Detector
from loopwright.monitor.drift import Alarm, Look, Notice, Rule, Score, choose
from loopwright.monitor.events import Batch, EventQueue
from loopwright.monitor.labels import CAPACITY, Labels, Loss
from loopwright.monitor.looks import RECENT, TRAINING, told
from loopwright.monitor.memory import Memory
from loopwright.monitor.pairs import Intake
from loopwright.monitor.performance import Performance
from loopwright.monitor.ranges import LONGEST
from loopwright.statistics.profile import Profile

MOST_WAITING_ROWS = 200_000
REASONS = ("broken", "columns", "too_large", "unauthorized", "unknown_version", "overflow", "late")
LEAST_LATE = 3600.0
"""Real seconds that an event may be old at least, however short the window: a predictor keeps what it cannot send."""
MOST_AHEAD = 60.0
"""Real seconds that a sender's clock may be ahead, before that is counted."""

log = logging.getLogger(__name__)


class Monitor:
    """One loop's monitor. Everything runs on one thread; `send` takes the body of an alert."""

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        send: Callable[[dict[str, Any]], None],
        *,
        waiting: int = MOST_WAITING_ROWS,
        remembered: int = CAPACITY,
        archive: Archive | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.loop, self.clock, self.rule = loop, clock, Rule.of(loop, clock)
        self.performance = Performance(loop, clock, send)
        self.labels = Labels(remembered, self.performance.add)
        self.counters, self.queue = Counters(self.rule.looks), EventQueue(waiting)
        self.answers, self.archive, self._memory = Answers(), archive, memory
        self.rejected = Counter(dict.fromkeys(REASONS, 0))
        self.late = max(self.rule.window, LEAST_LATE)
        self.ahead = 0
        self.intake = Intake(self._profile, self.rejected, self.late)
        self._send = send
        self._version: str | None = None
        self._alarm = Alarm(self.rule)
        self._look: Look | None = None
        self._detectors: dict[str, tuple[VersionCounts, Detector]] = {}

    def count_one(self, at: float) -> bool:
        """Count the oldest batch that waits; whether there was one."""
        batch = self.queue.take()
        if batch is None:
            return False
        counts = self.counters.versions.get(batch.version)
        # A version that was forgotten while its batch waited has nowhere to be counted.
        if counts is None:
            self.rejected["unknown_version"] += 1
            return True
        self._count(batch, counts, at)
        return True

    def pair(self, at: float) -> bool:
        """Look at some of the events of KServe's logger that wait, and count what is whole; whether there were any."""
        waited = bool(self.intake.waiting)
        for batch in self.intake.work(at):
            self._count(batch, self.counters.versions[batch.version], at)
        return waited

    def _profile(self, version: str) -> Profile | None:
        counts = self.counters.versions.get(version)
        return counts.profile if counts else None

    def _count(self, batch: Batch, counts: VersionCounts, at: float) -> None:
        # What a predictor kept while the monitor was away belongs to the season in which it was predicted.
        season = counts.season(self.clock.at(batch.at if 0 < batch.at < at else at))
        self.counters.add(batch.version, batch.columns, batch.predictions, at, batch.decided, season)
        self.answers.add(batch.version, batch.ids, batch.told)
        codes = self.performance.score(batch.version, counts.profile, batch.columns, batch.told)
        self.labels.remember(batch.version, batch.ids, batch.told, counts.profile, codes, at)
        counts.unknown_columns += batch.unknown
        # It is counted when it came, as everything is; the sender's clock is wrong.
        self.ahead += len(batch.ids) * (batch.at > at + MOST_AHEAD)
        if self.archive is not None:
            self.archive.add(batch, counts.profile, at)

    def look(self, at: float) -> None:
        """Evaluate the window that ends at the real moment `at`, notify, and begin the next look."""
        chosen = choose(self._version, {name: counts.recent for name, counts in self.counters.versions.items()})
        if chosen != self._version:
            self._notify(self._alarm.close(at))
            self._version, self._alarm = chosen, Alarm(self.rule)
        self.glance(at)
        looks = {name: one.look(counts.window(), at) for name, (counts, one) in self._detectors.items()}
        self._look = None if chosen is None else looks[chosen]
        if chosen is not None:
            self._notify(self._alarm.step(self._look, at))
        self.counters.mark()
        self.remember(at)
        self.performance.keep(self.counters.versions)
        self.performance.look(chosen, at)

    def remember(self, at: float, *, now: bool = False) -> None:
        """Write down the recent traffic, if it is time or `now`."""
        if self._memory is not None:
            known = {name: (one.profile, detector.recent) for name, (one, detector) in self._detectors.items()}
            self._memory.keep({name: (one, recent) for name, (one, recent) in known.items() if recent}, at, now=now)

    def glance(self, at: float) -> None:
        """Ask what grows at the real moment `at`, and notify of what it newly finds; every look is a glance, too.

        Evidence grows for the versions that are not told of, too.
        """
        known = self._detectors
        self._detectors = {
            # A version that was forgotten and came again is counted from zero, so its evidence begins anew.
            name: known[name]
            if name in known and known[name][0] is counts
            else (counts, self._detector(name, counts, at))
            for name, counts in self.counters.versions.items()
        }
        for name, (counts, detector) in self._detectors.items():
            grown = detector.glance(counts.totals())
            if name == self._version:
                self._notify(self._alarm.glance(grown, counts.recent, at))

    def _detector(self, version: str, counts: VersionCounts, at: float) -> Detector:
        detector = Detector(counts.profile, self.rule)
        if self._memory is not None and detector.recent is not None:
            self._memory.recall(version, counts.profile, detector.recent, at)
        return detector

    def repeat(self, at: float) -> None:
        """Tell again of what still fires at the real moment `at`, if it is time."""
        self._notify(self._alarm.repeat(at))
        self.performance.repeat(at)

    def _notify(self, notice: Notice | None) -> None:
        if notice is None or self._version is None:
            return
        counts = self.counters.versions.get(self._version)
        oddities = odd.of(self._reference(self._version, counts), counts.window(), notice.alerts) if counts else {}
        content = body(self.loop, self.clock, self._version, notice, self.rule.window, oddities)
        log.info("drift %s: %s", content["status"], content["commonAnnotations"]["description"])
        self._send(content)

    def _reference(self, version: str, counts: VersionCounts) -> Profile:
        """What the last window was held against; the profile before the first look."""
        known = self._detectors.get(version)
        return known[1].reference if known is not None and known[0] is counts else counts.profile

    def drift(self) -> dict[str, Any]:
        """The last look, for people and programs; without events in the window there are no features."""
        look = self._look
        return {
            "loop": self.loop.name,
            "version": self._version,
            "events": look.events if look else 0,
            "enough": bool(look and look.enough),
            "window_seconds": self.rule.window,
            "window": format_duration(timedelta(seconds=self.rule.window * self.clock.speed)),
            "look_seconds": self.rule.look,
            "min_effect": self.rule.min_effect,
            "min_events": self.rule.min_events,
            "alarm": bool(self._alarm.firing),
            "firing": self._firing(TRAINING),
            "features": {name: _score(score) for name, score in look.features.items()} if look else {},
            "prediction": _score(look.prediction) if look else None,
            "recent": {name: _score(score) for name, score in look.recent.items()} if look else {},
            "firing_recent": self._firing(RECENT),
        }

    def _firing(self, against: str) -> dict[str, str]:
        """Since when what fires does, by feature."""
        named = [(*told(key), alert) for key, alert in self._alarm.firing.items()]
        return {name: self.clock.at(alert.starts_at).isoformat() for name, to, alert in named if to == against}

    def samples(self, outcomes: Counter[str]) -> Iterator[metrics.Sample]:
        """Every metric's samples; `outcomes` are the alerts'."""
        yield metrics.MONITOR_INFO, (self.loop.name,), 1
        for version, counts in self.counters.versions.items():
            yield from self._version_samples(version, counts)
        if self._look and self._version in self._detectors:
            who = (self.loop.name, self._version)
            for name, score in self._look.scores().items():
                yield metrics.DRIFT_DISTANCE, (*who, name), score.distance
                yield metrics.DRIFT_SCORE, (*who, name), score.score
                yield metrics.DRIFT_DRIFTED, (*who, name, TRAINING), float(score.drifted and score.by == "window")
            for name, score in self._look.recent.items():
                yield metrics.RECENT_DISTANCE, (*who, name), score.distance
                yield metrics.RECENT_SCORE, (*who, name), score.score
                yield metrics.DRIFT_DRIFTED, (*who, name, RECENT), float(score.drifted)
            for name, score in self._grown(self._look):
                yield metrics.DRIFT_GROWING, (*who, name), score.score
            for name, factor in self._detectors[self._version][1].dispersion.items():
                yield metrics.DRIFT_DISPERSION, (*who, name), factor
            yield metrics.DRIFT_EVENTS, who, self._look.events
        if self._version:
            yield metrics.DRIFT_ALARM, (self.loop.name, self._version), float(bool(self._alarm.firing))
        for reason, number in self.rejected.items():
            yield metrics.REJECTED, (reason,), number
        yield metrics.AHEAD, (), self.ahead
        for half, number in self.intake.received.items():
            yield metrics.CLOUDEVENTS, (half,), number
        for half, number in self.intake.unpaired.items():
            yield metrics.UNPAIRED, (half,), number
        yield metrics.PENDING, (), self.intake.pending
        for (version, outcome), number in self.intake.outcomes.items():
            yield metrics.OUTCOMES, (self.loop.name, version, outcome), number
        for outcome, number in outcomes.items():
            yield metrics.ALERTS, (outcome,), number
        if self.archive is not None:
            yield from self.archive.samples()
        for outcome, number in self.labels.outcomes.items():
            yield metrics.LABELS, (self.loop.name, outcome), number
        yield from self.performance.samples()

    def _grown(self, look: Look) -> Iterator[tuple[str, Score]]:
        """What growing evidence alone says has drifted, at the last look or at a glance since."""
        firing = {name: alert.score for name, alert in self._alarm.firing.items()}
        for name, score in (firing | look.scores()).items():
            told = score if score.drifted else firing.get(name, score)
            if told.drifted and told.by == "growing":
                yield name, told

    def _version_samples(self, version: str, counts: VersionCounts) -> Iterator[metrics.Sample]:
        who, totals = (self.loop.name, version), counts.totals()
        yield metrics.EVENTS, who, totals.events
        for name, bins in totals.features.items():
            for number, count in enumerate(bins.tolist()):
                yield metrics.FEATURE_BIN, (*who, name, str(number)), count
        for number, count in enumerate(totals.prediction.tolist()):
            yield metrics.PREDICTION_BIN, (*who, str(number)), count
        for name, count in zip(counts.profile.classes, counts.classes(), strict=False):
            yield metrics.PREDICTION_CLASS, (*who, str(name)[:LONGEST]), count
        for number, count in enumerate(counts.buckets.tolist()):
            yield metrics.PREDICTION_BUCKET, (*who, str(number)), count
        loss = self.labels.losses.get(version, Loss())
        yield metrics.LOSS_COUNT, who, loss.count
        yield metrics.LOSS_SUM, who, loss.total
        yield metrics.LOSS_SQUARES, who, loss.squares
        yield metrics.UNKNOWN_COLUMNS, who, counts.unknown_columns
        yield metrics.COUNTING_SINCE, who, counts.since
        yield from criticals.samples(who, self._reference(version, counts), self.rule)


def _score(score: Score) -> dict[str, Any]:
    return {"distance": score.distance, "score": score.score, "drifted": score.drifted, "by": score.by}
