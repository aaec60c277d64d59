"""Distances and tests from counts agree with scipy and with simulation, and mean the same at every sample size."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import betabinom, binom, chi2_contingency, wasserstein_distance

from loopwright.statistics.chisquare import quantile
from loopwright.statistics.distances import (
    INFLATION,
    LEAST_EXPECTED,
    chi_square,
    cramers_v,
    excess,
    jensen_shannon,
    kolmogorov_smirnov,
    pool,
    population_stability_index,
    wasserstein,
)

R = [0, 5, 120, 300, 75, 0]
O = [3, 40, 90, 310, 20, 7]  # noqa: E741 - the observed counts


def test_the_jensen_shannon_distance_is_scipys_before_correction():
    expected = jensenshannon(np.array(R) / sum(R), np.array(O) / sum(O), base=2)
    assert jensen_shannon(R, O, corrected=False) == pytest.approx(float(expected), rel=1e-12)


def test_the_distance_is_0_for_equal_shares_and_1_for_disjoint_ones():
    assert jensen_shannon([1, 2, 0], [10, 20, 0], corrected=False) == 0
    assert jensen_shannon([10**9, 0], [0, 10**9]) == pytest.approx(1)


def test_without_drift_the_correction_removes_the_mean_of_the_divergence():
    rng = np.random.default_rng(2)
    p, m, n = np.ones(12) / 12, 2000, 500
    pairs = [(rng.multinomial(m, p), rng.multinomial(n, p)) for _ in range(2000)]
    plain = np.array([jensen_shannon(r, o, corrected=False) ** 2 for r, o in pairs])
    bias = 11 * (1 / n + 1 / m) / (8 * math.log(2))
    standard_error = plain.std() / math.sqrt(len(plain))
    assert abs(plain.mean() - bias) < 4 * standard_error + 0.02 * bias
    assert np.mean([jensen_shannon(r, o) for r, o in pairs]) < 0.5 * np.sqrt(plain).mean()


def test_the_corrected_distance_of_a_real_difference_does_not_depend_on_the_sample_size():
    rng = np.random.default_rng(3)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.3, 0.4])
    true = jensen_shannon(p * 1e12, q * 1e12)
    for n in (400, 20_000):
        found = [jensen_shannon(rng.multinomial(5000, p), rng.multinomial(n, q)) for _ in range(300)]
        assert np.mean(found) == pytest.approx(true, rel=0.02)


def test_psi_is_its_formula_and_finite_for_empty_bins():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
    expected = float(((q - p) * np.log(q / p)).sum())
    assert population_stability_index(p * 1e9, q * 1e9, corrected=False) == pytest.approx(expected, rel=1e-6)
    assert math.isfinite(population_stability_index([10, 0], [0, 10]))


@pytest.mark.parametrize("distance", [population_stability_index, cramers_v], ids=lambda d: d.__name__)
def test_a_corrected_distance_means_the_same_at_every_number_of_rows(distance):
    rng = np.random.default_rng(8)
    p, q = np.full(10, 0.1), np.linspace(0.13, 0.07, 10)
    real, none = [], []
    for n in (500, 20_000):
        # The references have as many rows as the windows: Cramer's V depends on the proportion of the two.
        real.append(np.mean([distance(rng.multinomial(n, p), rng.multinomial(n, q)) for _ in range(400)]))
        none.append(np.mean([distance(rng.multinomial(n, p), rng.multinomial(n, p)) for _ in range(400)]))
    # A root that is cut off at zero is a little low on average where rows are few.
    assert real[0] == pytest.approx(real[1], rel=0.12)
    assert max(none) < 0.4 * min(real)


def test_wasserstein_is_scipys_up_to_the_width_of_the_bins_and_in_units_of_the_number():
    rng = np.random.default_rng(9)
    one, two = rng.normal(0, 1, 50_000), rng.normal(0.3, 1.2, 40_000)
    edges = np.linspace(-7, 7, 71)
    r, o = (np.r_[3, 0, np.histogram(values, edges)[0], 0] for values in (one, two))
    expected = wasserstein_distance(one, two)
    assert wasserstein(edges, r, o, corrected=False) == pytest.approx(expected, rel=0.01)
    assert wasserstein(edges, r, o) == pytest.approx(expected, rel=0.02)
    assert wasserstein(edges * 100, r, o) == pytest.approx(100 * wasserstein(edges, r, o))


def test_wasserstein_without_drift_is_small_after_correction():
    rng = np.random.default_rng(10)
    edges, p = np.linspace(-2, 2, 11), np.r_[0, 0, np.full(10, 0.1), 0]
    pairs = [(rng.multinomial(5000, p), rng.multinomial(500, p)) for _ in range(300)]
    plain, corrected = (np.mean([wasserstein(edges, r, o, corrected=c) for r, o in pairs]) for c in (False, True))
    cumulative = np.arange(11) / 10
    stated = np.trapezoid(np.sqrt(2 * cumulative * (1 - cumulative) * (1 / 500 + 1 / 5000) / math.pi), edges)
    assert plain == pytest.approx(stated, rel=0.1)
    assert corrected < 0.6 * plain


def test_wasserstein_leaves_missing_values_out_and_puts_far_ones_at_the_edges():
    assert wasserstein([0, 1], [5, 0, 10, 0], [900, 0, 10, 0], corrected=False) == 0
    assert wasserstein([0, 1], [0, 10**9, 0, 0], [0, 0, 0, 10**9]) == pytest.approx(1, abs=1e-6)


def test_kolmogorov_smirnov_without_drift_is_at_most_what_is_stated():
    rng = np.random.default_rng(11)
    found = np.mean(
        [
            kolmogorov_smirnov(rng.multinomial(4000, np.full(100, 0.01)), rng.multinomial(1000, np.full(100, 0.01)))
            for _ in range(300)
        ]
    )
    assert found == pytest.approx(0.87 * math.sqrt(1 / 1000 + 1 / 4000), rel=0.08)


def test_kolmogorov_smirnov_is_the_greatest_difference_of_the_distribution_functions():
    assert kolmogorov_smirnov([5, 5, 0, 0], [0, 0, 5, 5]) == 1
    assert kolmogorov_smirnov([50, 30, 20], [20, 30, 50]) == pytest.approx(0.3)
    assert kolmogorov_smirnov([2, 4, 6], [1, 2, 3]) == 0


def test_chi_square_is_scipys_test_of_homogeneity():
    r, o = [50, 120, 300, 75, 33], [12, 40, 90, 10, 20]
    expected = chi2_contingency([r, o], correction=False)
    test = chi_square(r, o)
    assert test.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert test.degrees == expected.dof


def test_chi_square_adds_up_groups_of_bins():
    r, o = [1, 2, 300, 75, 3], [3, 0, 90, 10, 2]
    grouped = chi_square(r, o, [0, 0, 0, 1, 1])
    assert grouped == chi_square([303, 78], [93, 12])


def test_chi_square_takes_the_finite_reference_into_account():
    o = [70, 30]
    assert chi_square([60, 40], o).statistic < chi_square([6000, 4000], o).statistic / 1.5


@pytest.mark.parametrize("rows", [100, 500, 10_000])
def test_pooled_groups_have_enough_expected_rows_and_are_neighbours(rows):
    rng = np.random.default_rng(rows)
    for _ in range(50):
        r = rng.multinomial(3000, rng.dirichlet(np.ones(13) * 0.4))
        groups = pool(r, rows)
        expected = np.bincount(groups, r) * min(rows / 3000, 1)
        assert (expected >= LEAST_EXPECTED).all() or len(expected) == 1
        assert set(np.diff(groups).tolist()) <= {0, 1}
        assert groups[0] == 0


def test_bins_that_are_full_enough_stay_alone_and_empty_ends_join_them():
    assert pool([0, 0, 100, 100, 100, 0], 300).tolist() == [0, 0, 0, 1, 2, 2]


def test_a_reference_without_enough_rows_is_one_group():
    assert pool([1, 2, 3], 500).tolist() == [0, 0, 0]
    assert chi_square([1, 2, 3], [5, 5, 5], pool([1, 2, 3], 500)).degrees == 0


@pytest.mark.parametrize(
    "p",
    [np.ones(10) / 10, np.ones(50) / 50, np.array([0.95, 0.05]), np.array([0.775] + [0.025] * 9)],
    ids=["ten equal", "fifty equal", "a rare one", "one and nine rare"],
)
def test_without_drift_the_pooled_test_keeps_its_level_up_to_the_stated_factor(p):
    """At a level that a small simulation can see; the stated factor is of levels of 3e-6, where it is greater."""
    rng = np.random.default_rng(5)
    level, n, m, hits, windows = 1e-3, 500, 7000, 0, 0
    for _ in range(20):
        r = rng.multinomial(m, p)
        groups = pool(r, n)
        critical = quantile(level, int(groups.max()))
        observed = rng.multinomial(n, p, size=1000)
        hits += sum(chi_square(r, o, groups).statistic >= critical for o in observed)
        windows += len(observed)
    # 20 hits at the exact level; a test that rejected INFLATION times as often, 100 hits, would pass 1 time in 40.
    assert hits <= level * INFLATION * windows * 0.8


@pytest.mark.parametrize("level", [1e-2, 1e-4, 1e-7])
@pytest.mark.parametrize("m", [100, 7000])
@pytest.mark.parametrize("n", [50, 5000])
def test_the_excess_of_a_bin_keeps_its_level_exactly(level, m, n):
    critical = quantile(level, 2)

    def least(r):
        """The least count in the window that is rejected, by bisection."""
        low, high = 0, n + 1
        while low < high:
            middle = (low + high) // 2
            if excess([r, m - r], [middle, n - middle], 0).statistic >= critical:
                high = middle
            else:
                low = middle + 1
        return low

    # Beyond the greatest of m values lies a share that is Beta(1, m) distributed.
    assert betabinom.sf(least(0) - 1, n, 1, m) <= level
    for mean in (0.1, 1, 5, 30):
        reference = np.arange(min(int(mean + 10 * math.sqrt(mean) + 10), m))
        chance = binom.pmf(reference, m, mean / m)
        rejected = [binom.sf(least(int(r)) - 1, n, mean / m) for r in reference]
        assert float((chance * rejected).sum()) <= level


def test_the_excess_finds_values_the_reference_never_had():
    assert excess([0, 7000], [60, 1940], 0).statistic > quantile(1e-7, 2)
    assert excess([0, 7000], [1, 1999], 0).statistic < quantile(1e-2, 2)
    assert excess([700, 6300], [100, 1900], 0).statistic == 0


@pytest.mark.parametrize(
    "distance", [jensen_shannon, population_stability_index, kolmogorov_smirnov, cramers_v], ids=lambda d: d.__name__
)
def test_without_rows_there_is_no_distance(distance):
    assert math.isnan(distance([1, 2], [0, 0]))
    assert math.isnan(distance([0, 0], [1, 2]))


def test_without_rows_there_is_no_statistic():
    assert math.isnan(chi_square([1, 2], [0, 0]).statistic)
    assert math.isnan(excess([1, 2], [0, 0], 0).statistic)


def test_counts_of_different_bins_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(2,\)"):
        jensen_shannon([1, 2, 3], [1, 2])
