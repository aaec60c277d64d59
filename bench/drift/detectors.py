"""The product's alarm and the rules that need nothing but numpy: rows or counts go in, a verdict a look comes out.

The product is behind one small interface, `Detector`: what a glance has counted goes in, and whether an alarm begins
comes out. The other rules give a statistic a look, so that thresholds can be set to one rate of false alarms.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

import numpy as np
from bench.drift.streams import Floats
from numpy.typing import NDArray
from scipy import special

from loopwright.durations import Clock
from loopwright.loop import Loop
from loopwright.monitor.detector import Detector as Combined
from loopwright.monitor.drift import LOOKS_PER_WINDOW, Alarm, Look, Rule, Score, Window
from loopwright.statistics.profile import Counts, Profile

WINDOW = timedelta(days=1)
# Linear bets on a p-value, 1 + e (p - 1/2), which are fair for a uniform one. Small ones find small shifts.
BETS = (-1.8, -1.2, -0.6, -0.3, 0.3, 0.6, 1.2, 1.8)


class Detector(Protocol):
    """What can be put to the proof: it sees the counts of each glance and says whether an alarm begins."""

    def step(self, events: int, features: Sequence[Counts], prediction: Counts) -> bool:
        """Take in what came since the last glance."""
        ...


def declared(windows: int, min_events: int) -> Rule:
    """The rule of a loop that allows one false alarm in so many windows, all else at its defaults."""
    days = windows * WINDOW.days
    loop = Loop.model_validate(
        {
            "apiVersion": "loopwright/v1",
            "kind": "Loop",
            "metadata": {"name": "bench"},
            "data": {
                "source": "x.csv",
                "entity": "id",
                "label": {"column": "y"},
                "contract": {"f0": {"type": "number"}},
            },
            "model": {"task": "regression", "estimator": "lightgbm", "features": "features.py"},
            "monitor": {"window": "1d", "false_alarms": f"1 per {days}d", "min_events": min_events},
        }
    )
    return Rule.of(loop, Clock())


@dataclass
class Loopwright:
    """The product: `Detector` on all counts so far and on a window that slides by a tenth, and `Alarm`."""

    profile: Profile
    rule: Rule
    last: Look | None = None
    _alarm: Alarm = field(init=False)
    _detector: Combined = field(init=False)
    _looks: deque[Window] = field(init=False)
    _glances: int = 0

    def __post_init__(self) -> None:
        self._alarm, self._detector = Alarm(self.rule), Combined(self.profile, self.rule)
        none = [np.zeros_like(bins.counts) for bins in self.profile.features.values()]
        self._totals = Window(
            0, dict(zip(self.profile.features, none, strict=True)), np.zeros_like(self.profile.prediction.counts)
        )
        self._looks = deque([self._totals], maxlen=LOOKS_PER_WINDOW)

    @property
    def at(self) -> float:
        """The moment, in seconds."""
        return self._glances * self.rule.glance

    @property
    def firing(self) -> list[str]:
        """What fires, by name."""
        return sorted(self._alarm.firing)

    def step(self, events: int, features: Sequence[Counts], prediction: Counts) -> bool:
        """See `Detector`."""
        self._totals = Window(
            self._totals.events + events,
            {name: was + new for (name, was), new in zip(self._totals.features.items(), features, strict=True)},
            self._totals.prediction + prediction,
        )
        self._glances += 1
        grown = self._detector.glance(self._totals)
        before = set(self._alarm.firing)
        self._glance(grown)
        if self._glances % self.rule.glances == 0:
            self.last = self._detector.look(_since(self._looks[0], self._totals))
            self._looks.append(self._totals)
            self._look(self.last)
        return bool(set(self._alarm.firing) - before)

    def _glance(self, grown: Mapping[str, Score] | None) -> None:
        self._alarm.glance(grown, self._totals.events, self.at)

    def _look(self, look: Look | None) -> None:
        self._alarm.step(look, self.at)


@dataclass
class WithoutEffect(Loopwright):
    """The same with `min_effect: 0`, and beside it what the declared effect makes of the same looks."""

    declared_begins: bool = False
    _declared: Alarm = field(init=False)

    def __post_init__(self) -> None:
        self._effect, self.rule = self.rule.min_effect, replace(self.rule, min_effect=0.0)
        super().__post_init__()
        self._declared = Alarm(self.rule)

    def step(self, events: int, features: Sequence[Counts], prediction: Counts) -> bool:
        """See `Detector`."""
        before = set(self._declared.firing)
        begins = super().step(events, features, prediction)
        self.declared_begins = bool(set(self._declared.firing) - before)
        return begins

    def _glance(self, grown: Mapping[str, Score] | None) -> None:
        super()._glance(grown)
        large = grown and {name: _at_least(score, self._effect) for name, score in grown.items()}
        self._declared.glance(large, self._totals.events, self.at)

    def _look(self, look: Look | None) -> None:
        super()._look(look)
        if look is not None:
            scores = {name: _at_least(score, self._effect) for name, score in look.features.items()}
            look = Look(look.events, look.enough, scores, _at_least(look.prediction, self._effect))
        self._declared.step(look, self.at)


def _since(before: Window, now: Window) -> Window:
    features = {name: counts - before.features[name] for name, counts in now.features.items()}
    return Window(now.events - before.events, features, now.prediction - before.prediction)


def _at_least(score: Score, effect: float) -> Score:
    return replace(score, drifted=score.drifted and score.distance >= effect)


def kolmogorov_smirnov(reference: Floats, window: Floats) -> Floats:
    """The two-sample K-S statistics of each column; `reference` (m, features) is sorted by column."""
    m, n = len(reference), len(window)
    found = np.empty(reference.shape[1])
    steps = np.arange(1, n + 1) / n
    for i in range(reference.shape[1]):
        ordered = np.sort(window[:, i])
        below = np.searchsorted(reference[:, i], ordered, side="left") / m
        upto = np.searchsorted(reference[:, i], ordered, side="right") / m
        found[i] = max((steps - below).max(), (upto - steps + 1 / n).max())
    return found


def benjamini_hochberg(reference: Floats, window: Floats) -> float:
    """The least false discovery rate at which K-S with Benjamini-Hochberg rejects for any column."""
    m, n = len(reference), len(window)
    # Kolmogorov's limit; scipy's ks_2samp(method="asymp") differs by its correction for few rows only.
    p = np.sort(special.kolmogorov(np.sqrt(m * n / (m + n)) * kolmogorov_smirnov(reference, window)))
    return float((p * len(p) / np.arange(1, len(p) + 1)).min())


def conformal(reference: Floats, stream: Floats, generator: np.random.Generator) -> Floats:
    """The greatest log of the conformal CUSUM processes after each row, (rows,), over columns and bets.

    A p-value of each value against the reference (smoothed by a random tie), linear bets on it, and the CUSUM of each
    bet's log capital: Vovk, Petej, Nouretdinov, Ahlberg, Carlsson & Gammerman, "Retrain or not retrain: conformal test
    martingales for change-point detection" (COPA 2021). With a fixed reference the p-values of a stream are alike
    dependent, which the tuned threshold accounts for.
    """
    m = len(reference)
    best = np.full(len(stream), -np.inf)
    for i in range(stream.shape[1]):
        upper = m - np.searchsorted(reference[:, i], stream[:, i], side="right")
        ties = m - np.searchsorted(reference[:, i], stream[:, i], side="left") - upper
        p = (upper + generator.random(len(stream)) * (ties + 1)) / (m + 1)
        for bet in BETS:
            capital = np.cumsum(np.log1p(bet * (p - 0.5)))
            least = np.minimum.accumulate(np.concatenate(([0.0], capital[:-1])))
            best = np.maximum(best, capital - least)
    return best


def counts_by(profile: Profile, stream: Floats, predictions: Floats, size: int) -> list[tuple[list[Counts], Counts]]:
    """A stream's counts, `size` rows a look, in the bins of the profile."""
    return [
        (
            [bins.count(stream[start : start + size, i]) for i, bins in enumerate(profile.features.values())],
            profile.count_predictions(predictions[start : start + size]),
        )
        for start in range(0, len(stream) - size + 1, size)
    ]


def first(flags: NDArray[np.bool_]) -> int | None:
    """The index of the first true one."""
    at = np.flatnonzero(flags)
    return int(at[0]) if len(at) else None
