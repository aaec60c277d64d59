import numpy as np
import pytest

from loopwright.statistics import bootstrap, metrics
from loopwright.statistics.weighted import Measures, Weighted


@pytest.fixture(scope="module")
def scored() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    truth = random.random(400) < 0.3
    # Rounded, so that many scores are equal.
    return truth, np.clip(np.round(0.3 + 0.3 * truth + random.normal(0, 0.25, 400), 2), 0, 1)


def test_weights_of_one_give_scikit_learns_metrics(scored):
    truth, probability = scored
    expected = metrics.classification(truth, probability)
    found = Weighted(Measures("classification"), truth, probability).point()
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    values = np.random.default_rng(0).normal(size=400)
    expected = metrics.regression(values, values + probability)
    assert Weighted(Measures("regression"), values, values + probability).point() == pytest.approx(expected, abs=1e-12)


def test_a_weight_is_how_often_a_row_is_there(scored):
    truth, probability = scored
    weights = np.random.default_rng(1).integers(0, 4, len(truth))
    rows = np.repeat(np.arange(len(truth)), weights)
    found = Weighted(Measures("classification"), truth, probability).values(weights[None].astype(float))
    expected = metrics.classification(truth[rows], probability[rows])
    assert {name: found[name][0] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_what_is_not_defined_is_no_number_and_a_share_of_nothing_is_none():
    found = Weighted(Measures("classification"), np.zeros(5, dtype=bool), np.full(5, 0.2)).point()
    assert np.isnan(found["roc_auc"])
    assert (found["precision"], found["false_positive_rate"]) == (0, 0)
    assert Weighted(Measures("regression"), np.ones(3), np.zeros(3)).point()["r2"] == -np.inf


def test_the_calibration_error_is_what_groups_are_off_by():
    truth = np.arange(1000) % 4 == 0
    assert Weighted(Measures("classification"), truth, np.full(1000, 0.35)).point()["calibration_error"] == (
        pytest.approx(0.1)
    )


def test_the_standard_error_is_that_of_theory_and_repeatable(scored):
    truth, probability = scored
    model = Weighted(Measures("classification"), truth, probability)
    (draws,) = bootstrap.replicates([model], None, seed=3)
    accuracy = model.point()["accuracy"]
    assert bootstrap.error(draws["accuracy"]) == pytest.approx((accuracy * (1 - accuracy) / 400) ** 0.5, rel=0.12)
    low, high = bootstrap.interval(draws["roc_auc"])
    assert low < model.point()["roc_auc"] < high
    (again,) = bootstrap.replicates([model], None, seed=3, ordered=False)
    assert np.array_equal(draws["f1"], again["f1"])
    assert "roc_auc" not in again


def test_rows_of_one_entity_are_one_piece_of_evidence(scored):
    truth, probability = scored
    four = Weighted(Measures("classification"), np.repeat(truth, 4), np.repeat(probability, 4))
    groups = bootstrap.codes(np.repeat(np.arange(400), 4))
    clustered = bootstrap.error(bootstrap.replicates([four], groups, 3)[0]["brier"])
    rows = bootstrap.error(bootstrap.replicates([four], None, 3)[0]["brier"])
    assert clustered == pytest.approx(2 * rows, rel=0.15)


def test_entities_with_one_row_each_are_no_groups():
    assert bootstrap.codes(np.array(["a", "b"])) is None
    assert bootstrap.codes(None) is None
    assert bootstrap.codes(np.array(["b", "a", "b"])).tolist() == [1, 0, 1]


def test_too_few_numbers_are_no_interval():
    assert np.isnan(bootstrap.interval(np.array([1.0, np.nan, np.nan, np.nan]))).all()
    assert np.isnan(bootstrap.error(np.full(9, np.nan)))
