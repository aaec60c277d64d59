"""The chi-square tail and its critical values agree with scipy far beyond the levels that a budget leads to."""

import math

import pytest
from scipy.stats import chi2

from loopwright.statistics.chisquare import quantile, survival

DEGREES = [1, 2, 3, 5, 12, 20, 51, 200, 1000]
LEVELS = [0.999, 0.5, 0.05, 1e-3, 1e-6, 1e-9, 1e-12, 1e-40, 1e-200]


@pytest.mark.parametrize("degrees", DEGREES)
@pytest.mark.parametrize("level", LEVELS)
def test_the_tail_and_the_critical_value_agree_with_scipy(level, degrees):
    statistic = float(chi2.isf(level, degrees))
    assert survival(statistic, degrees) == pytest.approx(level, rel=1e-10)
    assert quantile(level, degrees) == pytest.approx(statistic, rel=1e-10)


@pytest.mark.parametrize("degrees", DEGREES)
def test_the_tail_is_continuous_where_the_two_expansions_meet(degrees):
    for statistic in (degrees + 2 - 1e-9, degrees + 2 + 1e-9):
        assert survival(statistic, degrees) == pytest.approx(float(chi2.sf(statistic, degrees)), rel=1e-12)


def test_the_ends_are_exact():
    assert survival(0, 3) == survival(-1, 3) == 1
    assert survival(math.inf, 3) == 0
    assert math.isnan(survival(math.nan, 3))


@pytest.mark.parametrize("level", [0, 1, -0.1, 2, math.nan])
def test_a_level_that_is_no_probability_is_refused(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile(level, 3)


def test_no_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match="at least one degree"):
        survival(1, 0)
