"""Late labels are joined once, by id, in bounded memory."""

import math
from dataclasses import replace

import numpy as np
import pytest

from loopwright.monitor.labels import GREATEST_LOSS, Joined, LabelError, Labels


@pytest.fixture
def labels(profile):
    made = Labels(capacity=4)
    made.remember("1", ["a", "b", "c"], np.array([0.9, 0.2, 0.5]), profile)
    return made


def test_the_brier_score_of_each_joined_prediction_is_summed(labels, profile):
    assert labels.join([("a", "Yes"), ("b", "Yes"), ("x", "No")], {"1": profile}) == Joined(2, 1, 0)
    loss = labels.losses["1"]
    assert loss.count == 2
    assert loss.total == pytest.approx(0.1**2 + 0.8**2)
    assert loss.squares == pytest.approx(0.1**4 + 0.8**4)


def test_a_label_counts_once_however_often_it_is_sent(labels, profile):
    assert labels.join([("a", "Yes"), ("a", "Yes")], {"1": profile}) == Joined(1, 0, 1)
    assert labels.join([("a", "No")], {"1": profile}) == Joined(0, 0, 1, contradicting=1)
    assert labels.losses["1"].count == 1


def test_only_the_newest_predictions_are_remembered(labels, profile):
    labels.remember("2", ["d", "e", "f"], np.array([0.1, 0.1, 0.1]), profile)
    known = {"1": profile, "2": profile}
    assert labels.join([("a", "No"), ("b", "No")], known) == Joined(0, 2, 0)
    assert labels.join([("c", "No"), ("d", "No"), ("e", "No"), ("f", "No")], known) == Joined(4, 0, 0)
    assert (labels.losses["1"].count, labels.losses["2"].count) == (1, 3)


def test_ids_that_repeat_push_out_the_oldest_like_others(profile):
    labels = Labels(capacity=5)
    for number in range(200):
        labels.remember("1", [f"p{number % 7}", f"q{number}"], np.array([0.5, 0.5]), profile)
    assert labels.join([("q199", "No"), ("q190", "No")], {"1": profile}) == Joined(1, 1, 0)


def test_of_a_batch_larger_than_the_memory_the_newest_are_kept(labels, profile):
    labels.remember("1", [f"n{i}" for i in range(11)], np.linspace(0, 1, 11), profile)
    assert labels.join([(f"n{i}", "No") for i in range(11)], {"1": profile}) == Joined(4, 7, 0)
    assert labels.losses["1"].total == pytest.approx(0.49 + 0.64 + 0.81 + 1)


def test_a_prediction_that_a_version_sent_again_is_the_newer_one(labels, profile):
    labels.remember("1", ["a"], np.array([0.0]), profile)
    assert labels.join([("a", "No")], {"1": profile}) == Joined(1, 0, 0)
    assert (labels.losses["1"].count, labels.losses["1"].total) == (1, 0)


def test_the_label_of_a_mirrored_request_counts_for_both_versions_that_answered_it(labels, profile):
    labels.remember("2", ["a"], np.array([0.0]), profile)
    known = {"1": profile, "2": profile}
    assert labels.join([("a", "No")], known) == Joined(1, 0, 0)
    assert labels.join([("a", "No")], known) == Joined(0, 0, 1)
    assert [labels.losses[version].count for version in known] == [1, 1]
    assert labels.losses["1"].total == pytest.approx(0.81)
    assert labels.losses["2"].total == 0


def test_a_label_that_came_before_both_predictions_of_an_id_counts_for_both(profile):
    labels = Labels(capacity=4)
    assert labels.join([("z", "Yes")], {"1": profile}) == Joined(0, 1, 0)
    labels.remember("1", ["z"], np.array([0.9]), profile)
    labels.remember("2", ["z"], np.array([0.8]), profile)
    assert [labels.losses[version].count for version in ("1", "2")] == [1, 1]


