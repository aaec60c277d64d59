"""Dispersion: repeats are measured from the traffic, independence is left alone, and drift does not hide itself."""

import numpy as np
import pytest

from loopwright.monitor.dispersion import Dispersion
from loopwright.monitor.layout import Layout
from loopwright.statistics.profile import CategoryBins, NumberBins, Profile

P = {"x": np.full(10, 0.1), "plan": np.array([0.6, 0.3, 0.1])}


@pytest.fixture
def layout():
    features = {
        "x": NumberBins(np.arange(8.0), np.full(10, 500)),
        "plan": CategoryBins(("a",), np.array([3000, 1500, 500])),
    }
    prediction = NumberBins(np.zeros(2), np.array([0, 0, 100, 0]))
    return Layout(Profile("churn", "classification", (), 5000, None, features, prediction))


def factors(layout, looks):
    dispersion = Dispersion(layout)
    for counts in looks:
        dispersion.add(np.concatenate([*counts, [0, 0, 100, 0]]).astype(float))
    return dispersion.factors()


def independent(rng, n, p=P):
    return [rng.multinomial(n, p["x"]), rng.multinomial(n, p["plan"])]


def test_independent_events_have_no_factor(layout):
    rng = np.random.default_rng(1)
    found = np.array([factors(layout, [independent(rng, 200) for _ in range(150)]) for _ in range(20)])
    assert np.median(found) == 1
    assert found.mean() < 1.05


@pytest.mark.parametrize("repeats", [4, 20])
def test_repeats_within_a_look_are_found_within_a_few_windows(layout, repeats):
    rng = np.random.default_rng(2)
    found = factors(layout, [[counts * repeats for counts in independent(rng, 100)] for _ in range(60)])
    assert (found[:2] >= 0.9 * repeats).all()
    assert (found[:2] <= 3 * repeats).all()


def test_repeats_over_several_looks_are_found_too(layout):
    """Each customer asks once a look for eight looks: looks are alike, so that only longer stretches tell."""
    rng = np.random.default_rng(3)
    looks = []
    for _ in range(60):
        same = independent(rng, 100)
        looks += [same] * 8
    assert (factors(layout, looks)[:2] >= 5).all()


def test_a_shift_does_not_hide_itself(layout):
    rng = np.random.default_rng(4)
    other = {"x": np.r_[np.full(5, 0.15), np.full(5, 0.05)], "plan": np.array([0.2, 0.3, 0.5])}
    looks = [independent(rng, 200) for _ in range(50)] + [independent(rng, 200, other) for _ in range(50)]
    assert (factors(layout, looks)[:2] < 1.6).all()


def test_an_unknown_or_constant_feature_has_no_factor(layout):
    assert factors(layout, []).tolist() == [1, 1, 1]
    assert factors(layout, [independent(np.random.default_rng(5), 100)] * 64)[2] == 1
