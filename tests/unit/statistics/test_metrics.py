import numpy as np
import pytest
import sklearn.metrics

from loopwright import loop
from loopwright.statistics import metrics


def test_a_perfect_and_a_worthless_model_get_what_they_deserve() -> None:
    truth = np.array([False, True] * 50)
    perfect = metrics.classification(truth, truth.astype(float))
    assert perfect["roc_auc"] == perfect["accuracy"] == perfect["f1"] == 1.0
    assert perfect["brier"] == 0.0
    assert np.isfinite(perfect["log_loss"])
    constant = metrics.classification(truth, np.full(100, 0.5))
    assert constant["roc_auc"] == 0.5
    assert constant["brier"] == 0.25


def test_regression_metrics_are_in_the_labels_units() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    found = metrics.regression(truth, truth + np.array([1.0, -1.0, 1.0, -1.0]))
    assert found["rmse"] == found["mae"] == 1.0
    assert found["r2"] == pytest.approx(1 - 4 / 5)


def test_curves_and_confusion_agree_with_the_counts() -> None:
    random = np.random.default_rng(0)
    probability = random.random(1000)
    truth = random.random(1000) < probability
    curves = metrics.curves("classification", truth, probability)
    assert (curves["roc"]["fpr"][0], curves["roc"]["tpr"][0]) == (0.0, 0.0)
    assert (curves["roc"]["fpr"][-1], curves["roc"]["tpr"][-1]) == (1.0, 1.0)
    assert sum(curves["calibration"]["count"]) == 1000
    assert np.abs(np.subtract(curves["calibration"]["predicted"], curves["calibration"]["observed"])).max() < 0.15
    assert sum(map(sum, metrics.confusion(truth, probability))) == 1000


def test_definitions_are_scikit_learns_and_the_names_those_of_the_declaration() -> None:
    random = np.random.default_rng(1)
    probability = random.random(500)
    truth = random.random(500) < probability
    found = metrics.classification(truth, probability)
    assert tuple(found) == loop.CLASSIFICATION_METRICS
    assert found["log_loss"] == pytest.approx(sklearn.metrics.log_loss(truth, probability))
    assert found["f1"] == pytest.approx(sklearn.metrics.f1_score(truth, probability >= 0.5))
    assert found["roc_auc"] == pytest.approx(sklearn.metrics.roc_auc_score(truth, probability))
    assert tuple(metrics.regression(probability, probability)) == loop.REGRESSION_METRICS
