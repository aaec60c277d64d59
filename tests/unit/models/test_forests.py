"""scikit-learn's trees, explained by LightGBM's TreeSHAP: exact, by the definition of the Shapley value."""

import itertools
import math

import lightgbm
import numpy as np
import pytest
from sklearn import datasets, ensemble, tree

from loopwright.models import forests

FEATURES = 4
X, TWO = datasets.make_classification(300, FEATURES, n_informative=3, n_redundant=0, random_state=1)
THREE = np.digitize(X[:, 0] + X[:, 1], [-1, 1])
VALUE = 3 * X[:, 0] + X[:, 1] ** 2


def explained(estimator, rows):
    """(n, scores, features + 1), with what the forest begins with in the base value."""
    forest = forests.read(estimator)
    rows = rows.astype(np.float32).astype(np.float64) if forest.single else rows
    booster = lightgbm.Booster(model_str=forests.text(forest, FEATURES))
    found = booster.predict(rows, pred_contrib=True, num_threads=1).reshape(len(rows), len(forest.begin), -1)
    found[:, :, -1] += forest.begin
    return found


def raw(estimator, rows):
    if hasattr(estimator, "decision_function"):
        found = estimator.decision_function(rows)
    elif hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(rows)
        found = found[:, 1] if found.shape[1] == 2 else found
    else:
        found = estimator.predict(rows)
        found = np.log(found) if getattr(estimator, "loss", None) == "poisson" else found
    return found.reshape(len(rows), -1)


def expected(nodes, row, known):
    """What a tree says of a row of which `known` features are known: else both sides, by the rows that went there."""

    def at(node):
        left, right, feature = nodes.left[node], nodes.right[node], nodes.feature[node]
        if left < 0:
            return nodes.value[node]
        if feature in known:
            lower = bool(nodes.missing_left[node]) if np.isnan(row[feature]) else row[feature] <= nodes.threshold[node]
            return at(left if lower else right)
        return np.average([at(left), at(right)], weights=[nodes.weight[left], nodes.weight[right]])

    return at(0)


def shapley(forest, rows):
    """The Shapley values of the rows by their definition, (n, scores, features + 1), as `explained` has them."""
    rows = rows.astype(np.float32).astype(np.float64) if forest.single else rows
    found = np.zeros((len(rows), len(forest.begin), FEATURES + 1))
    for (at, row), score in itertools.product(enumerate(rows), range(len(forest.begin))):
        values = {
            known: sum(expected(step[score], row, known) for step in forest.trees)
            for size in range(FEATURES + 1)
            for known in map(frozenset, itertools.combinations(range(FEATURES), size))
        }
        found[at, score, -1] = values[frozenset()] + forest.begin[score]
        for known, feature in itertools.product(values, range(FEATURES)):
            if feature not in known:
                share = math.factorial(len(known)) * math.factorial(FEATURES - len(known) - 1)
                change = values[known | {feature}] - values[known]
                found[at, score, feature] += share / math.factorial(FEATURES) * change
    return found


HOLES = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
DEEP = {"max_depth": 5, "random_state": 0}


@pytest.mark.parametrize(
    ("estimator", "matrix", "target"),
    [
        (ensemble.RandomForestClassifier(4, **DEEP), X, TWO),
        (ensemble.RandomForestClassifier(3, **DEEP, class_weight="balanced"), X, THREE),
        (ensemble.RandomForestClassifier(3, **DEEP, class_weight="balanced_subsample"), HOLES, X[:, 0] > 0.7),
        (ensemble.RandomForestRegressor(3, **DEEP), HOLES, VALUE),
        (ensemble.ExtraTreesClassifier(3, **DEEP), HOLES, TWO),
        (ensemble.ExtraTreesRegressor(3, **DEEP), X, VALUE),
        (ensemble.GradientBoostingClassifier(n_estimators=4), X, TWO),
        (ensemble.GradientBoostingClassifier(n_estimators=3), X, THREE),
        (ensemble.GradientBoostingClassifier(n_estimators=4, loss="exponential"), X, TWO),
        (ensemble.GradientBoostingRegressor(n_estimators=4, init="zero"), X, VALUE),
        (ensemble.HistGradientBoostingClassifier(max_iter=3, max_depth=4), HOLES, TWO),
        (ensemble.HistGradientBoostingClassifier(max_iter=2, max_depth=4), HOLES, THREE),
        (ensemble.HistGradientBoostingRegressor(max_iter=3, max_depth=4), HOLES, VALUE),
        (ensemble.HistGradientBoostingRegressor(max_iter=3, max_depth=4, loss="poisson"), X, np.abs(VALUE)),
        (tree.DecisionTreeClassifier(max_depth=1), X, TWO),
        (tree.DecisionTreeRegressor(max_depth=3), X, np.ones(300)),
        (tree.ExtraTreeClassifier(**DEEP), X, THREE),
        (tree.ExtraTreeRegressor(**DEEP), HOLES, VALUE),
    ],
)
def test_contributions_are_the_shapley_values_and_add_up_to_what_the_estimator_says(estimator, matrix, target):
    estimator.fit(matrix, target)
    found = explained(estimator, matrix[:30])
    np.testing.assert_allclose(found.sum(axis=2), raw(estimator, matrix[:30]), rtol=0, atol=1e-12)
    # Weights that are no whole numbers are rounded to one in 2^30.
    np.testing.assert_allclose(found[:3], shapley(forests.read(estimator), matrix[:3]), rtol=0, atol=1e-7)


def test_missing_values_go_the_way_that_the_tree_learnt():
    holes = X.copy()
    holes[::3, 0] = np.nan
    for kind in (ensemble.HistGradientBoostingRegressor(max_iter=5), tree.DecisionTreeRegressor(max_depth=4)):
        kind.fit(holes, VALUE)
        np.testing.assert_allclose(explained(kind, holes).sum(axis=2)[:, 0], kind.predict(holes), rtol=0, atol=1e-12)


def test_what_is_no_forest_or_has_more_than_trees_is_not_read():
    from sklearn.linear_model import LinearRegression

    first = ensemble.GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(X, VALUE)
    coded = ensemble.HistGradientBoostingRegressor(categorical_features=[0], max_iter=2)
    coded.fit(np.column_stack([X[:, 0] > 0, X[:, 1:]]), VALUE)
    # No tree splits on the category here, and still the columns are not in their own order.
    unused = ensemble.HistGradientBoostingRegressor(categorical_features=[3], max_iter=3, max_depth=2)
    unused.fit(np.column_stack([X[:, :3], np.arange(300) % 2]), 3 * X[:, 0] + X[:, 1])
    assert not any(one.nodes["is_categorical"].any() for step in unused._predictors for one in step)
    two = ensemble.RandomForestRegressor(2).fit(X, np.column_stack([VALUE, VALUE]))
    for estimator in (LinearRegression(), first, coded, unused, two):
        assert forests.read(estimator) is None


def test_a_large_forest_is_said_to_be_slow():
    small = forests.read(ensemble.GradientBoostingRegressor(n_estimators=300, max_leaf_nodes=15).fit(X, VALUE))
    deep = forests.read(ensemble.RandomForestRegressor(100, random_state=0).fit(X, VALUE))
    assert 0.2 < small.slowness < 2 < deep.slowness
