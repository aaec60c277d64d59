"""The e-value of a shift: rare without drift however often it is asked, and early with it."""

import math

import numpy as np
import pytest

from loopwright.statistics.shifts import Shifts

EQUAL = np.r_[0.0, 0.0, np.full(10, 0.1), 0.0]
RARE = np.array([0.0, 0.0, 0.9, 0.05, 0.03, 0.01, 0.01])
HALF_MISSING = np.array([0.5, 0.0, 0.125, 0.125, 0.125, 0.125, 0.0])


def shifts(rng, shares, rows, ordered=True, effect=0.1):
    return Shifts(tuple(rng.multinomial(rows, shares).astype(float).tolist()), ordered, effect)


@pytest.mark.parametrize(
    ("shares", "ordered", "rows"),
    [(EQUAL, True, 300), (EQUAL, True, 5000), (RARE, False, 2000), (HALF_MISSING, True, 1000)],
    ids=["small reference", "large reference", "rare values", "half missing"],
)
def test_without_drift_it_reaches_1_over_alpha_at_most_in_alpha_of_all_streams(shares, ordered, rows):
    """400 streams of up to 20,000 rows, also many more than the reference has, at alpha 0.05: 20 are allowed."""
    rng, reached = np.random.default_rng(rows), 0
    for _ in range(400):
        counts, test = np.zeros(len(shares)), shifts(rng, shares, rows, ordered)
        for more in (30, 70, 200, 700, 4000, 15_000):
            counts += rng.multinomial(more, shares)
            if test.log_e(counts) >= math.log(20):
                reached += 1
                break
    assert reached <= 20


def test_two_groups_have_the_expected_value_one_by_enumeration():
    """Averaged over all references of 40 rows that a share of Jeffreys' prior gives, exactly."""
    rows, n = 60, 25
    grid = (np.arange(400) + 0.5) / 400
    shares = np.sin(np.pi * grid / 2) ** 2  # quantiles of Beta(1/2, 1/2)
    total = weight = 0.0
    for reference in range(20, rows - 19):
        chance = np.mean(math.comb(rows, reference) * shares**reference * (1 - shares) ** (rows - reference))
        posterior = shares**reference * (1 - shares) ** (rows - reference)
        posterior /= posterior.sum()
        test = Shifts((float(reference), float(rows - reference)), False, 0.1)
        expected = sum(
            math.comb(n, k)
            * float((posterior * shares**k * (1 - shares) ** (n - k)).sum())
            * math.exp(test.log_e([k, n - k]))
            for k in range(n + 1)
        )
        total, weight = total + chance * expected, weight + chance
    assert total / weight == pytest.approx(1, abs=1e-3)


def test_a_quarter_of_a_standard_deviation_is_found_within_some_hundred_rows():
    """At alpha 0.01 / 20; a Dirichlet-multinomial e-process without directions needs 1,750 rows for the same."""
    from statistics import NormalDist

    rng, found = np.random.default_rng(4), []
    normal = NormalDist()
    inner = [normal.cdf(normal.inv_cdf(i / 10) - 0.25) for i in range(1, 10)]
    moved = np.r_[0, 0, np.diff([0, *inner, 1]), 0]
    for _ in range(20):
        test, counts = shifts(rng, EQUAL, 10_000), np.zeros(13)
        while test.log_e(counts) < math.log(20 / 0.01):
            counts += rng.multinomial(20, moved)
        found.append(counts.sum())
    assert np.median(found) <= 500


def test_a_wider_distribution_and_a_share_that_grows_are_found_too():
    rng = np.random.default_rng(5)
    wide = np.r_[0, 0, 0.16, 0.11, 0.09, 0.07, 0.07, 0.07, 0.07, 0.09, 0.11, 0.16, 0]
    assert shifts(rng, EQUAL, 10_000).log_e(rng.multinomial(2000, wide)) > math.log(1e6)
    assert shifts(rng, RARE, 10_000, False).log_e(rng.multinomial(2000, [0, 0, 0.8, 0.15, 0.03, 0.01, 0.01])) > 14


def test_a_small_reference_bounds_the_evidence():
    """Live rows without end tell how they differ from 300 rows, not whether these were lucky."""
    rng = np.random.default_rng(6)
    moved = np.r_[0, 0, np.linspace(0.12, 0.08, 10), 0]
    few, many = (shifts(rng, EQUAL, rows).log_e(moved * 1e6) for rows in (300, 100_000))
    assert few < math.log(1000) < many


def test_repeats_divide_the_evidence():
    rng = np.random.default_rng(7)
    test, counts = shifts(rng, EQUAL, 10_000), np.r_[0, 0, np.linspace(0.15, 0.05, 10), 0] * 1000
    assert test.log_e(counts * 5, dispersion=5.0) < 1.3 * test.log_e(counts)


@pytest.mark.parametrize("reference", [(0.0, 0.0, 500.0, 0.0), (1.0, 2.0, 3.0)])
def test_without_two_groups_there_is_no_evidence(reference):
    assert Shifts(reference, True, 0.1).log_e(np.ones(len(reference))) == 0
