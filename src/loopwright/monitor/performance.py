"""Live performance: labels that were joined become metrics, by version and slice, and an alarm when one is down.

What is measured is the time in which labels came, not in which predictions were made: a week of labels that come a
month late is about predictions of a month ago. The alarm is about the version that drift looks at too, the one with
most of the traffic.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.durations import Clock, format_duration
from loopwright.loop import Loop
from loopwright.monitor import decline
from loopwright.monitor import exposition as metrics
from loopwright.monitor.drift import Alarm, Notice
from loopwright.monitor.fairness import differences
from loopwright.monitor.labelled import EVERYTHING, VersionLabels
from loopwright.monitor.labels import Pairs
from loopwright.monitor.performance_alert import body
from loopwright.monitor.ranges import LONGEST
from loopwright.statistics.labelled import Scores
from loopwright.statistics.labelled_classes import Decisions
from loopwright.statistics.measured import Measured
from loopwright.statistics.profile import Profile

log = logging.getLogger(__name__)


class Performance:
    """One loop's live performance; `send` takes the body of an alert."""

    def __init__(self, loop: Loop, clock: Clock, send: Callable[[dict[str, Any]], None]) -> None:
        self.loop, self.clock, self.rule = loop, clock, decline.rule(loop, clock)
        self.versions: dict[str, VersionLabels] = {}
        self._declared, self._send = loop.monitor.performance, send
        self._version: str | None = None
        self._alarm = Alarm(self.rule)
        self._judged: decline.Judged | None = None
        self._looked = -np.inf

    def score(
        self, version: str, profile: Profile, columns: Mapping[str, NDArray[Any]], predictions: NDArray[np.float64]
    ) -> NDArray[np.int16]:
        """Count a batch of predictions; the bins of their slices, to be remembered until labels come."""
        known = self.versions.get(version)
        if known is None:
            known = self.versions[version] = VersionLabels(profile, self._declared.slices, self.rule.looks)
        return known.score(columns, predictions)

    def add(self, pairs: Pairs) -> None:
        """Take in labels with their predictions; of a version that was forgotten and came again, there is no place."""
        if pairs.version in self.versions:
            self.versions[pairs.version].add(pairs)

    def keep(self, versions: Mapping[str, object]) -> None:
        """Forget the versions that the monitor has forgotten."""
        for name in [name for name in self.versions if name not in versions]:
            del self.versions[name]

    def look(self, version: str | None, at: float) -> None:
        """If it is time, judge the window that ends at the real moment `at`, notify, and begin the next look."""
        if at - self._looked < self.rule.look * 0.999:
            return
        self._looked = at
        if version != self._version:
            self._notify(self._alarm.close(at))
            self._version, self._alarm, self._judged = version, Alarm(self.rule), None
        if version in self.versions:
            known = self.versions[version]
            labels, self._judged = self._judge(known)
            if self._judged is not None:
                self._notify(self._alarm.step(self._judged.look(labels), at))
        for known in self.versions.values():
            known.mark()

    def repeat(self, at: float) -> None:
        """Tell again of what still fires at the real moment `at`, if it is time."""
        self._notify(self._alarm.repeat(at))

    @property
    def firing(self) -> bool:
        """Whether the alarm fires."""
        return bool(self._alarm.firing)

    def _judge(self, known: VersionLabels) -> tuple[int, decline.Judged | None]:
        """How many labels the window has, and the declared metric held against its reference, if there is one."""
        window, metric = known.window().labels[0], self._declared.metric
        live, labels = known.tally.measure(window), known.tally.count(window)
        reference = self._reference(known).get(metric or "")
        if metric is None or reference is None or metric not in live:
            return labels, None
        return labels, decline.judge(metric, live[metric], reference, labels, self.rule)

    def _reference(self, known: VersionLabels) -> dict[str, Measured]:
        found = {} if known.reference is None else known.tally.measure(known.reference)
        if self._declared.metric is not None and self._declared.reference is not None:
            found[self._declared.metric] = Measured(self._declared.reference, 0.0, np.inf)
        return found

    def _notify(self, notice: Notice | None) -> None:
        if notice is None or self._version is None or self._judged is None:
            return
        content = body(self.loop, self.clock, self._version, notice, self._judged, self.rule.window)
        log.info("performance %s: %s", content["status"], content["commonAnnotations"]["summary"])
        self._send(content)

    def report(self) -> dict[str, Any]:
        """What is known, for people and programs: the window of every version, and the alarm."""
        judged, since = self._judged, [alert.starts_at for alert in self._alarm.firing.values()]
        return {
            "loop": self.loop.name,
            "version": self._version,
            "over": format_duration(timedelta(seconds=self.rule.window * self.clock.speed)),
            "metric": self._declared.metric,
            "alarm": self.firing,
            "since": self.clock.at(since[0]).isoformat() if since else None,
            "drop": judged.drop if judged else None,
            "score": judged.score if judged else None,
            "enough": bool(judged and judged.enough),
            "versions": {version: self._of(known) for version, known in self.versions.items()},
        }

    def _of(self, known: VersionLabels) -> dict[str, Any]:
        window, slices = known.window(), dict[str, dict[str, Any]]()
        everything: dict[str, Any] = {"labels": 0, "metrics": {}}
        for (name, value), labels, found in known.measured(window):
            one = {"labels": labels, "metrics": {metric: _shown(of) for metric, of in found.items()}}
            if (name, value) == EVERYTHING:
                everything = one
            else:
                slices.setdefault(name, {})[value] = one
        reference, estimated = self._reference(known), known.estimated(window)
        return {
            **everything,
            "reference": {metric: of.value for metric, of in reference.items()},
            "estimated": {metric: of.value for metric, of in estimated.items()},
            "predictions": int(window.scored[0].sum()),
            "slices": slices,
            "fairness": differences(known.confusions(window)),
            "delay_seconds": known.delay / known.delayed * self.clock.speed if known.delayed else None,
        }

    def samples(self) -> Iterator[metrics.Sample]:
        """Every metric's samples: counters since the start, and what the window says now."""
        for version, known in self.versions.items():
            who = (self.loop.name, version)
            yield from _counters(who, known)
            window = known.window()
            for group, _, found in known.measured(window):
                for name, of in found.items():
                    low, high = of.interval()
                    yield metrics.PERFORMANCE, (*who, name, *group), of.value
                    yield metrics.PERFORMANCE_LOW, (*who, name, *group), low
                    yield metrics.PERFORMANCE_HIGH, (*who, name, *group), high
            for name, of in self._reference(known).items():
                yield metrics.PERFORMANCE_REFERENCE, (*who, name), of.value
            for name, of in known.estimated(window).items():
                yield metrics.PERFORMANCE_ESTIMATE, (*who, name), of.value
            for attribute, apart in differences(known.confusions(window)).items():
                for name, value in apart.items():
                    yield metrics.FAIRNESS, (*who, name, attribute), value
        if self._version is not None and self._judged is not None:
            yield metrics.PERFORMANCE_SCORE, (self.loop.name, self._version, self._judged.metric), self._judged.score
        if self._version is not None and self._declared.metric is not None:
            yield metrics.PERFORMANCE_ALARM, (self.loop.name, self._version), float(self.firing)


