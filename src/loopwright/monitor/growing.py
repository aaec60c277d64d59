"""Shifts too small for a window, or too sudden: evidence that grows from many possible beginnings of the drift.

Nobody knows when drift begins, so evidence is gathered from many moments at once. A new start is made at every glance,
with a copy of the counts so far; what came since is held against the reference by an e-value (`statistics/shifts.py`).
Starts are dyadic: glance number k, divisible by 2^v at most, lives for 4 x 2^v glances, so that a few dozen copies
cover every span from a glance to weeks, and a drift of any speed has a start at most a quarter of the needed time
before it.

How the budget is spent. A start at level alpha raises a false alarm with a chance of at most alpha in all its life
(Ville's inequality), however often it is looked at, and whatever other starts do. So the expected number of starts
that ever do in T glances is at most the sum of their levels, which are chosen to add up to T x the level of one
glance: this is the contract of an average run length of 1 / level glances (compare Shin, Ramdas & Rinaldo 2022,
"E-detectors: a nonparametric framework for sequential change detection", where evidence is added up over starts; the
union bound here needs no common filtration of the starts, which one finite reference does not give).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from loopwright.monitor.layout import Floats, Layout
from loopwright.monitor.looks import Rule, Score

GREATEST_SPAN = 0.25
"""The longest-lived starts are as far apart as belongs to this part of a false alarm."""
LIFE = 4
LEAST_EVENTS = 50
"""Events since a start from which its distance is worth looking at; evidence itself holds at any number."""
HOPELESS = 0.2
"""The part of what is needed, judged by the distance, below which an e-value is not worked out. A rare bin that becomes
ten times as frequent is worth twice what its distance says, so nothing that suffices is near it."""
# The newest start with enough events must agree up to this share of the least effect: an alarm ends when the drift
# does, not when the last start that saw it is given up.
AGREEMENT = 0.75


@dataclass(frozen=True)
class _Start:
    at: int
    order: int
    counts: Floats


class Growing:
    """The starts of one version; cumulative counts go in at every glance."""

    def __init__(self, layout: Layout, rule: Rule) -> None:
        self._layout, self._rule = layout, rule
        spans = GREATEST_SPAN / rule.sequential if rule.sequential else 0.0
        self._greatest = max(int(math.log2(spans)), 0) if spans >= 1 else 0
        self._glance = 0
        self._starts = [_Start(0, self._greatest, np.zeros_like(layout.reference))]
        self._shifts = {name: layout.evidence(name, rule.min_effect) for name in layout.names}

    def step(self, totals: Floats, dispersion: Floats) -> Mapping[str, Score] | None:
        """What has drifted since some start, by feature; None while no start has enough events, or without a budget.

        `totals` are all counts so far, shape (all bins,); `dispersion` is of each feature, shape (features,).
        """
        found = self._find(totals, dispersion) if self._rule.sequential else None
        self._glance += 1
        order = min((self._glance & -self._glance).bit_length() - 1, self._greatest)
        alive = [start for start in self._starts if self._glance - start.at < LIFE * 2**start.order]
        self._starts = [*alive, _Start(self._glance, order, totals)]
        return found

    def level(self, order: int) -> float:
        """The level of a start, for one feature: its share of the glances until the next one of its kind."""
        apart = 2.0 ** (order if order == self._greatest else order + 1)
        return self._rule.sequential * apart / (self._greatest + 1) / len(self._layout.names)

    def _find(self, totals: Floats, dispersion: Floats) -> dict[str, Score] | None:
        since = np.stack([totals - start.counts for start in self._starts])
        rows = self._layout.sums(since) / dispersion
        enough = rows >= self._rule.min_events
        if not enough.any():
            return None
        divergence = self._layout.divergence(since, dispersion)
        least = self._rule.min_effect**2
        # The starts are in order of time: of those with enough events, the last; what came before it needs it to agree.
        newest = np.where(enough.any(axis=0), len(enough) - 1 - np.argmax(enough[::-1], axis=0), -1)
        agrees = divergence[newest, np.arange(rows.shape[1])] >= AGREEMENT**2 * least
        later = np.arange(len(enough))[:, np.newaxis] > newest
        asked = (rows >= min(LEAST_EVENTS, self._rule.min_events)) & (agrees | later) & (divergence >= least)
        needed = np.array([-math.log(self.level(start.order)) for start in self._starts])
        reference = self._layout.sums(self._layout.reference) / dispersion
        # Half of chi-square, to second order, less what is needed: the start that most likely suffices is asked.
        likely = 4 * math.log(2) * divergence * rows * reference / (rows + reference)
        promise = likely - needed[:, np.newaxis]
        asked &= likely >= HOPELESS * needed[:, np.newaxis]
        promise[~asked] = -np.inf
        return {
            name: self._score(name, since[best], math.sqrt(divergence[best, i]), needed[best], dispersion[i])
            for i, (name, best) in enumerate(zip(self._layout.names, promise.argmax(axis=0), strict=True))
            if asked[best, i]
        }

    def _score(self, name: str, since: Floats, distance: float, needed: float, dispersion: float) -> Score:
        evidence = self._shifts[name].log_e(self._layout.part(since, name), float(dispersion))
        score = max(evidence / float(needed), 0.0)
        return Score(distance, score, score >= 1, "growing")
