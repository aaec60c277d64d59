"""Explanations: how much each feature adds to the raw score of a row.

The raw score is the value, or the log-odds of the positive class. For LightGBM the contributions are TreeSHAP values
(Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees", Nature Machine
Intelligence 2, 56-67), as LightGBM computes them; for a linear model coefficient times prepared value, exactly. Both
add up: base value plus contributions is the raw score.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from loopwright.models.columns import Array, Columns
from loopwright.models.model import Model

Contributions = Callable[[Array], Array]
Explain = Callable[[Columns], list[dict[str, Any]]]


def explainer(model: Model) -> Explain | None:
    """Explains raw columns row by row: `raw_score`, `base_value`, `contributions` by feature; None where it cannot."""
    contribute = contributions(model.estimator, len(model.manifest.features))
    if contribute is None:
        return None
    names = [spec.name for spec in model.manifest.features]

    def explain(columns: Columns) -> list[dict[str, Any]]:
        return [
            {
                "raw_score": sum(row),
                "base_value": row[-1],
                "contributions": dict(zip(names, row[:-1], strict=True)),
            }
            for row in contribute(model.matrix(columns)).tolist()
        ]

    return explain


def contributions(estimator: Any, features: int, *, threads: int = 1) -> Contributions | None:
    """Explains the matrix that an estimator sees: (n, features) to (n, features + 1), the last one the base value."""
    if hasattr(estimator, "model_to_string"):
        return _trees(estimator, threads)
    return _linear(estimator, features)


def _trees(booster: Any, threads: int) -> Contributions | None:
    from lightgbm.basic import LightGBMError

    def contribute(matrix: Array) -> Array:
        return np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=threads), dtype=np.float64)

    try:
        contribute(np.zeros((1, booster.num_feature())))
    except LightGBMError:
        # Trees whose leaves are linear models have no such values.
        return None
    return contribute


def _linear(pipeline: Any, features: int) -> Contributions | None:
    """For a pipeline that ends in a linear model: prepared columns, each belonging to one feature."""
    from sklearn.linear_model import LinearRegression, LogisticRegression

    final = pipeline.named_steps["estimator"]
    if type(final) not in (LinearRegression, LogisticRegression):
        return None
    prepare = pipeline.named_steps["prepare"]
    # A prepared column is named `numbers__x3` or, for the value 2 of a category, `categories__x3_2.0`.
    owners = [int(name.split("__x")[1].split("_")[0]) for name in prepare.get_feature_names_out()]
    weights, base = np.ravel(final.coef_), float(np.ravel(final.intercept_)[0])

    def contribute(matrix: Array) -> Array:
        parts = prepare.transform(matrix) * weights
        summed = np.zeros((len(matrix), features + 1))
        for column, owner in enumerate(owners):
            summed[:, owner] += parts[:, column]
        summed[:, -1] = base
        return summed

    return contribute
