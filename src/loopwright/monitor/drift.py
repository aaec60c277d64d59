"""The alarm rule, pure: a window's counts against the profile, and what follows from a row of such looks.

A feature has drifted at a look when all of these hold: the window has at least `min_events`; its Jensen-Shannon
distance, corrected for sample size, is at least `min_effect`; and chance does not explain it, at a level derived from
the budget of false alarms. It fires when it has drifted at `persistence` looks in a row, and is over when it has not
for as many.

How the budget is spent. `1 per 90d` with a look every 6 minutes is 21,600 looks, so one look may raise 1/21,600 false
alarms. That is shared equally over the features and the prediction: a union bound, which holds however they depend on
each other. Windows of neighbouring looks overlap, so their results are alike and false alarms come in runs; the union
bound over looks counts each of a run as if it were one of its own, and persistence, which can only lower the number, is
given no credit. The budget is thus an upper bound of the expected number of false alarms, not an estimate of it. It is
an expectation over references too. Events that are not independent count for so many fewer (`monitor/dispersion.py`).

Half of the budget is the windowed test's, half the growing evidence's (`monitor/growing.py`), which finds what is too
small for one window. A feature's share of a window is halved again. One half goes to the chi-square test on pooled
bins, at a fifth of its level because that is how much more often it rejects so far in the tail. The other half is
shared by the bins beyond the reference (missing, below, above, other), which are tested one by one by a bound that
holds for the few rows they have. Bins are pooled for a window of `min_events`, so that groups and critical values are
constants of profile and loop.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loopwright.monitor.looks import (
    GREATEST_LEVEL,
    LONGEST_REPEAT,
    LOOKS_PER_WINDOW,
    RECENT,
    SHORTEST_LOOK,
    Look,
    Rule,
    Score,
    Window,
    prediction_name,
    told,
)
from loopwright.statistics.chisquare import quantile
from loopwright.statistics.distances import INFLATION, chi_square, excess, jensen_shannon, pool
from loopwright.statistics.profile import Bins, Counts, Profile

__all__ = [
    "GREATEST_LEVEL", "LONGEST_REPEAT", "LOOKS_PER_WINDOW", "SHORTEST_LOOK",
    "Alarm", "Alert", "Critical", "Look", "Notice", "Rule", "Score", "Window",
    "choose", "critical", "evaluate", "prediction_name", "significance",
]  # fmt: skip


def evaluate(
    profile: Profile, window: Window, rule: Rule, dispersion: Mapping[str, float] | None = None
) -> Look | None:
    """Hold a window's counts against the profile. None without any events: there is nothing to compare.

    `dispersion` says by name how much more the counts vary than those of independent rows would (1 where it does not);
    events count for so many fewer.
    """
    if window.events == 0:
        return None
    level, known = rule.level / (len(profile.watched) + 1), dispersion or {}

    def score(name: str, bins: Bins, counts: Counts) -> Score:
        factor = known.get(name, 1.0)
        distance = jensen_shannon(bins.counts, counts, dispersion=factor)
        ratio = significance(bins, counts, rule.min_events, level) / factor
        enough = window.events >= rule.min_events * factor
        return Score(distance, ratio, enough and ratio >= 1 and distance >= rule.min_effect)

    features = {name: score(name, bins, window.features[name]) for name, bins in profile.watched.items()}
    prediction = score(prediction_name(profile.features), profile.prediction, window.prediction)
    return Look(window.events, window.events >= rule.min_events, features, prediction)


def significance(bins: Bins, counts: Counts, min_events: int, level: float) -> float:
    """The greatest ratio of test statistic to critical value, of the chi-square test and the bins beyond."""
    limit = critical(bins, min_events, level)
    test = chi_square(bins.counts, counts, limit.groups)
    ratios = [test.statistic / limit.chi_square] if limit.chi_square is not None else []
    ratios += [excess(bins.counts, counts, bin).statistic / limit.excess for bin in limit.beyond]
    return max(ratios)


@dataclass(frozen=True)
class Critical:
    """What one feature's counts are tested on, which profile and loop fix before anything is counted."""

    groups: NDArray[np.int64]
    """The group of each bin in the chi-square test."""

    chi_square: float | None
    """Its critical value; None where all bins are one group, and there is nothing to test."""

    beyond: tuple[int, ...]
    """The bins beyond the reference, which are tested one by one."""

    excess: float
    """The critical value of each of them."""


@lru_cache(maxsize=4096)
def critical(bins: Bins, min_events: int, level: float) -> Critical:
    """The groups and critical values of a feature that may spend `level` at one look."""
    groups = pool(bins.counts, min_events)
    degrees = int(groups.max())
    greatest = quantile(level / 2 / INFLATION, degrees) if degrees else None
    return Critical(groups, greatest, bins.beyond, quantile(level / 2 / len(bins.beyond), 2))


