"""Explanations: how much each feature adds to the raw score of a row.

The raw score is the value, or the log-odds of the positive class. More than two classes have one each, and their
probabilities are the softmax of them. For LightGBM the contributions are TreeSHAP values
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
    """Explains raw columns row by row: `raw_score`, `base_value`, `contributions` by feature; None where it cannot.

    Of more than two classes a row has these three for each, in `classes` by name.
    """
    contribute = contributions(model.estimator, len(model.manifest.features))
    if contribute is None:
        return None
    names, classes = [spec.name for spec in model.manifest.features], [str(one) for one in model.classes]

    def one(row: list[float]) -> dict[str, Any]:
        return {
            "raw_score": sum(row),
            "base_value": row[-1],
            "contributions": dict(zip(names, row[:-1], strict=True)),
        }

    def explain(columns: Columns) -> list[dict[str, Any]]:
        found = contribute(model.matrix(columns)).tolist()
        if len(classes) <= 2:
            return [one(row) for row in found]
        return [{"classes": dict(zip(classes, map(one, row), strict=True))} for row in found]

    return explain


def contributions(estimator: Any, features: int, *, threads: int = 1) -> Contributions | None:
    """Explains the matrix that an estimator sees: (n, features) to (n, features + 1), the last one the base value.

    Of more than two classes it is (n, classes, features + 1).
    """
    if hasattr(estimator, "model_to_string"):
        return _trees(estimator, threads)
    return _linear(estimator, features)


def sizes(contributed: Array) -> Array:
    """How much each feature moves each row's prediction, (n, features): the contributions' sizes, of all classes."""
    found = np.abs(contributed[..., :-1])
    return found if found.ndim == 2 else np.asarray(found.sum(axis=1))


def _trees(booster: Any, threads: int) -> Contributions | None:
    from lightgbm.basic import LightGBMError

    classes = booster.num_model_per_iteration()

    def contribute(matrix: Array) -> Array:
        found = np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=threads), dtype=np.float64)
        return found if classes == 1 else found.reshape(len(matrix), classes, -1)

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
    # A line of weights for each of more than two classes, and one for two.
    lines = list(zip(np.atleast_2d(final.coef_), np.ravel(final.intercept_), strict=True))

    def contribute(matrix: Array) -> Array:
        prepared = prepare.transform(matrix)
        summed = np.zeros((len(matrix), len(lines), features + 1))
        for number, (weights, base) in enumerate(lines):
            parts = prepared * weights
            for column, owner in enumerate(owners):
                summed[:, number, owner] += parts[:, column]
            summed[:, number, -1] = base
        return summed[:, 0] if len(lines) == 1 else summed

    return contribute
