"""More than two classes: metrics as scikit-learn has them, of rows that count several times, and from counts."""

import numpy as np
import pytest
from sklearn import metrics

from loopwright.statistics import bootstrap, several, shares
from loopwright.statistics.labelled import tally
from loopwright.statistics.labelled_classes import Decisions
from loopwright.statistics.profile import Profile
from loopwright.statistics.weighted import Measures

CLASSES = 3
MEASURES = Measures("classification", classes=CLASSES)


def drawn(rows, seed=5, sharp=2.0):
    """Places of classes, one of them rare, and probabilities that know something of them."""
    random = np.random.default_rng(seed)
    truth = random.choice(CLASSES, rows, p=[0.6, 0.3, 0.1])
    raw = random.normal(size=(rows, CLASSES)) + sharp * np.eye(CLASSES)[truth]
    return truth, np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)


def expected(truth, predicted, weights=None):
    decided = predicted.argmax(axis=1)
    hot = np.eye(CLASSES)[truth]
    return {
        "accuracy": metrics.accuracy_score(truth, decided, sample_weight=weights),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, decided, sample_weight=weights),
        "f1_macro": metrics.f1_score(truth, decided, average="macro", sample_weight=weights),
        "log_loss": metrics.log_loss(truth, predicted, sample_weight=weights),
        "brier": np.average(((predicted - hot) ** 2).sum(axis=1), weights=weights),
        "roc_auc_ovr": metrics.roc_auc_score(truth, predicted, multi_class="ovr", sample_weight=weights),
    }


def test_metrics_are_those_of_scikit_learn():
    truth, predicted = drawn(500)
    found = several.weigh(MEASURES, truth, predicted).point()
    for name, value in expected(truth, predicted).items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    assert 0 < found["calibration_error"] < 0.5


def test_a_weight_counts_a_row_as_often():
    truth, predicted = drawn(300)
    random = np.random.default_rng(1)
    weights = random.integers(0, 4, (5, 300)).astype(float)
    found = several.weigh(MEASURES, truth, predicted).values(weights)
    for at, line in enumerate(weights):
        for name, value in expected(truth, predicted, line).items():
            assert found[name][at] == pytest.approx(value, abs=1e-12), name


def test_without_a_class_there_is_no_mean_area_and_the_others_are_of_the_classes_there_are():
    truth, predicted = drawn(300)
    found = several.weigh(MEASURES, truth, predicted).values((truth != 2).astype(float)[None])
    assert np.isnan(found["roc_auc_ovr"][0])
    kept = truth != 2
    recalls = [float((predicted[kept & (truth == place)].argmax(axis=1) == place).mean()) for place in (0, 1)]
    assert found["balanced_accuracy"][0] == pytest.approx(np.mean(recalls))


