"""Sums of labelled predictions add up, and give the metrics that scikit-learn gives, with errors that cover."""

import numpy as np
import pytest
from sklearn import metrics

from loopwright.statistics.labelled import Scores, tally
from loopwright.statistics.measured import Measured
from loopwright.statistics.profile import Profile

RNG = np.random.default_rng(11)


def scores(n, rng=RNG, a=1.0, b=8.0, change=0.0):
    probability = rng.beta(a, b, n)
    return (rng.random(n) < np.clip(probability + change, 0, 1)).astype(float), probability


def classification(probability):
    return Profile.build("churn", "classification", [0, 1], {}, {}, probability)


def regression(predicted, variance):
    return Profile.build("demand", "regression", [], {}, {}, predicted, label_variance=variance)


@pytest.mark.parametrize(("a", "b"), [(2.0, 5.0), (1.0, 60.0), (8.0, 1.0)])
def test_decisions_and_losses_are_exact_and_the_area_is_as_near_as_the_bins_say(a, b):
    truth, probability = scores(4000, a=a, b=b)
    one = tally(classification(probability[:2000]))
    sums = one.of(truth, probability)
    found = {name: measured.value for name, measured in one.measure(sums).items()}
    decided = probability >= 0.5
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, decided))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, decided))
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, decided))
    assert found.get("precision", 0.0) == pytest.approx(metrics.precision_score(truth, decided, zero_division=0))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(truth, probability))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, probability))
    exact = metrics.roc_auc_score(truth, probability)
    assert abs(found["roc_auc"] - exact) <= one.tied(sums) < 0.05
    assert found["roc_auc"] == pytest.approx(exact, abs=0.004)


def test_the_metrics_of_a_regression_are_exact_even_far_from_zero():
    truth = RNG.normal(1e6, 3, 3000)
    predicted = truth + RNG.standard_t(5, 3000)
    one = tally(regression(predicted, 9.0))
    found = {name: measured.value for name, measured in one.measure(one.of(truth, predicted)).items()}
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, predicted))
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, predicted))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_sums_of_replicas_add_up(task):
    truth, predicted = scores(500)
    one = tally(classification(predicted) if task == "classification" else regression(predicted, 1.0))
    parts = one.of(truth[:200], predicted[:200]) + one.of(truth[200:], predicted[200:])
    assert parts == pytest.approx(one.of(truth, predicted))
    assert len(parts) == one.size
    assert one.count(parts) == 500


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(5)
    truth, probability = scores(200_000, rng, 2.0, 4.0)
    one = Scores(np.zeros(0))
    whole = {name: found.value for name, found in one.measure(one.of(truth, probability)).items()}
    held = dict.fromkeys(whole, 0)
    for _ in range(400):
        rows = rng.integers(0, len(truth), 400)
        for name, found in one.measure(one.of(truth[rows], probability[rows])).items():
            low, high = found.interval()
            held[name] += low <= whole[name] <= high
    # 95 % of 400, give or take three standard errors and what the normal approximation costs.
    assert all(0.91 <= hits / 400 <= 0.985 for hits in held.values()), held


def test_intervals_of_a_regression_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(6)
    held = {"rmse": 0, "mae": 0, "r2": 0}
    whole = {"rmse": 1.0, "mae": np.sqrt(2 / np.pi), "r2": 1 - 1 / 5}
    for _ in range(400):
        signal = rng.normal(0, 2, 300)
        truth = signal + rng.normal(0, 1, 300)
        one = tally(regression(signal, 5.0))
        for name, found in one.measure(one.of(truth, signal)).items():
            low, high = found.interval()
            held[name] += low <= whole[name] <= high
    assert all(0.91 <= hits / 400 <= 0.985 for hits in held.values()), held


def test_a_share_of_one_is_not_taken_for_certain():
    low, high = Measured(1.0, 0.0, 50, share=True).interval()
    assert high == 1.0
    assert low == pytest.approx(0.929, abs=0.001)  # Wilson's interval of 50 of 50


def test_without_labels_of_both_classes_there_is_no_area():
    one = Scores(np.zeros(0))
    found = one.measure(one.of(np.ones(5), np.full(5, 0.7)))
    assert "roc_auc" not in found
    assert found["recall"].value == 1
    assert one.measure(np.zeros(one.size)) == {}


def test_absurd_predictions_and_labels_do_not_overflow():
    one = Scores(np.zeros(0))
    assert np.isfinite(one.of(np.array([0.0, 1.0]), np.array([1e300, -1e300]))).all()
    two = tally(regression(np.arange(10.0), 1.0))
    assert np.isfinite(two.of(np.array([1e300, -1e308]), np.array([-1e300, 1.0]))).all()


def test_calibrated_shares_rise_with_the_score_and_fill_the_gaps():
    one = Scores(np.zeros(0))
    truth = np.array([0, 1, 0, 0, 1, 1, 1, 0], dtype=float)
    predicted = np.array([0.06, 0.06, 0.06, 0.31, 0.71, 0.71, 0.88, 0.88])
    rates = one.rates(one.of(truth, predicted))
    assert (np.diff(rates) >= 0).all()
    at = np.searchsorted(one.cuts, [0.06, 0.31, 0.5, 0.71, 0.88], side="right")
    assert rates[at[:2]] == pytest.approx([0.25, 0.25])  # pooled: a third, then nothing
    assert 0.25 < rates[at[2]] < 0.75
    assert rates[at[3:]] == pytest.approx([0.75, 0.75])


def test_performance_is_estimated_before_labels_come_where_only_the_scores_change():
    rng = np.random.default_rng(8)
    truth, probability = scores(20_000, rng, 2.0, 4.0)
    distorted = probability**2  # a model that is not calibrated
    one = tally(classification(distorted))
    reference = one.of(truth, distorted)
    later, raw = scores(20_000, rng, 3.0, 3.0)
    estimated = one.estimate(reference, one.scored(raw**2))
    realised = one.measure(one.of(later, raw**2))
    before = one.measure(reference)
    for name in ("roc_auc", "accuracy", "f1", "precision", "recall"):
        assert estimated[name].value == pytest.approx(realised[name].value, abs=0.025), name
    assert abs(before["f1"].value - realised["f1"].value) > 0.1  # there was something to see


def test_an_estimate_does_not_see_labels_that_changed_for_the_same_scores():
    rng = np.random.default_rng(9)
    truth, probability = scores(20_000, rng, 2.0, 4.0)
    one = tally(classification(probability))
    estimated = one.estimate(one.of(truth, probability), one.scored(probability))
    realised = one.measure(one.of(rng.permutation(truth), probability))
    assert estimated["roc_auc"].value - realised["roc_auc"].value > 0.1


def test_the_error_of_a_regression_is_estimated_from_the_predictions():
    rng = np.random.default_rng(10)
    predicted = rng.uniform(0, 10, 5000)
    one = tally(regression(predicted, 9.0))
    reference = one.of(predicted + rng.normal(0, 0.2 + predicted / 5), predicted)
    live = rng.uniform(6, 10, 5000)
    realised = one.measure(one.of(live + rng.normal(0, 0.2 + live / 5), live))
    estimated = one.estimate(reference, one.scored(live))
    assert estimated["rmse"].value == pytest.approx(realised["rmse"].value, rel=0.06)
    assert estimated["mae"].value == pytest.approx(realised["mae"].value, rel=0.06)
    assert one.estimate(reference, one.scored(live + 100)) == {}
