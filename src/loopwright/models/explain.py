"""Explanations: how much each feature adds to the raw score of a row.

For LightGBM the raw score is the value, or the log-odds of the positive class; more than two classes have one each, and
their probabilities are the softmax of them. Contributions are TreeSHAP values (Lundberg et al. 2020, "From local
explanations to global understanding with explainable AI for trees", Nature Machine Intelligence 2, 56-67), as LightGBM
computes them, also for scikit-learn's trees (`forests`); for a linear model coefficient times prepared value, exactly.
What is none of these is explained by sampled Shapley values of its predictions (`sampled`). All add up: base value plus
contributions is the raw score, which for forests and what is sampled is the probability, or the value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from loopwright.models import forests, sampled
from loopwright.models.columns import Array, Columns
from loopwright.models.model import Model

Explain = Callable[[Columns], list[dict[str, Any]]]
Method = Literal["TreeSHAP", "linear", "sampled"]


@dataclass(frozen=True)
class Contributions:
    """Explains the matrix that an estimator sees: (n, features) to (n, features + 1), the last one the base value.

    Of more than two classes it is (n, classes, features + 1).
    """

    contribute: Callable[[Array], Array]
    method: Method
    slowness: float = 1.0
    """About how many times as long a row takes as with 300 trees of 15 leaves, which is 0.6 ms."""

    def __call__(self, matrix: Array) -> Array:
        return self.contribute(matrix)

    def affordable(self, rows: int, least: int) -> int:
        """How many rows take about as long as `rows` of a usual model do, and not fewer than `least`."""
        return min(rows, max(least, int(rows / max(1.0, self.slowness))))


def explainer(model: Model) -> Explain | None:
    """Explains raw columns row by row: `raw_score`, `base_value`, `contributions` by feature; None where it cannot.

    Of more than two classes a row has these three for each, in `classes` by name.
    """
    contribute = of_model(model)
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


def of_model(model: Model, *, threads: int = 1) -> Contributions | None:
    """The contributions of a loaded model; None for one whose bundle has no reference row and would need it."""
    features = len(model.manifest.features)
    return contributions(model.estimator, features, model.score, model.reference, threads=threads)


def contributions(
    estimator: Any, features: int, score: Callable[[Array], Array], reference: Array | None, *, threads: int = 1
) -> Contributions | None:
    """The contributions of an estimator, by the best way that it has; None where `reference` is needed and not there.

    `score` is what it predicts of a matrix before a calibration, `reference` the row of `sampled.reference`.
    """
    booster = hasattr(estimator, "model_to_string")
    found = _trees(estimator, threads) if booster else _linear(estimator, features) or _forest(estimator, threads)
    if found is None and reference is not None:
        # Of about as many predictions as a step in every order needs. What one takes is not known, and not measured, as
        # a bundle may not depend on a clock: it is taken for the 350 us of nearest neighbours among 20,000 rows.
        slowness = 2 * sampled.PAIRS * features * 350e-6 / 0.6e-3
        found = Contributions(lambda matrix: sampled.contribute(score, reference, matrix), "sampled", slowness)
    return found


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
    return Contributions(contribute, "TreeSHAP")


def _linear(pipeline: Any, features: int) -> Contributions | None:
    """For a pipeline that ends in a linear model: prepared columns, each belonging to one feature."""
    from sklearn.linear_model import LinearRegression, LogisticRegression

    final = pipeline.named_steps["estimator"]
    if type(final) not in (LinearRegression, LogisticRegression):
        return None
    prepare, owners = pipeline.named_steps["prepare"], _owners(pipeline)
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

    return Contributions(contribute, "linear")


def _owners(pipeline: Any) -> list[int]:
    """The feature of each prepared column: one is named `numbers__x3` or, for a category, `categories__x3_2.0`."""
    names = pipeline.named_steps["prepare"].get_feature_names_out()
    return [int(name.split("__x")[1].split("_")[0]) for name in names]


def _forest(pipeline: Any, threads: int) -> Contributions | None:
    """For a pipeline that ends in scikit-learn's trees; a category has the sum of its prepared columns."""
    forest = forests.read(pipeline.named_steps["estimator"])
    if forest is None:
        return None
    shap = _Forest(pipeline, forest, threads)
    return Contributions(shap.contribute, "TreeSHAP", forest.slowness)


class _Forest:
    """LightGBM's copy of a forest is made when the first row is asked about: it takes half a second of a large one."""

    def __init__(self, pipeline: Any, forest: forests.Forest, threads: int) -> None:
        self._prepare, self._owners = pipeline.named_steps["prepare"], _owners(pipeline)
        self._features = pipeline.named_steps["prepare"].n_features_in_
        self._forest, self._threads = forest, threads

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=forests.text(self._forest, len(self._owners)))

    def contribute(self, matrix: Array) -> Array:
        """Contributions of the rows of a matrix, as `Contributions` has them."""
        prepared, scores = self._prepare.transform(matrix), len(self._forest.begin)
        if self._forest.single:
            prepared = prepared.astype(np.float32).astype(np.float64)
        found = self._booster.predict(prepared, pred_contrib=True, num_threads=self._threads)
        each = np.asarray(found, dtype=np.float64).reshape(len(matrix), scores, -1)
        summed = np.zeros((len(matrix), scores, self._features + 1))
        for column, owner in enumerate(self._owners):
            summed[:, :, owner] += each[:, :, column]
        summed[:, :, -1] = each[:, :, -1] + self._forest.begin
        return summed[:, 0] if scores == 1 else summed