def test_one_label_the_task_does_not_have_joins_none(labels, profile):
    with pytest.raises(LabelError, match="the label of b is 'maybe'; expected one of No, Yes"):
        labels.join([("a", "Yes"), ("b", "maybe")], {"1": profile})
    assert labels.losses["1"].count == 0
    assert labels.join([("a", "Yes")], {"1": profile}).joined == 1


@pytest.mark.parametrize(
    ("classes", "label"),
    [((0, 1), 1), ((0, 1), "1"), ((0, 1), 1.0), ((False, True), True), ((False, True), "True"), (("0", "1"), 1)]
    + [(("0.0", "1.0"), label) for label in (1, 1.0, "1")]
    + [(("FALSE", "TRUE"), True)],
)
def test_classes_are_compared_as_text(labels, profile, classes, label):
    labels.join([("a", label)], {"1": replace(profile, classes=classes)})
    assert labels.losses["1"].total == pytest.approx(0.1**2)


def test_a_regression_loss_is_in_units_of_the_variance_and_clipped(profile):
    regression = replace(profile, task="regression", classes=(), label_variance=4.0)
    labels = Labels(10)
    labels.remember("1", ["a", "b"], np.array([10.0, 10.0]), profile)
    labels.join([("a", 13), ("b", 1e300)], {"1": regression})
    assert labels.losses["1"].total == pytest.approx(9 / 4 + GREATEST_LOSS)


@pytest.mark.parametrize("label", ["ten", "10", True, math.inf, 10**400])
def test_a_regression_label_is_a_finite_number(labels, profile, label):
    with pytest.raises(LabelError, match="finite number"):
        labels.join([("a", label)], {"1": replace(profile, task="regression")})


def test_predictions_far_out_of_range_do_not_overflow(labels, profile):
    labels.remember("1", ["far"], np.array([1e300]), profile)
    labels.join([("far", "No")], {"1": profile})
    assert labels.losses["1"].total == 1


def test_a_prediction_that_is_no_number_is_not_remembered(labels, profile):
    labels.remember("1", ["n"], np.array([math.nan]), profile)
    assert labels.join([("n", "Yes")], {"1": profile}).unknown == 1


def test_labels_of_a_version_that_was_forgotten_are_unknown(labels, profile):
    assert labels.join([("a", "Yes")], {"2": profile}) == Joined(0, 1, 0)


def test_a_label_that_comes_before_its_predictions_event_is_joined_when_the_event_comes(labels, profile):
    assert labels.join([("later", "Yes")], {"1": profile}) == Joined(0, 1, 0)
    labels.remember("1", ["later"], np.array([0.9]), profile)
    assert labels.losses["1"].count == 1
    assert labels.losses["1"].total == pytest.approx(0.01)
    assert labels.join([("later", "Yes")], {"1": profile}) == Joined(0, 0, 1)


def test_labels_that_are_kept_for_later_are_bounded(labels, profile, monkeypatch):
    monkeypatch.setattr("loopwright.monitor.labels.EARLY", 2)
    labels.join([("x", "Yes"), ("y", "Yes"), ("z", "Yes")], {"1": profile})
    labels.remember("1", ["x", "y", "z"], np.array([0.5, 0.5, 0.5]), profile)
    assert labels.losses["1"].count == 2


def test_of_more_than_two_classes_a_wrong_decision_is_a_loss_of_one(profile):
    labels, three = Labels(capacity=4), replace(profile, classes=("red", "green", "blue"))
    labels.remember("1", ["a", "b", "c"], np.array([0.0, 2.0, np.nan]), three)
    assert labels.join([("a", "red"), ("b", "green"), ("c", "red")], {"1": three}) == Joined(2, 1, 0)
    assert (labels.losses["1"].count, labels.losses["1"].total) == (2, 1.0)
    with pytest.raises(LabelError, match="the label of b is 'pink'; expected one of red, green, blue"):
        labels.join([("b", "pink")], {"1": three})
