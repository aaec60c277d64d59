"""The metrics that judge a model, by the names that loop.yaml uses, and the curves that people look at.

Definitions are scikit-learn's. Predictions of a classification are the probabilities of the positive class.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.labelled import THRESHOLD as THRESHOLD

Floats = NDArray[np.float64]

CURVE_POINTS = 101
CALIBRATION_BINS = 10


def classification(truth: NDArray[np.bool_], probability: Floats, threshold: float = THRESHOLD) -> dict[str, float]:
    """Every metric of a classification, of (n,) probabilities; those of decisions at the threshold."""
    return {name: one("classification", name, truth, probability, threshold) for name in _CLASSIFICATION}


def regression(truth: Floats, value: Floats) -> dict[str, float]:
    """Every metric of a regression, of (n,) predicted values; rmse and mae in the label's units."""
    return {name: one("regression", name, truth, value) for name in _REGRESSION}


def evaluate(task: str, truth: NDArray[Any], predicted: Floats) -> dict[str, float]:
    """All metrics of a task. `truth` is (n,) booleans for a classification and numbers for a regression."""
    return classification(truth, predicted) if task == "classification" else regression(truth, predicted)


def one(task: str, name: str, truth: NDArray[Any], predicted: Floats, threshold: float = THRESHOLD) -> float:
    """One metric of a task by its name; one of decisions at the threshold."""
    if task == "classification" and name in _DECISIONS:
        return _DECISIONS[name](truth, predicted >= threshold)
    return float((_SCORED if task == "classification" else _REGRESSION)[name](truth, predicted))


def curves(task: str, truth: NDArray[Any], predicted: Floats) -> dict[str, Any]:
    """ROC (at most 101 points) and calibration of a classification; the residuals' quantiles of a regression."""
    if task == "regression":
        shares = np.linspace(0.01, 0.99, 99)
        return {"residuals": {"share": shares.tolist(), "value": np.quantile(predicted - truth, shares).tolist()}}
    from sklearn import metrics

    false_positive, true_positive, _ = metrics.roc_curve(truth, predicted)
    grid = np.linspace(0, 1, CURVE_POINTS)
    return {
        "roc": {"fpr": grid.tolist(), "tpr": np.r_[0.0, np.interp(grid[1:], false_positive, true_positive)].tolist()},
        "calibration": calibration(truth, predicted),
    }


def confusion(truth: NDArray[np.bool_], probability: Floats, threshold: float = THRESHOLD) -> list[list[int]]:
    """[[true negatives, false positives], [false negatives, true positives]] at the threshold."""
    decided = probability >= threshold
    return [
        [int((~truth & ~decided).sum()), int((~truth & decided).sum())],
        [int((truth & ~decided).sum()), int((truth & decided).sum())],
    ]


def _decided(metric: str) -> Callable[[NDArray[np.bool_], NDArray[np.bool_]], float]:
    """A metric of scikit-learn's that takes decisions."""

    def of(truth: NDArray[np.bool_], decided: NDArray[np.bool_]) -> float:
        from sklearn import metrics

        return float(getattr(metrics, metric)(truth, decided, zero_division=0))

    return of


def _scored(metric: str) -> Callable[[NDArray[np.bool_], Floats], float]:
    """A metric of scikit-learn's that takes scores."""

    def of(truth: NDArray[np.bool_], probability: Floats) -> float:
        from sklearn import metrics

        return float(getattr(metrics, metric)(truth, probability))

    return of


def _log_loss(truth: NDArray[np.bool_], probability: Floats) -> float:
    clipped = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.log(np.where(truth, clipped, 1 - clipped)).mean())


def _r2(truth: Floats, value: Floats) -> float:
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1.0 - float(((value - truth) ** 2).sum()) / spread if spread > 0 else float("-inf")


_DECISIONS: Mapping[str, Callable[[NDArray[np.bool_], NDArray[np.bool_]], float]] = {
    "accuracy": lambda truth, decided: float((decided == truth).mean()),
    "f1": _decided("f1_score"),
    "precision": _decided("precision_score"),
    "recall": _decided("recall_score"),
}
_SCORED: Mapping[str, Callable[[NDArray[np.bool_], Floats], float]] = {
    "roc_auc": _scored("roc_auc_score"),
    "average_precision": _scored("average_precision_score"),
    "log_loss": _log_loss,
    "brier": lambda truth, probability: float(np.mean((probability - truth) ** 2)),
}
_CLASSIFICATION = ("roc_auc", "average_precision", *_DECISIONS, "log_loss", "brier")
_REGRESSION: Mapping[str, Callable[[Floats, Floats], float]] = {
    "rmse": lambda truth, value: float(np.sqrt(((value - truth) ** 2).mean())),
    "mae": lambda truth, value: float(np.abs(value - truth).mean()),
    "r2": _r2,
}


def calibration(truth: NDArray[np.bool_], probability: Floats) -> dict[str, list[float]]:
    """Mean prediction, observed share and rows in ten groups of equal size, by rising prediction."""
    groups = np.array_split(np.argsort(probability, kind="stable"), CALIBRATION_BINS)
    groups = [group for group in groups if len(group)]
    return {
        "predicted": [float(probability[group].mean()) for group in groups],
        "observed": [float(truth[group].mean()) for group in groups],
        "count": [len(group) for group in groups],
    }
