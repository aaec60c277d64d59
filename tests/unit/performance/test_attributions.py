"""Drift of attributions: found where predictions rest on other features, and no more often than the budget says."""

from datetime import timedelta
from types import SimpleNamespace

import lightgbm
import numpy as np
import pytest

from loopwright.durations import Budget
from loopwright.errors import BundleError, DataError
from loopwright.models.attributions import Attributions
from loopwright.models.bundle import ATTRIBUTIONS, Bundle
from loopwright.models.explain import of_model
from loopwright.performance.attributions import LEAST_ROWS, _welch, compare, ndcg

NAMES = ("a", "b", "c", "d")
ONE_IN_TWENTY = {"budget": Budget(1, timedelta(days=20)), "span": timedelta(days=1), "min_change": 0.0}


def draw(rng, n, spread=1.0, run=1):
    """Rows whose `b` spreads so much, in runs of rows that are alike, as of one customer."""
    found = np.repeat(rng.normal(size=(n // run + 1, 4)), run, axis=0)[:n]
    return found * np.array([1.0, spread, 1.0, 1.0])


@pytest.fixture(scope="module")
def model():
    """Leans on `a` most, on `b` and `c`, and not on `d`."""
    rng = np.random.default_rng(1)
    x = draw(rng, 3000)
    data = lightgbm.Dataset(np.column_stack([x[:, :3], np.zeros(len(x))]), x @ [2.0, 1.0, 0.5, 0.0])
    options = {"objective": "regression", "num_leaves": 8, "verbosity": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(options, data, 20)
    features = SimpleNamespace(features=NAMES)
    return SimpleNamespace(estimator=booster, manifest=features, score=booster.predict, reference=None)


@pytest.fixture(scope="module")
def reference(model):
    return Attributions.of(of_model(model), NAMES, draw(np.random.default_rng(2), 3000), seed=1)


def test_a_feature_that_predictions_lean_on_more_is_found_first(model, reference):
    rows = draw(np.random.default_rng(3), 2000, spread=2.0)
    found = compare(
        model, reference, rows, budget=Budget(1, timedelta(days=90)), span=timedelta(days=7), min_change=0.05
    )
    first, *others = found.features
    assert (first.feature, first.drifted) == ("b", True)
    assert first.change > 0.1
    assert first.p_value < 1e-6
    assert not any(one.drifted for one in others)
    assert found.level == 0.05
    assert found.rows == 2000


def test_a_change_that_is_sure_and_small_is_not_worth_a_word(model, reference):
    rows = draw(np.random.default_rng(3), 20_000, spread=1.2)
    options = {"budget": Budget(1, timedelta(days=90)), "span": timedelta(days=1)}
    found = compare(model, reference, rows, **options, min_change=0.2)
    assert found.features[0].p_value < 1e-6
    assert not any(one.drifted for one in found.features)
    assert compare(model, reference, rows, **options, min_change=0.01).features[0].drifted


def test_a_feature_that_is_not_used_is_as_it_was(model, reference):
    found = compare(model, reference, draw(np.random.default_rng(4), LEAST_ROWS), **ONE_IN_TWENTY)
    unused = next(one for one in found.features if one.feature == "d")
    assert (unused.now, unused.reference, unused.p_value, unused.drifted) == (0.0, 0.0, 1.0, False)


def test_few_rows_say_nothing(model, reference):
    with pytest.raises(DataError, match=r"499 predictions in the window; expected at least 500"):
        compare(model, reference, draw(np.random.default_rng(4), LEAST_ROWS - 1), **ONE_IN_TWENTY)


@pytest.mark.long
@pytest.mark.parametrize("run", [1, 20])
def test_no_more_windows_than_the_budget_says_are_taken_for_drift(model, run):
    rng = np.random.default_rng(5)
    windows = 200
    alarms = 0
    for _ in range(windows):
        # The reference is drawn anew too: it is finite, and its own chance belongs to the test.
        reference = Attributions.of(of_model(model), NAMES, draw(rng, 600), seed=1)
        found = compare(model, reference, draw(rng, 1000, run=run), **ONE_IN_TWENTY)
        alarms += any(one.drifted for one in found.features)
    # One in twenty, and three standard deviations of so many windows.
    assert alarms / windows <= 0.05 + 3 * (0.05 * 0.95 / windows) ** 0.5


@pytest.mark.parametrize("rows", [30, 200])
def test_a_reference_of_few_rows_whose_sizes_are_skewed_raises_no_more_alarms(rows):
    rng, alarms, windows = np.random.default_rng(6), 0, 200
    for _ in range(windows):
        held = rng.lognormal(size=(rows, 4))
        reference = Attributions(NAMES, rows, held.mean(axis=0), held.var(axis=0, ddof=1))
        alarms += (_welch(rng.lognormal(size=(1000, 4)), reference) <= 0.05 / 4).any()
    assert alarms / windows <= 0.05


@pytest.mark.long
def test_rows_that_come_in_runs_are_no_independent_rows(model, reference):
    """Runs of 20 are found in the spread of blocks: the same change is less sure than of independent rows."""
    alone, runs = (
        np.median(
            [
                compare(
                    model, reference, draw(np.random.default_rng(seed), 1000, spread=1.3, run=run), **ONE_IN_TWENTY
                ).features[0].p_value
                for seed in range(15)
            ]
        )
        for run in (1, 20)
    )  # fmt: skip
    assert runs > 10 * alone


def test_the_ranking_is_compared_as_clarify_does():
    # By hand: gains 3, 2, 1 in the order 2, 1, 0 over discounts 1, log2(3), 2.
    best = 3 + 2 / np.log2(3) + 1 / 2
    assert ndcg(np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(
        (1 + 2 / np.log2(3) + 3 / 2) / best
    )
    assert ndcg(np.array([3.0, 2.0, 1.0]), np.array([30.0, 2.0, 1.0])) == 1
    assert ndcg(np.zeros(3), np.zeros(3)) == 1


def test_the_reference_is_read_as_it_was_written_and_nothing_else_is(reference, tmp_path):
    def bundle(text):
        return Bundle(tmp_path, None, {} if text is None else {ATTRIBUTIONS: text.encode()}, "")

    read = Attributions.read(bundle(reference.to_json()))
    assert (read.features, read.rows) == (NAMES, reference.rows)
    np.testing.assert_array_equal(read.mean, reference.mean)
    with pytest.raises(BundleError, match="trained without attributions"):
        Attributions.read(bundle(None))
    for wrong in ('{"format": 2}', '{"format": 1}', reference.to_json().replace('"mean": [', '"mean": [1, '), "[]"):
        with pytest.raises(BundleError, match="cannot be used"):
            Attributions.read(bundle(wrong))