def test_two_classes_are_measured_as_before():
    truth, predicted = drawn(300)
    found = several.weigh(Measures("classification"), truth == 0, predicted[:, 0])
    assert found.point()["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth == 0, predicted[:, 0]))


def test_a_row_without_a_number_is_decided_to_be_nothing():
    scores, places = several.top(np.array([[0.2, 0.5, 0.3], [0.4, np.nan, 0.6], [0.4, 0.4, 0.2]]))
    assert places.tolist() == [1, -1, 0]
    assert np.isnan(scores[1])
    assert scores[[0, 2]].tolist() == [0.5, 0.4]


def test_the_classes_have_a_confusion_and_each_its_own_metrics():
    truth, predicted = drawn(400)
    assert several.confusion(truth, predicted) == metrics.confusion_matrix(truth, predicted.argmax(axis=1)).tolist()
    each = several.by_class(truth, predicted, ["a", "b", "c"])
    f1 = metrics.f1_score(truth, predicted.argmax(axis=1), average=None)
    assert [one["f1"] for one in each] == pytest.approx(f1.tolist())
    assert each[2]["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth == 2, predicted[:, 2]))
    assert [one["rows"] for one in each] == np.bincount(truth).tolist()


def test_the_mean_curve_has_about_the_mean_area():
    truth, predicted = drawn(2000)
    curve = several.curves(truth, predicted)["roc"]
    area = np.trapezoid(curve["tpr"], curve["fpr"])
    assert area == pytest.approx(expected(truth, predicted)["roc_auc_ovr"], abs=0.01)


def test_a_mean_over_the_classes_goes_by_the_rows_of_each():
    truth, predicted = drawn(200)
    counts = several.counts(MEASURES, truth, predicted, None)
    each = tuple(np.bincount(truth).tolist())
    assert counts == {"accuracy": 200, "balanced_accuracy": each, "f1_macro": each}


def test_the_edge_of_a_mean_is_the_farthest_that_no_error_leaves_possible():
    assert shares.distance((40,), 0.95) == pytest.approx(shares.distance(40, 0.95))
    # Equal classes are together as sure as all their rows, and one that has no rows is not of the mean.
    assert shares.distance((40, 40, 40), 0.95) == pytest.approx(shares.distance(120, 0.95))
    assert shares.distance((40, 0, 40), 0.95) == pytest.approx(shares.distance(80, 0.95))
    # Of a rare one its share of the mean.
    assert shares.distance((400, 400, 400, 400, 12), 0.95) == pytest.approx(shares.distance(12, 0.95) / 5)
    assert np.isnan(shares.distance((0, 0), 0.95))
    assert shares.told("f1_macro", 1.0, np.ones(50), (40, 40, 40)) == pytest.approx(
        (1 - shares.distance(120, 0.975), 1.0)
    )
    random = np.random.default_rng(3)
    for _ in range(200):
        sizes = np.exp(random.uniform(0, 6, random.integers(3, 7))).astype(int)
        k, bound = len(sizes), shares.distance(tuple(sizes.tolist()), 0.95)
        # Errors by class with which these rows come out without one with probability 0.05.
        wrong = 1 - np.exp(np.log(0.05) * random.dirichlet(np.full(k, 0.3)) / sizes)
        assert np.mean(wrong) <= bound + 1e-12
        taken = random.dirichlet(np.full(k, 0.3), k) * (1 - np.eye(k))
        taken *= (sizes * wrong / np.maximum(taken.sum(axis=1), 1e-300))[:, None]
        table = np.diag(sizes * (1 - wrong)) + taken
        f1 = 2 * table.diagonal() / (table.sum(axis=0) + table.sum(axis=1))
        assert 1 - np.mean(f1) <= bound + 1e-12


def test_a_class_of_few_rows_does_not_take_the_gate_of_a_mean_away():
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(5), [400, 400, 400, 400, 12])
    decided = np.where(random.random(len(truth)) < 0.9, truth, (truth + 1) % 5)
    measures = Measures("classification", classes=5)
    counts = several.counts(measures, truth, np.eye(5)[decided], None)
    true = np.sqrt(sum(0.9 * 0.1 / size for size in np.bincount(truth))) / 5
    for metric in ("balanced_accuracy", "f1_macro"):
        assert true < shares.error(counts[metric], 0.95) < 1.5 * true


def test_counts_of_decisions_give_the_same_metrics_with_the_errors_that_a_bootstrap_finds():
    truth, predicted = drawn(3000)
    one, decided = Decisions(CLASSES), predicted.argmax(axis=1).astype(float)
    sums = one.of(truth.astype(float), decided)
    assert one.count(sums) == 3000
    measured = one.measure(sums)
    exact = expected(truth, predicted)
    assert {name: found.value for name, found in measured.items()} == pytest.approx(
        {name: exact[name] for name in ("accuracy", "balanced_accuracy", "f1_macro")}
    )
    (draws,) = bootstrap.replicates([several.weigh(MEASURES, truth, predicted)], None, 3, ordered=False)
    for name, found in measured.items():
        assert found.error == pytest.approx(bootstrap.error(draws[name]), rel=0.12), name


def test_decisions_add_up_and_what_was_not_decided_is_left_out():
    truth, predicted = drawn(100)
    decided = predicted.argmax(axis=1).astype(float)
    one = Decisions(CLASSES)
    halves = one.of(truth[:50].astype(float), decided[:50]) + one.of(truth[50:].astype(float), decided[50:])
    assert halves.tolist() == one.of(truth.astype(float), decided).tolist()
    decided[:10] = np.nan
    assert one.count(one.of(truth.astype(float), decided)) == 90
    assert one.measure(np.zeros(one.size)) == {}
    assert one.estimate(halves, one.scored(decided)) == {}


def test_a_profile_of_three_classes_is_tallied_by_decisions():
    _, predicted = drawn(100)
    scores, places = several.top(predicted)
    profile = Profile.build("zoo", "classification", ["a", "b", "c"], {}, {}, scores, decided=places)
    assert tally(profile).size == CLASSES**2
