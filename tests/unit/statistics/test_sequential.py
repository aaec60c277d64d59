import math
from functools import cache

import numpy as np
import pytest
from scipy import integrate, stats

from loopwright.statistics.sequential import (
    MIN_LABELS,
    Moments,
    distribution_distance,
    distribution_radius,
    log_beta_tail,
    log_e_allocation,
    log_e_rate,
    log_e_steps,
    mean_difference,
    rate_upper_bound,
)

cached_rate = cache(log_e_rate)


@pytest.mark.parametrize("a", [0.5, 1.5, 10.5, 300.5, 9000.5, 1e6])
@pytest.mark.parametrize("b", [0.5, 3.5, 77.5, 5000.5, 2e5])
@pytest.mark.parametrize("x", [1e-6, 1e-3, 0.01, 0.05, 0.25, 0.5, 0.9, 0.999])
def test_the_beta_tail_is_scipys(a, b, x):
    expected = stats.beta.logsf(x, a, b)
    found = log_beta_tail(a, b, x)
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-12) if expected > -700 else found < -690


def test_the_beta_tail_goes_on_where_floats_underflow():
    assert -20_000 < log_beta_tail(10, 100_000, 0.15) < -15_000
    assert log_beta_tail(2, 3, 0) == 0
    assert log_beta_tail(2, 3, 1) == -math.inf


@pytest.mark.parametrize(("bad", "total", "p0"), [(0, 100, 0.01), (5, 100, 0.01), (3, 50, 0.3), (40, 50, 0.05)])
def test_the_e_value_of_a_rate_is_the_mixture_of_likelihood_ratios(bad, total, p0):
    def ratio(q):
        prior = stats.beta.pdf(q, 0.5, 0.5) / stats.beta.sf(p0, 0.5, 0.5)
        return prior * math.exp(bad * math.log(q / p0) + (total - bad) * math.log((1 - q) / (1 - p0)))

    assert log_e_rate(bad, total, p0) == pytest.approx(math.log(integrate.quad(ratio, p0, 1, limit=500)[0]), abs=1e-6)


@pytest.mark.parametrize("rate", [0.01, 0.03, 0.05])
def test_the_e_value_of_a_rate_is_a_supermartingale_at_and_below_its_limit(rate):
    for bad, total in ((0, 10), (1, 10), (4, 40), (30, 100)):
        after = rate * math.exp(log_e_rate(bad + 1, total + 1, 0.05))
        after += (1 - rate) * math.exp(log_e_rate(bad, total + 1, 0.05))
        assert after <= math.exp(log_e_rate(bad, total, 0.05)) * (1 + 1e-9)


def test_the_e_value_of_a_rate_at_the_ends():
    assert log_e_rate(0, 0, 0.01) == 0
    assert log_e_rate(5, 10, 1.0) == 0
    assert log_e_rate(1, 10, 0.0) == math.inf
    assert log_e_rate(0, 10, 0.0) < 0
    assert log_e_rate(12, 10, 0.5) == log_e_rate(10, 10, 0.5)


def crossings(rate, *, runs, requests, every, limit, alpha, seed=1):
    """For each run, after how many requests the e-value first said that the rate is above the limit, or nothing."""
    looks = np.arange(every, requests + 1, every)
    found = []
    for bad in np.cumsum(np.random.default_rng(seed).random((runs, requests)) < rate, axis=1)[:, looks - 1]:
        crossed = (n for k, n in zip(bad, looks, strict=True) if k > limit * n and over(int(k), int(n), limit, alpha))
        found.append(next(crossed, None))
    return found


def over(bad, total, limit, alpha):
    return cached_rate(bad, total, limit) >= -math.log(alpha)


def test_a_rate_at_its_limit_is_seldom_called_too_high_at_a_hundred_looks():
    found = crossings(0.02, runs=400, requests=4000, every=40, limit=0.02, alpha=0.05)
    assert sum(one is not None for one in found) / len(found) <= 0.05


@pytest.mark.parametrize(("rate", "within"), [(0.05, 500), (0.1, 150), (1.0, 10)])
def test_a_rate_above_its_limit_is_found_within_some_requests(rate, within):
    found = crossings(rate, runs=100, requests=2000, every=5, limit=0.01, alpha=0.01)
    assert np.quantile([one or 1e9 for one in found], 0.9) <= within


def test_the_upper_bound_of_a_rate_covers_it_at_all_looks():
    generator = np.random.default_rng(5)
    bad = np.cumsum(generator.random((100, 2000)) < 0.05, axis=1)[:, 99::100]
    totals = np.arange(100, 2001, 100)
    bound = cache(rate_upper_bound)
    bounds = np.array([[bound(int(k), int(n), 0.05) for k, n in zip(r, totals, strict=True)] for r in bad])
    assert (bounds.min(axis=1) < 0.05).mean() <= 0.05
    assert bounds[:, -1].mean() < 0.08
    assert rate_upper_bound(0, 0, 0.05) == 1


def allocation_alarms(share, *, routed, worse=1.0, runs=150, looks=40, alpha=0.05):
    """The share of runs in which some look blames the challenger; bad events come in bursts that hit both."""
    generator, alarms = np.random.default_rng(7), 0
    for _ in range(runs):
        requests = generator.poisson(200, looks)
        rate = np.where(generator.random(looks) < 0.1, 0.3, 0.005)
        here = generator.binomial(requests, share)
        bad_here = np.cumsum(generator.binomial(here, np.minimum(1, rate * worse)))
        bad = bad_here + np.cumsum(generator.binomial(requests - here, rate))
        shares = np.cumsum(here) / np.cumsum(requests)
        alarms += any(
            log_e_allocation(b, h, s, routed) >= -math.log(alpha) for b, h, s in zip(bad, bad_here, shares, strict=True)
        )
    return alarms / runs


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_bursts_that_hit_both_versions_are_seldom_blamed_on_the_challenger(share):
    assert allocation_alarms(share, routed=share) <= 0.05


