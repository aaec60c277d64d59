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

NO_SPREAD = 1e-12
"""A standard error below this is rounding."""
DEGENERATE = frozenset({"roc_auc", "roc_auc_ovr", "average_precision", "cost", "calibration_error"})
"""No share of rows: without any spread nothing says how far these may be off."""


def distance(count: int, confidence: float) -> float:
    """How far a share of `count` rows that is 0, or 1, may be off at a one-sided confidence; NaN of none."""
    return 1.0 - (1.0 - confidence) ** (1.0 / count) if count else math.nan


def error(count: int, confidence: float) -> float:
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


def interval(value: float, drawn: tuple[float, float], count: int | None, confidence: float) -> tuple[float, float]:
    """A two-sided interval of a share, which at the edge is the exact one; NaN where there is nothing to go by."""
    if count is None:
        return drawn
    if not count:
        return math.nan, math.nan
    room = distance(count, 0.5 + confidence / 2)
    if value <= NO_SPREAD:
        return 0.0, max(drawn[1], room)
    return (min(drawn[0], 1.0 - room), 1.0) if value >= 1 - NO_SPREAD else drawn


def told(name: str, value: float, draws: Floats, count: int | None, confidence: float = 0.95) -> tuple[float, float]:
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
