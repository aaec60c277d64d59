"""Every metric of one model on one set of rows, for many weightings of the rows at once: what a bootstrap asks for.

A replicate of a bootstrap is a weight for each row: how often it was drawn. Most metrics follow from weighted sums, so
all replicates together are one product of matrices; areas under curves need the rows sorted by score, which is done
once. Weights of one are the metric itself, as scikit-learn defines it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.labelled import THRESHOLD

Floats = NDArray[np.float64]

GROUPS = 10
"""Groups of equal size, by rising probability, that the calibration error is the mean of."""
_LEAST = 1e-15  # as `metrics` clips a probability for the log loss


@dataclass(frozen=True)
class Measures:
    """What is measured: the task, and from which probability on a row is decided positive."""

    task: str
    threshold: float = THRESHOLD


class Weighted:
    """The metrics of (n,) predictions, given the truth: booleans of a classification, numbers of a regression."""

    def __init__(self, measures: Measures, truth: NDArray[Any], predicted: Floats) -> None:
        self.rows = len(truth)
        self._classification = measures.task == "classification"
        if self._classification:
            self._prepare_classes(truth.astype(bool), predicted, measures.threshold)
        else:
            wrong = predicted - truth
            centred = truth - truth.mean()
            self._columns = np.column_stack([np.ones(self.rows), np.abs(wrong), wrong**2, centred, centred**2])

    def values(self, weights: Floats) -> dict[str, Floats]:
        """Each metric for weights (b, n): (b,). NaN where it is not defined, as an area is with one class only."""
        sums = weights @ self._columns
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._of_classes(weights, sums) if self._classification else _of_values(sums)

    def point(self) -> dict[str, float]:
        """Each metric of the rows as they are."""
        return {name: float(value[0]) for name, value in self.values(np.ones((1, self.rows))).items()}

    def _prepare_classes(self, truth: NDArray[np.bool_], probability: Floats, threshold: float) -> None:
        decided = probability >= threshold
        clipped = np.clip(probability, _LEAST, 1 - _LEAST)
        self._columns = np.column_stack(
            [
                ~truth & ~decided,
                ~truth & decided,
                truth & ~decided,
                truth & decided,
                (probability - truth) ** 2,
                -np.log(np.where(truth, clipped, 1 - clipped)),
            ]
        ).astype(np.float64)
        # By falling score, equal scores together: no threshold tells them apart.
        self._falling = np.argsort(-probability, kind="stable")
        ordered = probability[self._falling]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._positive = truth[self._falling].astype(np.float64)
        self._off = (probability - truth)[self._falling]
        self._groups = np.unique(np.linspace(0, self.rows, GROUPS, endpoint=False).astype(np.intp))

    def _of_classes(self, weights: Floats, sums: Floats) -> dict[str, Floats]:
        tn, fp, fn, tp, square, log = sums.T
        total = tn + fp + fn + tp
        ordered = weights[:, self._falling]
        positive = np.add.reduceat(ordered * self._positive, self._starts, axis=1)
        every = np.add.reduceat(ordered, self._starts, axis=1)
        found, shown = np.cumsum(positive, axis=1), np.cumsum(every, axis=1)
        negative = every - positive
        # The pairs that are in the right order, ties counted half.
        right = (negative * (found - positive / 2)).sum(axis=1)
        positives, negatives = found[:, -1], shown[:, -1] - found[:, -1]
        precision = np.where(shown > 0, found / np.maximum(shown, 1e-300), 0.0)
        off = np.abs(np.add.reduceat(ordered * self._off, self._groups, axis=1)).sum(axis=1)
        return {
            "roc_auc": right / (positives * negatives),
            "average_precision": (precision * positive).sum(axis=1) / positives,
            "accuracy": (tn + tp) / total,
            "f1": _share(2 * tp, 2 * tp + fp + fn),
            "precision": _share(tp, tp + fp),
            "recall": _share(tp, tp + fn),
            "log_loss": log / total,
            "brier": square / total,
            "false_positive_rate": _share(fp, fp + tn),
            "calibration_error": off / total,
        }


def _of_values(sums: Floats) -> dict[str, Floats]:
    total, absolute, square, centred, spread = sums.T
    around = spread - centred**2 / total
    return {
        "rmse": np.sqrt(square / total),
        "mae": absolute / total,
        "r2": np.where(around > 0, 1 - square / np.where(around > 0, around, 1.0), -np.inf),
    }


def _share(part: Floats, whole: Floats) -> Floats:
    """0 where there is nothing to have a share in, as scikit-learn's `zero_division=0`."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0)
