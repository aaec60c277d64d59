"""A fitted scikit-learn pipeline as scores, without what scikit-learn checks and copies again for each call.

`scikit.fit` puts one preparation before every estimator, and preparing one row takes scikit-learn longer than a linear
model or a tree needs for it. The same arithmetic is done here in a few NumPy calls, and the last step of linear models
and forests for one row. Each is used only where it gave bit for bit what scikit-learn gives when the model was loaded,
on rows that are made for it; what is not finite or very large is left to scikit-learn, which refuses it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from loopwright.models.columns import Array, Prediction

Score = Callable[[Array], Array]
_TRIALS = 64
# scikit-learn's trees see float32, and what is larger is refused.
_LARGEST = 1e38


def scores(pipeline: Any, score: Callable[[Any], Score]) -> tuple[Score, Callable[[Sequence[float]], Prediction]]:
    """Scores of a matrix (n, features) and of one row; `score` makes one of a scikit-learn estimator."""
    slow = score(pipeline)
    prepare, rows = _preparation(pipeline.named_steps["prepare"])
    if prepare is None:
        return slow, lambda row: _first(slow(np.array([row], dtype=np.float64)))
    final = pipeline.named_steps["estimator"]
    last = score(final)
    one = _one(final)
    # A forest takes long enough for one row that fewer trials have to do.
    prepared = prepare(rows)[:16]
    if one is None or [one(row[None]) for row in prepared] != [_first(last(row[None])) for row in prepared]:
        one = lambda row: _first(last(row))  # noqa: E731 - stands for the function above

    def many(matrix: Array) -> Array:
        found = prepare(matrix)
        return last(found) if _usual(found) else slow(matrix)

    def single(row: Sequence[float]) -> Prediction:
        matrix = np.array([row], dtype=np.float64)
        found = prepare(matrix)
        return one(found) if _usual(found) else _first(slow(matrix))

    return many, single


def _first(scores: Array) -> Prediction:
    """What is said of the first row: a number, or one for each class."""
    found: Prediction = scores[0].tolist()
    return found


def _usual(prepared: Array) -> bool:
    return bool((np.abs(prepared) < _LARGEST).all())


def _preparation(transformer: Any) -> tuple[Score | None, Array]:
    """The preparation of `scikit.fit` in NumPy, None where it does not agree; and the rows it was tried on."""
    numbers, categories, columns, encoders = [], [], [], []
    scale = fill = center = np.empty(0)
    for name, steps, at in transformer.transformers_:
        if name == "numbers" and len(at):
            numbers, fill = list(at), steps.named_steps["impute"].statistics_
            center, scale = steps.named_steps["scale"].mean_, steps.named_steps["scale"].scale_
        elif name == "categories" and len(at):
            categories, encoders = list(at), steps.named_steps["encode"].categories_
    for at, codes in zip(categories, encoders, strict=True):
        columns += [at] * len(codes)
    values = np.concatenate([*encoders, np.empty(0)])
    count, taken = len(numbers), np.array(numbers + columns, dtype=np.intp)
    filled = np.concatenate([fill, np.full(len(columns), -1.0)])

    def prepare(matrix: Array) -> Array:
        found = matrix[:, taken]
        found = np.where(np.isnan(found), filled, found)
        # The order of memory decides how products of matrices are rounded.
        result = np.empty(found.shape, order=order)
        result[:, :count] = (found[:, :count] - center) / scale
        result[:, count:] = found[:, count:] == values
        return result

    random = np.random.default_rng(0)
    width = len(numbers) + len(categories)
    rows = random.normal(size=(_TRIALS, width)) * 10.0 ** random.integers(-3, 5, (_TRIALS, width))
    for at, codes in zip(categories, encoders, strict=True):
        rows[:, at] = random.integers(0, max(1, len(codes) - 1), _TRIALS)
    rows[random.random(rows.shape) < 0.1] = np.nan
    expected = transformer.transform(rows)
    order: Literal["C", "F"] = "C" if expected.flags.c_contiguous else "F"
    return (prepare if np.array_equal(prepare(rows), expected) else None), rows


def _one(final: Any) -> Callable[[Array], Prediction] | None:
    """The score of one prepared row (1, columns); None for an estimator that it is not known for."""
    from scipy.special import expit
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression

    if len(getattr(final, "classes_", ())) > 2:
        return None
    if type(final) in (LogisticRegression, LinearRegression):
        weights, intercept, logistic = final.coef_.T, final.intercept_, type(final) is LogisticRegression

        def linear(row: Array) -> float:
            value = row @ weights + intercept
            return float((expit(value) if logistic else value).item())

        return linear
    if type(final) in (RandomForestClassifier, RandomForestRegressor):
        trees = [one.tree_ for one in final.estimators_]

        def forest(row: Array) -> float:
            # Forests see float32; each tree gives the values of every class, or one value.
            row, total = row.astype(np.float32), np.zeros(1)
            for tree in trees:
                total += tree.predict(row).reshape(-1)[-1:]
            return float(total[0] / len(trees))

        return forest
    return None
