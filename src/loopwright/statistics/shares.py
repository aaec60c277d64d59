"""How sure a share is where a bootstrap cannot say: at 0, or at all, every draw is the same, and its error is 0.

No false positive among 20 rows does not show that there are none. What it shows is the exact bound of Clopper & Pearson
(1934, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26), which at the
edge is 1 - (1 - confidence)^(1/n); for n rows and 95 % it is about 3/n.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics import bootstrap
from loopwright.statistics.bootstrap import Codes, Floats

Bools = NDArray[np.bool_]
Count = int | tuple[int, ...]
"""Of how many rows a share is; of a mean over the classes, how many each of them has."""

NO_SPREAD = 1e-12
"""A standard error below this is rounding."""
DEGENERATE = frozenset({"roc_auc", "roc_auc_ovr", "average_precision", "cost", "calibration_error"})
"""No share of rows: without any spread nothing says how far these may be off."""


def distance(count: Count, confidence: float) -> float:
    """How far a share of `count` rows that is 0, or 1, may be off at a one-sided confidence; NaN of none.

    Of a mean of shares it is the farthest mean of any shares q of errors with which samples of these sizes n would
    still be without an error with probability 1 - confidence: the mean of q is the greatest subject to the product of
    (1 - q)^n being 1 - confidence. Its exact bound, as that of one share is, which it is for one class. The sum of the
    classes' own bounds, over their number, asks for too much (of equal classes nearly their number times), and the root
    of the sum of their squares is no bound for classes of a few rows.
    """
    if isinstance(count, tuple):
        return _mean_distance([one for one in count if one], confidence)
    return 1.0 - (1.0 - confidence) ** (1.0 / count) if count else math.nan


def _mean_distance(counts: list[int], confidence: float) -> float:
    """With q = 1 - exp(-t / n) the t sum to -log(1 - confidence); where t > 0, the slopes exp(-t / n) / n are equal.

    These are the rarest classes, whose first slopes 1 / n are the steepest; the others have no error.
    """
    room, size, entropy, found = -math.log1p(-confidence), 0, 0.0, math.nan
    for at, count in enumerate(sorted(counts), start=1):
        size, entropy = size + count, entropy + count * math.log(count)
        slope = math.exp(-(room + entropy) / size)
        if at > 1 and slope * count >= 1.0:
            break
        found = (at - slope * size) / len(counts)
    return found


def error(count: Count, confidence: float) -> float:
    """The standard error that would give this distance by the normal approximation; 0 for a point, NaN of no rows."""
    z = NormalDist().inv_cdf(confidence)
    return distance(count, confidence) / z if z > 0 else 0.0


def denominators(truth: NDArray[Any], decided: Bools, groups: Codes | None = None) -> dict[str, int]:
    """Of how many rows, or entities, each share of a classification's decisions is."""
    truth = truth.astype(bool)
    wholes = {
        "accuracy": np.ones(len(truth), dtype=bool),
        "precision": decided,
        "recall": truth,
        # Of nothing that can be counted; with none missed or all, it is as sure as the recall.
        "f1": truth,
        "false_positive_rate": ~truth,
    }
    return {name: units(whole, groups) for name, whole in wholes.items()}


def units(mask: Bools, groups: Codes | None = None) -> int:
    """How many rows, or entities, a mask holds."""
    return int(mask.sum()) if groups is None else len(np.unique(groups[mask]))


def interval(value: float, drawn: tuple[float, float], count: Count | None, confidence: float) -> tuple[float, float]:
    """A two-sided interval of a share, which at the edge is the exact one; NaN where there is nothing to go by."""
    if count is None:
        return drawn
    room = distance(count, 0.5 + confidence / 2)
    if not room >= 0:
        return math.nan, math.nan
    if value <= NO_SPREAD:
        return 0.0, max(drawn[1], room)
    return (min(drawn[0], 1.0 - room), 1.0) if value >= 1 - NO_SPREAD else drawn


def told(name: str, value: float, draws: Floats, count: Count | None, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a metric by what was drawn of it; NaN where it cannot be told.

    A calibration error is never below zero, so that every draw adds to it: the interval is laid around the value.
    """
    low, high = bootstrap.interval(draws, confidence)
    if name in DEGENERATE and not high - low > NO_SPREAD:
        return math.nan, math.nan
    if name == "calibration_error":
        half = NormalDist().inv_cdf(0.5 + confidence / 2) * bootstrap.error(draws)
        return max(value - half, 0.0), value + half
    return interval(value, (low, high), count, confidence)
