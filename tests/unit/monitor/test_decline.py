"""A metric that is down is found, and chance is not taken for it, under the declared budget."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.monitor.decline import judge, rule
from loopwright.statistics.labelled import Scores, tally
from loopwright.statistics.measured import Measured
from loopwright.statistics.profile import Profile

DECLARED = "monitor: {performance: {metric: f1, max_drop: 0.05, over: 7d, min_labels: 200, false_alarms: 1 per 90d}}"


@pytest.fixture
def declared(churn_declaration):
    return parse(churn_declaration + DECLARED)


def test_the_budget_is_divided_by_the_looks_of_its_time(declared):
    made = rule(declared, Clock())
    assert made.look == timedelta(hours=8.4).total_seconds()
    assert (made.looks, made.window) == (20, timedelta(days=7).total_seconds())
    assert made.level == pytest.approx(8.4 / 24 / 90)
    assert (made.min_events, made.min_effect, made.persistence) == (200, 0.05, 2)


def test_looks_fall_on_looks_of_drift_at_any_pace(declared):
    made = rule(declared, Clock(speed=86400.0))
    assert made.look == 0.5
    assert made.looks == 14


def test_a_drop_is_relative_and_rises_for_errors(declared):
    made = rule(declared, Clock())
    down = judge("f1", Measured(0.72, 0.01, 500, True), Measured(0.8, 0.0, 9e9), 1000, made)
    assert down.drop == pytest.approx(0.1)
    assert down.down
    up = judge("rmse", Measured(4.4, 0.05, 500), Measured(4.0, 0.0, 9e9), 1000, made)
    assert up.drop == pytest.approx(0.1)
    assert up.down
    assert not judge("f1", Measured(0.9, 0.01, 500, True), Measured(0.8, 0.0, 9e9), 1000, made).down


def test_neither_few_labels_nor_a_small_drop_nor_chance_is_an_alarm(declared):
    made, reference = rule(declared, Clock()), Measured(0.8, 0.0, 9e9)
    assert not judge("f1", Measured(0.6, 0.01, 500, True), reference, 199, made).enough
    assert not judge("f1", Measured(0.6, 0.01, 20, True), reference, 1000, made).enough
    assert not judge("f1", Measured(0.77, 0.001, 500, True), reference, 1000, made).down
    assert not judge("f1", Measured(0.72, 0.04, 500, True), reference, 1000, made).down
    # As exact as the window is, a reference of few rows is not.
    assert not judge("f1", Measured(0.72, 0.001, 500, True), Measured(0.8, 0.05, 60), 1000, made).down


def test_a_metric_of_zero_is_not_taken_for_exact(declared):
    found = judge("f1", Measured(0.0, 0.0, 30, True), Measured(0.1, 0.0, 9e9), 1000, rule(declared, Clock()))
    assert 0 < found.score < 1.5


@pytest.mark.parametrize("labels", [200, 1000])
def test_chance_passes_a_look_about_as_rarely_as_the_level_says(declared, labels):
    """2,000 windows without any change, a reference of 1,000 rows drawn anew for each, at a level of 1 %."""
    made = replace(rule(declared, Clock()), level=0.01, min_effect=0.0)
    rng, one = np.random.default_rng(4), Scores(np.zeros(0))
    alarms = dict.fromkeys(("roc_auc", "accuracy", "f1", "precision", "recall", "log_loss", "brier"), 0)
    for _ in range(2000):
        sums = []
        for n in (1000, labels):
            probability = rng.beta(1.5, 3, n)
            sums.append(one.measure(one.of((rng.random(n) < probability).astype(float), probability)))
        for name in alarms:
            alarms[name] += judge(name, sums[1][name], sums[0][name], labels, made).down
    # 1 % of 2,000 is 20; the normal approximation of a few hundred labels may double a tail.
    assert all(count <= 40 for count in alarms.values()), alarms


def test_losses_with_long_tails_raise_fewer_alarms(declared):
    made = replace(rule(declared, Clock()), level=0.01, min_effect=0.0)
    rng = np.random.default_rng(4)
    profile = Profile.build("demand", "regression", [], {}, {}, rng.normal(0, 1, 1000), label_variance=2.0)
    one, alarms = tally(profile), {"rmse": 0, "mae": 0, "r2": 0}
    for _ in range(600):
        found = []
        for n in (2000, 300):
            predicted = rng.normal(0, 1, n)
            found.append(one.measure(one.of(predicted + rng.standard_t(5, n), predicted)))
        for name in alarms:
            alarms[name] += judge(name, found[1][name], found[0][name], 300, made).down
    assert all(count <= 14 for count in alarms.values()), alarms