def test_a_router_that_gives_more_than_it_was_told_does_not_get_the_challenger_blamed():
    assert allocation_alarms(0.4, routed=0.25) <= 0.05


def test_a_challenger_that_fails_twice_as_often_is_found_among_bursts():
    assert allocation_alarms(0.25, routed=0.25, worse=2.0, runs=40) >= 0.95


def test_evidence_of_steps_adds_up_and_a_good_start_does_not_shield():
    assert log_e_steps([2.0, 3.0], 2) == pytest.approx(math.log((math.exp(5) + math.exp(3)) / 2))
    assert log_e_steps([-50.0, 6.0], 3) == pytest.approx(math.log((math.exp(6) + 1) / 3), abs=1e-6)
    assert log_e_steps([0.0], 4) == pytest.approx(0)
    assert log_e_steps([math.inf], 2) == math.inf


def moments(values):
    values = np.asarray(values)
    return Moments(len(values), float(values.sum()), float((values**2).sum()))


def losses(kind, generator, size):
    """Brier scores pile up near 0; squared errors have a long tail, which the monitor clips at 25."""
    return generator.beta(0.4, 2, size) if kind == "brier" else np.minimum(generator.exponential(1, size) ** 2 / 2, 25)


def loss_alarms(kind, shares, *, delta=0.0, trend=0.0, runs=200, looks=15, each=40, alpha=0.05):
    """(share of runs in which some look says worse, median labels at that look), over steps with these shares."""
    generator, found = np.random.default_rng(11), []
    for _ in range(runs):
        done, hit, seen = [], None, 0
        for number, share in enumerate(shares):
            level = trend * number
            first = losses(kind, generator, looks * each) + level + delta
            second = losses(kind, generator, round(looks * each * (1 - share) / share)) + level
            for look in range(1, looks + 1):
                part = moments(first[: look * each]), moments(second[: round(look * each * (1 - share) / share)])
                if hit is None and mean_difference([*done, part], alpha)[1] > 0:
                    hit = seen + look * each
            done.append(part)
            seen += looks * each
        found.append(hit)
    hits = [hit for hit in found if hit is not None]
    return len(hits) / runs, float(np.median(hits)) if hits else None


@pytest.mark.parametrize("kind", ["brier", "squared error"])
def test_equal_losses_are_seldom_called_worse_whatever_their_distribution(kind):
    assert loss_alarms(kind, (0.1, 0.5))[0] <= 0.05


def test_a_level_that_rises_while_the_shares_change_is_not_called_worse():
    assert loss_alarms("brier", (0.1, 0.5), trend=0.1, runs=100)[0] <= 0.05


def test_a_higher_loss_is_found_within_some_labels():
    share, median = loss_alarms("brier", (0.5,), delta=0.1, runs=50, looks=30, each=20, alpha=0.0125)
    assert share == 1
    assert median <= 200


def test_the_estimate_of_a_difference_is_taken_within_strata():
    first = [moments([1.0, 3.0] * 40), moments([11.0, 13.0] * 200)]
    second = [moments([0.0, 2.0] * 400), moments([10.0, 12.0] * 200)]
    estimate, bound = mean_difference(list(zip(first, second, strict=True)), 0.05)
    assert estimate == pytest.approx(1)
    assert 0.5 < bound < 1


def test_a_difference_of_few_labels_is_not_known():
    few, many = moments([0.1] * (MIN_LABELS - 1)), moments([0.1, 0.2] * 500)
    assert mean_difference([(few, many)], 0.05)[1] == -math.inf
    assert math.isnan(mean_difference([(many, few)], 0.05)[0])
    assert mean_difference([], 0.05)[1] == -math.inf


def test_a_difference_without_spread_is_exact():
    estimate, bound = mean_difference([(moments([1.0] * 60), moments([0.5] * 60))], 0.05)
    assert (estimate, bound) == (pytest.approx(0.5), pytest.approx(0.5, abs=1e-4))


def test_the_radius_of_a_distribution_function_is_the_papers():
    expected = 0.85 * math.sqrt((math.log(math.log(math.e * 1000)) + 0.8 * math.log(1612 / 0.05)) / 1000)
    assert distribution_radius(1000, 0.05) == pytest.approx(expected)
    assert distribution_radius(0, 0.05) == math.inf


def test_equal_distributions_are_seldom_called_apart_at_many_looks():
    generator, alarms, bins = np.random.default_rng(13), 0, np.full(20, 0.05)
    for _ in range(150):
        one = np.cumsum(generator.multinomial(10, bins, size=50), axis=0)
        two = np.cumsum(generator.multinomial(90, bins, size=50), axis=0)
        alarms += any(distribution_distance(a, b, 0.05)[1] > 0 for a, b in zip(one, two, strict=True))
    assert alarms / 150 <= 0.05


def test_distributions_that_are_far_apart_are_found_so_within_some_predictions():
    low, high = [300, 0, 0, 0], [0, 0, 0, 6000]
    estimate, bound = distribution_distance(low, high, 0.004)
    assert estimate == 1
    assert 0.75 < bound < 1
    assert distribution_distance([0, 0], [1, 2], 0.05)[1] == 0