def _counters(who: tuple[str, str], known: VersionLabels) -> Iterator[metrics.Sample]:
    """What adds up over replicas: labels by score or errors, and by what was decided in each group."""
    total = known.totals.labels[0]
    yield metrics.LABEL_DELAY_COUNT, who, known.delayed
    yield metrics.LABEL_DELAY_SUM, who, known.delay
    if known.delayed:
        yield metrics.LABEL_NEWEST, who, known.newest
    if isinstance(known.tally, Scores):
        edges = [f"{edge:.6g}" for edge in [*known.tally.cuts.tolist(), 1.0]]
        for number in range(2 * known.tally.bins):
            label, score = divmod(number, known.tally.bins)
            yield metrics.LABEL_SCORES, (*who, str(label), edges[score]), float(total[number])
        yield metrics.LABEL_LOG_LOSS, who, float(total[-2])
        for group, counts in known.confusions(known.totals).items():
            for (truth, decided), count in zip(_CELLS, counts, strict=True):
                yield metrics.LABEL_DECISIONS, (*who, *group, truth, decided), float(count)
        return
    if isinstance(known.tally, Decisions):
        names = [str(one)[:LONGEST] for one in known.profile.classes]
        table = total.reshape(len(names), len(names))
        for true, said in np.argwhere(table > 0).tolist():
            yield metrics.LABEL_CLASSES, (*who, names[true], names[said]), float(table[true, said])
        return
    for group, count, found in known.measured(known.totals):
        yield metrics.LABEL_ERROR_COUNT, (*who, *group), count
        yield metrics.LABEL_ERROR_SUM, (*who, *group), found["mae"].value * count
        yield metrics.LABEL_ERROR_SQUARES, (*who, *group), found["rmse"].value ** 2 * count


_CELLS = (("0", "0"), ("0", "1"), ("1", "0"), ("1", "1"))


def _shown(of: Measured) -> dict[str, float | None]:
    """A metric for JSON, which has no NaN."""
    return {
        name: float(value) if np.isfinite(value) else None
        for name, value in zip(("value", "low", "high"), (of.value, *of.interval()), strict=True)
    }
