"""The metrics that judge a model, by the names that loop.yaml uses, and the curves that people look at.

Definitions are scikit-learn's. Predictions of a classification are the probabilities of the positive class.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

THRESHOLD = 0.5
CURVE_POINTS = 101
CALIBRATION_BINS = 10


def classification(truth: NDArray[np.bool_], probability: Floats) -> dict[str, float]:
    """roc_auc, average_precision, accuracy, f1, precision, recall, log_loss and brier of (n,) probabilities."""
    from sklearn import metrics

    decided = probability >= THRESHOLD
    return {
        "roc_auc": float(metrics.roc_auc_score(truth, probability)),
        "average_precision": float(metrics.average_precision_score(truth, probability)),
        "accuracy": float((decided == truth).mean()),
        "f1": float(metrics.f1_score(truth, decided, zero_division=0)),
        "precision": float(metrics.precision_score(truth, decided, zero_division=0)),
        "recall": float(metrics.recall_score(truth, decided, zero_division=0)),
        "log_loss": float(metrics.log_loss(truth, np.clip(probability, 1e-15, 1 - 1e-15), labels=[False, True])),
        "brier": float(np.mean((probability - truth) ** 2)),
    }


def regression(truth: Floats, value: Floats) -> dict[str, float]:
    """rmse, mae and r2 of (n,) predicted values, in the label's units."""
    residual = value - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    return {
        "rmse": float(np.sqrt((residual**2).mean())),
        "mae": float(np.abs(residual).mean()),
        "r2": 1.0 - float((residual**2).sum()) / spread if spread > 0 else float("-inf"),
    }


def evaluate(task: str, truth: NDArray[Any], predicted: Floats) -> dict[str, float]:
    """All metrics of a task. `truth` is (n,) booleans for a classification and numbers for a regression."""
    return classification(truth, predicted) if task == "classification" else regression(truth, predicted)


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
        "calibration": _calibration(truth, predicted),
    }


def confusion(truth: NDArray[np.bool_], probability: Floats) -> list[list[int]]:
    """[[true negatives, false positives], [false negatives, true positives]] at the threshold 0.5."""
    decided = probability >= THRESHOLD
    return [
        [int((~truth & ~decided).sum()), int((~truth & decided).sum())],
        [int((truth & ~decided).sum()), int((truth & decided).sum())],
    ]


def _calibration(truth: NDArray[np.bool_], probability: Floats) -> dict[str, list[float]]:
    """Mean prediction, observed share and rows in ten groups of equal size, by rising prediction."""
    groups = np.array_split(np.argsort(probability, kind="stable"), CALIBRATION_BINS)
    groups = [group for group in groups if len(group)]
    return {
        "predicted": [float(probability[group].mean()) for group in groups],
        "observed": [float(truth[group].mean()) for group in groups],
        "count": [len(group) for group in groups],
    }
