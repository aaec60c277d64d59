"""The test at an A/B test's horizon, against scipy's on the same rows."""

import numpy as np
import pytest
from scipy import stats

from loopwright.loop import Rollout
from loopwright.rollout.abtest import compare
from loopwright.rollout.counts import UNKNOWN, ZERO, Arm


def arm(losses):
    return Arm(0, 0, 0, 0, 0, (), len(losses), losses.sum(), (losses**2).sum())


def rollout(**ab):
    return Rollout.model_validate({"strategy": "ab", "ab": ab})


@pytest.mark.parametrize("margin", [0.0, 0.03])
def test_it_is_welchs_one_sided_test_with_the_margin(margin):
    draw = np.random.default_rng(5)
    one, two = draw.gamma(2, 0.1, 300), draw.gamma(2, 0.11, 1200)
    ab = {"win": {"no_worse_by": margin}} if margin else {"win": "better"}
    found = compare(arm(one), arm(two), rollout(**ab))
    expected = stats.ttest_ind(one - margin, two, equal_var=False, alternative="less").pvalue
    assert found["p_value"] == pytest.approx(expected, rel=1e-3)
    assert found["increase"] == pytest.approx(one.mean() - two.mean(), abs=1e-6)


def test_two_equal_versions_win_as_often_as_alpha_says():
    draw = np.random.default_rng(6)
    declared = rollout()
    wins = sum(
        compare(arm(draw.beta(2, 8, 200)), arm(draw.beta(2, 8, 200)), declared)["p_value"] < 0.05 for _ in range(2000)
    )
    # 2,000 draws of 0.05: four standard deviations are 39.
    assert 61 < wins < 139


def test_losses_without_any_spread_are_compared_as_they_are():
    zero, half = arm(np.zeros(200)), arm(np.full(200, 0.5))
    assert compare(zero, half, rollout())["p_value"] == 0
    assert compare(half, zero, rollout())["p_value"] == 1
    assert compare(zero, zero, rollout())["p_value"] == 1
    assert compare(zero, zero, rollout(win={"no_worse_by": 0.1}))["p_value"] == 0


@pytest.mark.parametrize("arms", [(UNKNOWN, ZERO), (ZERO, ZERO), (arm(np.ones(99)), arm(np.ones(500)))])
def test_without_enough_labels_of_both_it_cannot_be_told(arms):
    assert not compare(*arms, rollout())["known"]
