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
    return found.reshape(len(rows), -1)


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (ensemble.RandomForestClassifier(10, random_state=0), TWO),
        (ensemble.RandomForestClassifier(5, random_state=0, class_weight="balanced"), THREE),
        (ensemble.RandomForestRegressor(5, random_state=0), VALUE),
        (ensemble.ExtraTreesClassifier(5, random_state=0), TWO),
        (ensemble.GradientBoostingClassifier(n_estimators=8), TWO),
        (ensemble.GradientBoostingClassifier(n_estimators=5), THREE),
        (ensemble.GradientBoostingRegressor(n_estimators=8, init="zero"), VALUE),
        (ensemble.HistGradientBoostingClassifier(max_iter=5), TWO),
        (ensemble.HistGradientBoostingClassifier(max_iter=5), THREE),
        (ensemble.HistGradientBoostingRegressor(max_iter=5), VALUE),
        (tree.DecisionTreeClassifier(max_depth=1), TWO),
        (tree.DecisionTreeRegressor(max_depth=3), np.ones(300)),
    ],
)
def test_contributions_add_up_to_what_the_estimator_says(estimator, target):
    estimator.fit(X, target)
    found = explained(estimator, X[:50])
    np.testing.assert_allclose(found.sum(axis=2), raw(estimator, X[:50]), rtol=0, atol=1e-12)


def expected(nodes, row, known):
    """What a tree says of a row of which `known` features are known: else both sides, by the rows that went there."""

    def at(node):
        left, right = nodes.left[node], nodes.right[node]
        if left < 0:
            return nodes.value[node]
        if nodes.feature[node] in known:
            return at(left if row[nodes.feature[node]] <= nodes.threshold[node] else right)
        return sum(at(child) * nodes.weight[child] / nodes.weight[node] for child in (left, right))

    return at(0)


@pytest.mark.parametrize("weights", [None, "balanced"])
def test_a_contribution_is_the_shapley_value_itself(weights):
    labels = (X[:, 0] > 0.7).astype(int)
    forest = ensemble.RandomForestClassifier(3, max_depth=4, random_state=2, class_weight=weights).fit(X, labels)
    trees = [one for step in forests.read(forest).trees for one in step]
    rows = X[:6].astype(np.float32).astype(np.float64)
    wanted = np.zeros((len(rows), FEATURES))
    for row, feature in itertools.product(range(len(rows)), range(FEATURES)):
        others = [one for one in range(FEATURES) if one != feature]
        for size in range(FEATURES):
            share = math.factorial(size) * math.factorial(FEATURES - size - 1) / math.factorial(FEATURES)
            for known in map(set, itertools.combinations(others, size)):
                wanted[row, feature] += share * sum(
                    expected(one, rows[row], known | {feature}) - expected(one, rows[row], known) for one in trees
                )
    np.testing.assert_allclose(explained(forest, X[:6])[:, 0, :-1], wanted, rtol=0, atol=1e-7)


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
    two = ensemble.RandomForestRegressor(2).fit(X, np.column_stack([VALUE, VALUE]))
    for estimator in (LinearRegression(), first, coded, two):
        assert forests.read(estimator) is None


def test_a_large_forest_is_said_to_be_slow():
    small = forests.read(ensemble.GradientBoostingRegressor(n_estimators=300, max_leaf_nodes=15).fit(X, VALUE))
    deep = forests.read(ensemble.RandomForestRegressor(100, random_state=0).fit(X, VALUE))
    assert 0.2 < small.slowness < 2 < deep.slowness
