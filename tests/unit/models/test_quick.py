import numpy as np
import pytest

from loopwright.models import quick, trees

ROWS, WIDTH = 3000, 7


def _rows(seed=4):
    """Numbers of several sizes, one with many zeros, two categories, a feature of little use, missing values."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(ROWS, WIDTH)) * 10.0 ** random.integers(-3, 4, WIDTH)
    rows[:, 2] = random.integers(0, 40, ROWS)
    rows[:, 3] = random.integers(0, 3, ROWS)
    rows[random.random(ROWS) < 0.5, 4] = 0.0
    rows[:, 5] = random.exponential(size=ROWS) ** 5
    rows[random.random(rows.shape) < 0.1] = np.nan
    return rows


def _train(objective="binary", *, trees=20, categories=(2, 3), **parameters):
    import lightgbm

    rows, random = _rows(), np.random.default_rng(5)
    score = np.nan_to_num(rows[:, 0]) / np.nanstd(rows[:, 0]) + (rows[:, 2] % 3 == 1) + random.normal(size=ROWS)
    target = {"binary": (score > 0.5).astype(float), "poisson": np.abs(score)}.get(objective, score)
    every = {"objective": objective, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5, **parameters}
    data = lightgbm.Dataset(rows, target, categorical_feature=list(categories), params=every)
    return lightgbm.Booster(model_str=lightgbm.train(every, data, trees).model_to_string())


def _quick(booster):
    return quick.Quick(trees.parse(booster.model_to_string()))


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "binary"},
        {"objective": "binary", "sigmoid": 0.7},
        {"objective": "regression"},
        {"objective": "poisson"},
        {"objective": "quantile"},
        {"objective": "regression", "zero_as_missing": True},
        {"objective": "regression", "use_missing": False},
        {"objective": "binary", "boosting": "dart"},
        {"objective": "regression", "num_leaves": 2},
        {"objective": "regression", "num_leaves": 33},
        {"objective": "binary", "num_leaves": 100, "trees": 5},
        {"objective": "binary", "num_leaves": 7, "trees": 200},
    ],
    ids=str,
)
def test_predictions_are_lightgbms_at_every_leaf_and_on_both_sides_of_every_threshold(parameters):
    booster = _train(**parameters)
    made = _quick(booster)
    for rows in (_rows(9), made.trials(np.random.default_rng(1))):
        expected = booster.predict(rows, num_threads=1)
        np.testing.assert_allclose(made(rows), expected, rtol=1e-12, atol=1e-12)
        if parameters["objective"] != "poisson":
            # Of the others not even the last bit differs: leaves are added up in LightGBM's order.
            assert made(rows).tolist() == expected.tolist()


def test_the_rows_of_a_comparison_reach_every_leaf_of_every_tree():
    booster = _train(num_leaves=40)
    forest = trees.parse(booster.model_to_string())
    reached = booster.predict(quick.Quick(forest).trials(np.random.default_rng(1)), pred_leaf=True)
    assert [len(set(column)) for column in reached.T.tolist()] == [len(tree.leaves) for tree in forest.trees]


def test_the_rows_of_a_comparison_have_missing_values_and_categories_that_no_tree_knows():
    booster = _train()
    rows = _quick(booster).trials(np.random.default_rng(1))
    assert np.isnan(rows).any(axis=0)[[0, 1, 2, 3, 4, 5]].all()
    assert (rows[:, 2] > 39).any()
    assert (rows[:, 2] < 0).any()
    assert np.isinf(rows).any()


@pytest.mark.parametrize("count", [0, 1, 2, 1201, 2999])
def test_any_number_of_rows_is_predicted(count):
    booster, rows = _train(), _rows(9)[:count]
    assert _quick(booster)(rows).tolist() == (booster.predict(rows, num_threads=1).tolist() if count else [])


def test_a_tree_that_does_not_split_counts_too():
    forest = trees.parse(_train("regression").model_to_string())
    constant = trees.Tree([], [], [], [], [], np.array([0.25]), [])
    found = quick.Quick(forest._replace(trees=[*forest.trees, constant]))(_rows())
    assert found.tolist() == (quick.Quick(forest)(_rows()) + 0.25).tolist()


def test_features_beyond_any_number_and_thresholds_close_together_are_told_apart():
    import lightgbm

    random = np.random.default_rng(3)
    rows = np.stack([1e300 * random.normal(size=ROWS), 1.0 + 1e-15 * random.integers(0, 9, ROWS)], axis=1)
    data = lightgbm.Dataset(rows, rows[:, 0] / 1e300 + 1e15 * (rows[:, 1] - 1), params={"min_data_in_bin": 1})
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1}, data, 10)
    assert _quick(booster)(rows).tolist() == booster.predict(rows, num_threads=1).tolist()


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"objective": "regression", "linear_tree": True, "categories": ()}, "linear"),
        ({"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "average"),
        ({"objective": "regression", "reg_sqrt": True}, "objective is regression sqrt"),
        ({"objective": "regression", "min_gain_to_split": 1e9}, "splits on nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_model_of_another_kind_is_refused(parameters, why):
    with pytest.raises(trees.UnknownTreesError, match=why):
        _quick(_train(**parameters))


def test_tables_that_would_take_too_much_memory_are_not_made(monkeypatch):
    monkeypatch.setattr(quick, "_LARGEST_TABLES", 1000)
    with pytest.raises(trees.UnknownTreesError, match="its tables would take"):
        _quick(_train())
