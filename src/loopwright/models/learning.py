"""The learning curve: how good the estimator is with fewer rows, which says whether more rows would make it better.

Each fold of the training rows is left out in turn, and growing parts of the others are trained on, each holding the one
before it. The holdout has no part in it. Where the two curves, of rows left out and of those trained on, have met, more
rows help little; where they are apart and the one of rows left out still rises, more rows are worth having.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from loopwright.errors import DataError
from loopwright.models.columns import Array

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)
"""Of the rows that are not left out."""
FOLDS = 3
Judge = Callable[[Array, Array], tuple[float, float]]
"""Trains on the rows of the first mask, and gives the metric on those of the second and on the first's own."""


def curve(metric: str, folds: Array, seed: int, judge: Judge) -> dict[str, Any]:
    """`metric`, and in each of `points` its mean on rows left out and on those trained on, by the number of these.

    `error` is the standard error over the folds; `folds` is each row's part. A share with too few rows to be trained
    on, as of a class that it does not have, is left out.
    """
    place = np.random.default_rng(seed).permutation(len(folds)) / len(folds)
    points = []
    for share in SHARES:
        found, rows = [], []
        for fold in np.unique(folds):
            training = (folds != fold) & (place < share)
            try:
                found.append(judge(training, folds == fold))
            except DataError:
                break
            rows.append(int(training.sum()))
        if len(found) < len(np.unique(folds)) or not np.isfinite(found).all():
            continue
        left_out, trained_on = np.array(found).T
        points.append(
            {
                "rows": round(float(np.mean(rows))),
                "left_out": float(left_out.mean()),
                "error": float(left_out.std(ddof=1) / math.sqrt(len(left_out))),
                "training": float(trained_on.mean()),
            }
        )
    return {"metric": metric, "points": points}
