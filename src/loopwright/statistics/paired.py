"""Comparing two models on the same rows: how much better one is, how sure that is, and how many rows would be surer.

For the area under the ROC curve the standard error is DeLong's (DeLong, DeLong & Clarke-Pearson 1988, "Comparing
the areas under two or more correlated ROC curves", Biometrics 44), computed from midranks as in Sun & Xu 2014,
"Fast implementation of DeLong's algorithm" (IEEE Signal Processing Letters 21). Where entities have several rows, it is
Obuchowski's for clustered data (1997, "Nonparametric analysis of clustered ROC curve data", Biometrics 53). Any other
metric's is that of a paired bootstrap (`bootstrap`).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.bootstrap import Codes

Floats = NDArray[np.float64]
State = Literal["passed", "failed", "cannot_tell"]

POWER = 0.8
"""The chance that the number of rows which is said to be needed will do."""


def lower_bound(difference: float, error: float, confidence: float) -> float:
    """The one-sided lower bound of a difference at a confidence, by the normal approximation."""
    return difference - NormalDist().inv_cdf(confidence) * error


@dataclass(frozen=True)
class Evidence:
    """A gain with its standard error, held against what it has to reach."""

    gain: float
    error: float
    margin: float
    """What the gain has to reach: below zero where a loss is accepted."""
    superior: bool
    """Whether the gain has to be above the margin, as equal predictions are no gain."""
    confidence: float
    rows: int
    edge: bool = False
    """Whether the error is that of a share at 0 or 1 (`shares`), which falls with the rows, not with their root."""

    @property
    def interval(self) -> tuple[float, float]:
        """The one-sided lower and the one-sided upper bound, each at the confidence."""
        low = lower_bound(self.gain, self.error, self.confidence)
        return low, 2 * self.gain - low

    @property
    def state(self) -> State:
        """Passed where the lower bound reaches the margin, failed where the upper does not: otherwise unknown."""
        low, high = self.interval
        if not math.isfinite(low):
            return "cannot_tell"
        if low > self.margin or (low == self.margin and not self.superior):
            return "passed"
        # With a confidence of one half the two bounds are one value, which is judged as it is.
        return "failed" if high < self.margin or self.confidence == 0.5 else "cannot_tell"

    def rows_needed(self, gain: float) -> int | None:
        """Rows that would pass a challenger of this true gain with a chance of 80 %; None where no number would."""
        room = gain - self.margin
        if room <= 0 or not math.isfinite(self.error):
            return None
        if self.edge:
            return math.ceil(self.rows * (self.gain - self.interval[0]) / room)
        z = NormalDist().inv_cdf(self.confidence) + NormalDist().inv_cdf(POWER)
        return math.ceil(self.rows * (z * self.error / room) ** 2)


def auc_difference(
    truth: NDArray[np.bool_], first: Floats, second: Floats, *, factor: float = 1.0, groups: Codes | None = None
) -> tuple[float, float]:
    """AUC of `first` minus `factor` times that of `second` on the same rows, and its standard error.

    `truth` is (n,) booleans with both values; the scores are (n,); `groups` are the entities' codes, (n,). With one row
    of a class, or one entity, the error is NaN.
    """
    areas, parts = zip(*(auc_parts(truth, scores) for scores in (first, second)), strict=True)
    contrast = parts[0] - factor * parts[1]
    return float(areas[0] - factor * areas[1]), _spread(truth, contrast, groups)


def auc_error(truth: NDArray[np.bool_], scores: Floats, groups: Codes | None = None) -> tuple[float, float]:
    """The AUC of (n,) scores and its standard error."""
    area, parts = auc_parts(truth, scores)
    return area, _spread(truth, parts, groups)


def auc_parts(truth: NDArray[np.bool_], scores: Floats) -> tuple[float, Floats]:
    """The AUC, and what each row has to do with it: the share of the other class that it is on the right side of."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    overall = _midranks(scores)
    parts = np.empty(len(scores))
    parts[truth] = (overall[truth] - _midranks(scores[truth])) / negatives
    parts[~truth] = 1.0 - (overall[~truth] - _midranks(scores[~truth])) / positives
    return float(parts[truth].mean()), parts


def _spread(truth: NDArray[np.bool_], parts: Floats, groups: Codes | None) -> float:
    """The standard error of a mean of `auc_parts`: rows, or entities, scatter around the mean of their class."""
    counts = int(truth.sum()), int((~truth).sum())
    if min(counts) < 2:
        return float("nan")
    if groups is None:
        of_positives, of_negatives = parts[truth], parts[~truth]
        return math.sqrt(of_positives.var(ddof=1) / counts[0] + of_negatives.var(ddof=1) / counts[1])
    off = np.where(truth, (parts - parts[truth].mean()) / counts[0], (parts - parts[~truth].mean()) / counts[1])
    sums = np.bincount(groups, weights=off)
    if len(sums) < 2:
        return float("nan")
    return math.sqrt(float(sums @ sums) * len(sums) / (len(sums) - 1))


def _midranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], len(values)]
    shared = np.repeat((starts + ends + 1) / 2, ends - starts)
    ranks = np.empty(len(values))
    ranks[order] = shared
    return ranks
