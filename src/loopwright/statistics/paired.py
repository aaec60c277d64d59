"""Comparing two models on the same rows: the difference of a metric with its standard error.

For the area under the ROC curve the standard error is DeLong's (DeLong, DeLong & Clarke-Pearson 1988, "Comparing
the areas under two or more correlated ROC curves", Biometrics 44), computed from midranks as in Sun & Xu 2014,
"Fast implementation of DeLong's algorithm" (IEEE Signal Processing Letters 21). For any other metric it is a paired
bootstrap over rows.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOOTSTRAPS = 500


def lower_bound(difference: float, error: float, confidence: float) -> float:
    """The one-sided lower bound of a difference at a confidence, by the normal approximation."""
    return difference - NormalDist().inv_cdf(confidence) * error


def auc_difference(truth: NDArray[np.bool_], first: Floats, second: Floats) -> tuple[float, float]:
    """AUC of `first` minus AUC of `second` on the same rows, and its standard error (DeLong).

    `truth` is (n,) booleans with both values; the scores are (n,). With one row of a class the error is NaN.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    order = np.argsort(~truth, kind="stable")
    areas, of_positives, of_negatives = [], [], []
    for scores in (first, second):
        ordered = scores[order]
        overall = _midranks(ordered)
        among_positives = _midranks(ordered[:positives])
        among_negatives = _midranks(ordered[positives:])
        areas.append((overall[:positives].sum() / positives - (positives + 1) / 2) / negatives)
        of_positives.append((overall[:positives] - among_positives) / negatives)
        of_negatives.append(1.0 - (overall[positives:] - among_negatives) / positives)
    if min(positives, negatives) < 2:
        return float(areas[0] - areas[1]), float("nan")
    contrast = np.array([1.0, -1.0])
    covariance = np.cov(np.array(of_positives)) / positives + np.cov(np.array(of_negatives)) / negatives
    variance = float(contrast @ covariance @ contrast)
    return float(areas[0] - areas[1]), max(variance, 0.0) ** 0.5


def bootstrap_difference(
    metric: Callable[[NDArray[np.intp]], float], rows: int, seed: int, repeats: int = BOOTSTRAPS
) -> tuple[float, float]:
    """A metric's difference and its standard error by a paired bootstrap.

    `metric` gives the difference between the two models on the rows with the given indices. A resample on which it is
    not defined (NaN) is left out.
    """
    generator = np.random.default_rng(seed)
    observed = metric(np.arange(rows))
    resampled = np.array([metric(generator.integers(0, rows, rows)) for _ in range(repeats)])
    resampled = resampled[np.isfinite(resampled)]
    return observed, float(resampled.std(ddof=1)) if len(resampled) > 1 else float("nan")


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
