"""Every metric of one model on one set of rows, for many weightings of the rows at once: what a bootstrap asks for.

A replicate of a bootstrap is a weight for each row: how often it was drawn. Most metrics follow from weighted sums, so
all replicates together are one product of matrices; areas under curves need the rows sorted by score, which is done
once. Weights of one are the metric itself, as scikit-learn defines it.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.labelled import THRESHOLD

Floats = NDArray[np.float64]

GROUPS = 10
"""Groups of equal size, by rising probability, that the calibration error is the mean of."""
ORDERED = frozenset({"roc_auc", "roc_auc_ovr", "average_precision", "calibration_error"})
LEAST = 1e-15  # as `metrics` clips a probability for the log loss


@dataclass(frozen=True)
class Measures:
    """What is measured: the task, and from which probability on a row is decided positive."""

    task: str
    threshold: float = THRESHOLD
    costs: tuple[float, float, float, float] | None = None
    """Of a true negative, a false positive, a false negative and a true positive."""
    quantile: float | None = None
    """The quantile that a regression predicts, which its pinball loss is of."""
    poisson: bool = False
    """Whether a regression predicts means of counts, which its Poisson deviance is of."""
    classes: int = 2
    """How many a classification tells apart."""


class Weighing(Protocol):
    """Every metric of a model's predictions, for many weightings: `Weighted`, or `several.Several` of more classes."""

    rows: int

    def values(self, weights: Floats, *, ordered: bool = True) -> dict[str, Floats]:
        """Each metric for weights (b, n): (b,)."""
        ...

    def point(self) -> dict[str, float]:
        """Each metric of the rows as they are."""
        ...


class Weighted:
    """The metrics of (n,) predictions, given the truth: booleans of a classification, numbers of a regression."""

    def __init__(self, measures: Measures, truth: NDArray[Any], predicted: Floats) -> None:
        self.rows = len(truth)
        self._classification = measures.task == "classification"
        self._costs, self._names = measures.costs, ["rmse", "mae", "r2"]
        if self._classification:
            self._prepare_classes(truth.astype(bool), predicted, measures.threshold)
        else:
            wrong = predicted - truth
            centred = truth - truth.mean()
            columns = [np.ones(self.rows), np.abs(wrong), wrong**2, centred, centred**2]
            if measures.quantile is not None:
                columns.append(np.maximum(-measures.quantile * wrong, (1 - measures.quantile) * wrong))
                self._names.append("pinball")
            if measures.poisson:
                columns.append(_poisson(truth, predicted))
                self._names.append("poisson_deviance")
            self._columns = np.column_stack(columns)

    def values(self, weights: Floats, *, ordered: bool = True) -> dict[str, Floats]:
        """Each metric for weights (b, n): (b,). NaN where it is not defined, as an area is with one class only.

        Without `ordered` those are left out that look at the order of the scores (`ORDERED`), which cost the most.
        """
        sums = weights @ self._columns
        with np.errstate(divide="ignore", invalid="ignore"):
            if not self._classification:
                return dict(zip(self._names, _of_values(sums), strict=True))
            found = self._of_decisions(sums)
            return {**self._of_order(weights), **found} if ordered else found

    def point(self) -> dict[str, float]:
        """Each metric of the rows as they are."""
        return {name: float(value[0]) for name, value in self.values(np.ones((1, self.rows))).items()}

    def _prepare_classes(self, truth: NDArray[np.bool_], probability: Floats, threshold: float) -> None:
        decided = probability >= threshold
        clipped = np.clip(probability, LEAST, 1 - LEAST)
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

    def _of_order(self, weights: Floats) -> dict[str, Floats]:
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
            "calibration_error": off / shown[:, -1],
        }

    def _of_decisions(self, sums: Floats) -> dict[str, Floats]:
        tn, fp, fn, tp, square, log = sums.T
        total = tn + fp + fn + tp
        cost = {} if self._costs is None else {"cost": sums[:, :4] @ np.array(self._costs) / total}
        return {
            "accuracy": (tn + tp) / total,
            "f1": _share(2 * tp, 2 * tp + fp + fn),
            "precision": _share(tp, tp + fp),
            "recall": _share(tp, tp + fn),
            "log_loss": log / total,
            "brier": square / total,
            "false_positive_rate": _share(fp, fp + tn),
            **cost,
        }


def area(weights: Floats, scores: Floats, positive: Floats) -> Floats:
    """The area under the ROC curve for weights (b, n): (b,), of (n,) scores and 1 or 0; NaN with one class only."""
    falling = np.argsort(-scores, kind="stable")
    ordered = scores[falling]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    drawn = weights[:, falling]
    hits = np.add.reduceat(drawn * positive[falling], starts, axis=1)
    misses = np.add.reduceat(drawn, starts, axis=1) - hits
    with np.errstate(divide="ignore", invalid="ignore"):
        # The pairs that are in the right order, ties counted half.
        right = (misses * (np.cumsum(hits, axis=1) - hits / 2)).sum(axis=1)
        return np.asarray(right / (hits.sum(axis=1) * misses.sum(axis=1)))


def _of_values(sums: Floats) -> list[Floats]:
    total, absolute, square, centred, spread, *means = sums.T
    around = spread - centred**2 / total
    explained = np.where(around > 0, 1 - square / np.where(around > 0, around, 1.0), -np.inf)
    return [np.sqrt(square / total), absolute / total, explained, *(mean / total for mean in means)]


def _poisson(truth: Floats, predicted: Floats) -> Floats:
    """Each row's Poisson deviance, as `sklearn.metrics.mean_poisson_deviance` has the mean of it."""
    means = np.maximum(predicted, LEAST)
    seen = np.where(truth > 0, truth, 1.0)
    return np.asarray(2 * (np.where(truth > 0, truth * np.log(seen / means), 0.0) - truth + means))


def _share(part: Floats, whole: Floats) -> Floats:
    """0 where there is nothing to have a share in, as scikit-learn's `zero_division=0`."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0)
