"""The metrics of a classification into more than two classes: of one model on one set of rows, for many weightings.

What `weighted` does for two classes is done here for more: every metric is a function of weighted sums, or, of what
looks at the order of probabilities, of one class against the rest at a time. Definitions are scikit-learn's: `f1_macro`
and `balanced_accuracy` are means over the classes, `roc_auc_ovr` is the mean area of each class against the rest, and
the Brier score sums over the classes, so that it goes up to 2. The most probable class is decided, of equal ones the
first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics import shares
from loopwright.statistics.metrics import CURVE_POINTS, calibration
from loopwright.statistics.shares import Count
from loopwright.statistics.weighted import GROUPS, LEAST, Floats, Measures, Weighing, Weighted, area

Codes = NDArray[np.intp]


def weigh(measures: Measures, truth: NDArray[Any], predicted: Floats) -> Weighing:
    """The metrics of predictions, by the task and the number of classes."""
    return Several(measures, truth, predicted) if measures.classes > 2 else Weighted(measures, truth, predicted)


def top(predicted: Floats) -> tuple[Floats, Codes]:
    """The probability of the decided class of each row, and which it is, of probabilities (n, classes).

    A row with a probability that is no number has none: NaN, and -1.
    """
    known = np.isfinite(predicted).all(axis=1)
    places = np.where(known, np.argmax(predicted, axis=1), -1).astype(np.intp)
    return np.where(known, predicted[np.arange(len(predicted)), places], np.nan), places


def counts(measures: Measures, truth: NDArray[Any], predicted: Floats, groups: Codes | None) -> dict[str, Count]:
    """Of how many rows, or entities, each share is; empty of a regression, which has none.

    A mean over the classes is as sure as they are together: of k classes each has 1/k of the weight, the rarest too.
    Macro F1 goes by the same counts: a wrong row takes half an error from its own class and half from the one that it
    is taken for, so that it is off no farther.
    """
    if measures.task != "classification":
        return {}
    if measures.classes == 2:
        return {**shares.denominators(truth, predicted >= measures.threshold, groups)}
    each = tuple(shares.units(truth == place, groups) for place in range(measures.classes))
    every = shares.units(np.ones(len(truth), dtype=bool), groups)
    return {"accuracy": every, "balanced_accuracy": each, "f1_macro": each}


class Several:
    """The metrics of probabilities (n, classes), given the classes' places, (n,)."""

    def __init__(self, measures: Measures, truth: NDArray[Any], predicted: Floats) -> None:
        self.rows, self._classes = len(truth), measures.classes
        own = truth.astype(np.intp)
        chosen, decided = top(predicted)
        hot = np.eye(self._classes)
        true, said = hot[own], hot[decided] * (decided >= 0)[:, None]
        right = np.clip(predicted[np.arange(self.rows), own], LEAST, 1 - LEAST)
        losses = np.column_stack([-np.log(right), ((predicted - true) ** 2).sum(axis=1)])
        self._columns = np.concatenate([true * said, said, true, losses], axis=1)
        self._predicted, self._true = predicted, true
        self._falling = np.argsort(-chosen, kind="stable")
        self._off = (chosen - (own == decided))[self._falling]
        self._groups = np.unique(np.linspace(0, self.rows, GROUPS, endpoint=False).astype(np.intp))

    def values(self, weights: Floats, *, ordered: bool = True) -> dict[str, Floats]:
        """Each metric for weights (b, n): (b,). NaN where it is not defined, as an area is without one of the classes.

        Without `ordered` those are left out that look at the order of probabilities.
        """
        sums = weights @ self._columns
        k = self._classes
        hits, said, true = (sums[:, at * k : (at + 1) * k] for at in range(3))
        total = true.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {
                "accuracy": hits.sum(axis=1) / total,
                "balanced_accuracy": _mean(hits, true),
                "f1_macro": _mean(2 * hits, said + true),
                "log_loss": sums[:, -2] / total,
                "brier": sums[:, -1] / total,
            }
            return {**self._of_order(weights), **found} if ordered else found

    def point(self) -> dict[str, float]:
        """Each metric of the rows as they are."""
        return {name: float(value[0]) for name, value in self.values(np.ones((1, self.rows))).items()}

    def _of_order(self, weights: Floats) -> dict[str, Floats]:
        areas = [area(weights, self._predicted[:, place], self._true[:, place]) for place in range(self._classes)]
        off = np.abs(np.add.reduceat(weights[:, self._falling] * self._off, self._groups, axis=1)).sum(axis=1)
        return {"roc_auc_ovr": np.mean(areas, axis=0), "calibration_error": off / weights.sum(axis=1)}


def _mean(parts: Floats, wholes: Floats) -> Floats:
    """The mean over the classes of a share, (b,), of those classes that have one."""
    known = wholes > 0
    return np.asarray(np.where(known, parts / np.where(known, wholes, 1.0), 0.0).sum(axis=1) / known.sum(axis=1))


def confusion(truth: NDArray[Any], predicted: Floats) -> list[list[int]]:
    """How often each class, a line each, was decided to be each."""
    k = predicted.shape[1]
    _, decided = top(predicted)
    cells = truth.astype(np.intp) * k + decided
    return [[int(n) for n in line] for line in np.bincount(cells, minlength=k * k).reshape(k, k)]


def curves(truth: NDArray[Any], predicted: Floats) -> dict[str, Any]:
    """ROC, the mean of each class against the rest; and calibration: how often a decided class was right."""
    from sklearn import metrics

    grid = np.linspace(0, 1, CURVE_POINTS)
    found = []
    for place in range(predicted.shape[1]):
        false_positive, true_positive, _ = metrics.roc_curve(truth == place, predicted[:, place])
        found.append(np.r_[0.0, np.interp(grid[1:], false_positive, true_positive)])
    chosen, decided = top(predicted)
    return {
        "roc": {"fpr": grid.tolist(), "tpr": np.mean(found, axis=0).tolist()},
        "calibration": calibration(decided == truth, chosen),
    }


def by_class(truth: NDArray[Any], predicted: Floats, classes: Sequence[Any]) -> list[dict[str, Any]]:
    """Each class against the rest, as JSON: rows, precision, recall, f1 and roc_auc."""
    table = np.array(confusion(truth, predicted), dtype=np.float64)
    hits, said, true = table.diagonal(), table.sum(axis=0), table.sum(axis=1)
    one = np.ones((1, len(truth)))
    return [
        {
            "class": str(name),
            "rows": int(true[place]),
            "precision": float(hits[place] / said[place]) if said[place] else 0.0,
            "recall": float(hits[place] / true[place]) if true[place] else 0.0,
            "f1": float(2 * hits[place] / (said[place] + true[place])) if said[place] + true[place] else 0.0,
            "roc_auc": float(area(one, predicted[:, place], (truth == place).astype(np.float64))[0]),
        }
        for place, name in enumerate(classes)
    ]