def choose(current: str | None, events: Mapping[str, int]) -> str | None:
    """The version to look at: the one with most events in the window; ties and near ties stay with the current one.

    Another version must have twice the events: during a rollout at equal weights, alarms would flap otherwise.
    """
    most = max(events, key=lambda version: events[version], default=None)
    if most is None or events[most] == 0:
        return current if current in events else None
    if current is not None and current in events and events[most] < 2 * events[current]:
        return current
    return most


@dataclass(frozen=True)
class Alert:
    """One drifted feature: since when it fires, until when it did (None: it still does), and its latest score."""

    starts_at: float
    ends_at: float | None
    score: Score


@dataclass(frozen=True)
class Notice:
    """What to tell about a version: its alerts, by `Look.alarms`; it is over when none fires."""

    events: int
    alerts: Mapping[str, Alert]

    @property
    def firing(self) -> bool:
        """Whether any alert still fires."""
        return any(alert.ends_at is None for alert in self.alerts.values())


@dataclass
class Alarm:
    """The state of one version's alarm: looks go in, notices come out."""

    rule: Rule
    firing: dict[str, Alert] = field(default_factory=dict)
    _drifted: dict[str, int] = field(default_factory=dict)
    _grown: dict[str, int] = field(default_factory=dict)
    _calm: dict[str, int] = field(default_factory=dict)
    _over: dict[str, Alert] = field(default_factory=dict)
    _sent: float = -math.inf
    _events: int = 0
    _enough: bool = False

    def step(self, look: Look | None, at: float) -> Notice | None:
        """Take in a look at the real moment `at`; the notice to send now, if any.

        One is sent when a feature begins to fire, again and again while any does, and once when the last is over. A
        look without enough events is no evidence: it breaks a row of drifted looks, ends nothing, and repeats nothing.
        """
        self._enough = look is not None and look.enough
        if look is None or not look.enough:
            self._drifted.clear()
            return None
        self._events = look.events
        begun = False
        for name, score in look.alarms().items():
            if told(name)[1] == RECENT and look.events < self.rule.min_events:
                # What grew makes a look enough, and says nothing of recent traffic.
                self._drifted[name] = 0
                continue
            self._drifted[name] = self._drifted.get(name, 0) + 1 if score.drifted else 0
            self._calm[name] = 0 if score.drifted else self._calm.get(name, 0) + 1
            if name in self.firing:
                self.firing[name] = Alert(self.firing[name].starts_at, None, score)
                if self._calm[name] >= self.rule.persistence:
                    self._over[name] = self._end(name, at)
            elif self._drifted[name] >= self.rule.persistence:
                begun = True
                self._begin(name, score, at)
        return self._notice(at) if begun or self._due(at) or (self._over and not self.firing) else None

    def glance(self, grown: Mapping[str, Score] | None, events: int, at: float) -> Notice | None:
        """Take in what growing evidence finds at the real moment `at`, with the window's events; the notice, if any.

        What it finds at `persistence` glances in a row fires without waiting for a look; nothing ends here.
        """
        if grown is None:
            return None
        self._grown = {name: self._grown.get(name, 0) + 1 for name, score in grown.items() if score.drifted}
        sure = [name for name, row in self._grown.items() if row >= self.rule.persistence and name not in self.firing]
        if not sure:
            return None
        self._events, self._enough = events, True
        for name in sure:
            self._begin(name, grown[name], at)
        return self._notice(at)

    def _begin(self, name: str, score: Score, at: float) -> None:
        self.firing[name], self._calm[name] = Alert(at, None, score), 0
        self._over.pop(name, None)

    def repeat(self, at: float) -> Notice | None:
        """The notice to send again between two looks, which a long window has hours apart; if it is time."""
        long = self.rule.repeat < self.rule.window
        return self._notice(at) if long and self._enough and self._due(at) else None

    def _due(self, at: float) -> bool:
        # A little early, so that the look that ends the time is not missed by a rounding.
        early = min(self.rule.look, LONGEST_REPEAT / LOOKS_PER_WINDOW) / 2
        return bool(self.firing) and at - self._sent >= self.rule.repeat - early

    def close(self, at: float) -> Notice | None:
        """End everything, as the version is no longer looked at; the notice to send, if anything fired."""
        for name in list(self.firing):
            self._over[name] = self._end(name, at)
        return self._notice(at) if self._over else None

    def _end(self, name: str, at: float) -> Alert:
        alert = self.firing.pop(name)
        return Alert(alert.starts_at, at, alert.score)

    def _notice(self, at: float) -> Notice:
        alerts, self._sent = {**self.firing, **self._over}, at
        self._over = {}
        return Notice(self._events, alerts)
