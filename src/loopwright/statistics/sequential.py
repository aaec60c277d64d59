"""Evidence that may be looked at after every request: e-values and confidence sequences.

A rollout looks at its counts again and again and stops when it has seen enough. A test made for one look gives a
false alarm almost surely when it is looked at often enough; these hold at every look at once. Each is a function of
cumulative counts alone, so a rollout that was killed and resumed comes to the same answer.

An e-value is at most 1 on average as long as the hypothesis holds, at any stopping time; by Ville's inequality it
reaches 1 / alpha with a chance of at most alpha. They are kept as natural logarithms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Jeffreys' prior for a rate: its mass near 0 and 1 finds both rare and plain excesses.
_PRIOR = 0.5
# Labels of each version below which a normal approximation of its mean loss is not trusted.
MIN_LABELS = 50
# Labels at which the confidence sequence of a mean is made tightest; its width is not sensitive to it.
_TIGHTEST = 500


def log_beta_tail(a: float, b: float, x: float) -> float:
    """log P(X > x) for X ~ Beta(a, b), accurate in both tails; 0 <= x <= 1.

    The regularised incomplete beta function by its continued fraction (DLMF 8.17.22), evaluated on the side of
    the mean where it converges in O(sqrt(a + b)) terms, by the modified Lentz algorithm.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return -math.inf
    if x < (a + 1) / (a + b + 2):
        below = math.exp(_log_incomplete_beta(a, b, x))
        return math.log1p(-below) if below < 1 else -math.inf
    return _log_incomplete_beta(b, a, 1 - x)


def log_e_rate(bad: float, total: float, p0: float) -> float:
    """log of the e-value for "each of `total` trials went bad with a chance above `p0`", of which `bad` did.

    The likelihood ratio against p0, mixed over a Beta(1/2, 1/2) truncated to (p0, 1). Each ratio q : p0 with q > p0
    has an expected value linear and rising in the true rate, 1 at p0, so the mixture is a test supermartingale for
    every rate <= p0 (Robbins' method of mixtures; Ramdas, Gruenwald, Vovk & Shafer 2023, "Game-theoretic statistics
    and safe anytime-valid inference").
    """
    if total <= 0 or p0 >= 1:
        return 0.0
    # Counters are read one after another, so a difference of two may be out by a request in flight.
    bad = min(max(bad, 0.0), total)
    good = total - bad
    if p0 <= 0:
        return math.inf if bad > 0 else _log_beta(_PRIOR, good + _PRIOR) - _log_beta(_PRIOR, _PRIOR)
    mixed = log_beta_tail(bad + _PRIOR, good + _PRIOR, p0) + _log_beta(bad + _PRIOR, good + _PRIOR)
    prior = log_beta_tail(_PRIOR, _PRIOR, p0) + _log_beta(_PRIOR, _PRIOR)
    return mixed - prior - bad * math.log(p0) - good * math.log1p(-p0)


def rate_upper_bound(bad: float, total: float, alpha: float) -> float:
    """The greatest rate that `bad` of `total` do not speak against; it is passed at any look with chance <= alpha.

    The confidence sequence that belongs to `log_e_rate`: it holds the p0 for which the e-value of "fewer than p0 go
    bad" stays below 1 / alpha. 1 where there are no trials.
    """
    low, high = bad / total if total else 1.0, 1.0
    # Forty halvings: to 1e-12. The e-value rises with p0 above the observed rate.
    for _ in range(40):
        middle = (low + high) / 2
        if log_e_rate(total - bad, total, 1 - middle) < -math.log(alpha):
            low = middle
        else:
            high = middle
    return high


def log_e_allocation(bad: float, bad_here: float, share: float, routed: float) -> float:
    """log of the e-value for "bad events fall on this version more often than requests do".

    Of `bad` bad events of two versions `bad_here` fell on this one, which had `share` of the requests and was to
    get `routed` of them (both 0 to 1). While a router draws the version of each request at random, and the versions
    are equally good, a bad event is this version's with a chance of `routed`, whatever the rate of bad events does
    meanwhile: bursts, a bad client and an outage behind both cancel out. The smaller of the e-values against
    `routed` and against `share` is used: it is an e-value when the router does as told, and when it does not, the
    observed share stands in (it moves with the bad events themselves, to the safe side).
    """
    return min(log_e_rate(bad_here, bad, routed), log_e_rate(bad_here, bad, share))


def log_e_steps(steps: Sequence[float], planned: int) -> float:
    """The e-value of a rollout from those of its steps so far, of `planned` steps: logarithms in and out.

    A product of e-values of successive steps is one again; so is the mean of the products that start at each
    planned step (1 for those to come). The mean keeps the evidence of earlier steps, and a version that turns bad
    late is not shielded by its good start.
    """
    products = np.cumsum(np.asarray(steps, dtype=float)[::-1])
    parts = np.concatenate([products, np.zeros(planned - len(steps))])
    if np.isposinf(parts).any():
        return math.inf
    return float(np.logaddexp.reduce(parts) - math.log(planned))


@dataclass(frozen=True)
class Moments:
    """A stream's count, sum and sum of squares."""

    n: float
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean; n > 0."""
        return self.total / self.n


def mean_difference(strata: Sequence[tuple[Moments, Moments]], alpha: float) -> tuple[float, float]:
    """(estimate, lower bound) of the difference of two streams' means, first minus second, at any look.

    Each stratum is a time in which the two streams ran side by side in one proportion; differences are taken within
    strata and weighted by their information (the inverse variance), so a level that drifts while the proportions
    change makes no difference of its own. The bound is the one-sided asymptotic confidence sequence with a normal
    mixture (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, "Time-uniform central limit theory and asymptotic
    confidence sequences"), in information time: successive estimates of a difference have the covariances of a
    Brownian motion at their information (Jennison & Turnbull 2000, "Group sequential methods", ch. 11).
    (nan, -inf) until each stream has MIN_LABELS in strata that both are in.
    """
    strata = [pair for pair in strata if pair[0].n > 0 and pair[1].n > 0]
    if not strata or any(sum(pair[side].n for pair in strata) < MIN_LABELS for side in (0, 1)):
        return math.nan, -math.inf
    first, second = (_variance([pair[side] for pair in strata]) for side in (0, 1))
    # Two streams without any spread: the means are exact.
    spread = max(first + second, 1e-12)
    information = np.array([spread / max(first / a.n + second / b.n, 1e-12 / (a.n + b.n)) for a, b in strata])
    time = float(information.sum())
    estimate = float(sum(w * (a.mean - b.mean) for w, (a, b) in zip(information, strata, strict=True))) / time
    scale = -2 * math.log(2 * alpha) if alpha < 0.5 else 1.0
    rho = (scale + math.log(scale + 1)) / _TIGHTEST  # rho squared, section 2.3 there, with 2 alpha for one side
    growth = time * rho + 1
    radius = math.sqrt(2 * growth / (time * time * rho) * math.log1p(math.sqrt(growth) / (2 * alpha)))
    return estimate, estimate - math.sqrt(spread) * radius


def distribution_radius(n: float, alpha: float) -> float:
    """How far an empirical distribution function of n >= 1 is from the true one, at any n, with chance 1 - alpha.

    The time-uniform counterpart of the Dvoretzky-Kiefer-Wolfowitz inequality (Howard & Ramdas 2022, "Sequential
    estimation of quantiles with applications to A/B testing and best-arm identification", Bernoulli 28, 1704-1728).
    Infinite for n < 1.
    """
    if n < 1:
        return math.inf
    return 0.85 * math.sqrt((math.log1p(math.log(n)) + 0.8 * math.log(1612 / alpha)) / n)


def distribution_distance(first: ArrayLike, second: ArrayLike, alpha: float) -> tuple[float, float]:
    """(estimate, lower bound) of the Kolmogorov-Smirnov distance from two counts over the same ordered bins.

    The two distribution functions are compared at the edges of the bins, where counts know them exactly; the
    distance elsewhere can only be greater. The bound is the estimate less the two radii (the triangle inequality),
    each with half of alpha; it is at least 0, and holds at all looks at once.
    """
    one, two = (np.asarray(counts, dtype=float) for counts in (first, second))
    if one.sum() < 1 or two.sum() < 1:
        return math.nan, 0.0
    gap: NDArray[np.float64] = np.abs(np.cumsum(one) / one.sum() - np.cumsum(two) / two.sum())
    estimate = float(gap.max())
    radii = distribution_radius(float(one.sum()), alpha / 2) + distribution_radius(float(two.sum()), alpha / 2)
    return estimate, max(0.0, estimate - radii)


def _variance(parts: Sequence[Moments]) -> float:
    """The pooled variance within the parts, around each part's own mean."""
    freedom = sum(part.n for part in parts) - len(parts)
    within = sum(max(0.0, part.squares - part.total * part.mean) for part in parts)
    return within / freedom if freedom > 0 else 0.0


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_incomplete_beta(a: float, b: float, x: float) -> float:
    """log I_x(a, b) for x below the mean, or a little above it."""
    tiny = 1e-300
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    # The number of terms grows with the square root of a + b.
    for m in range(1, 200 + int(20 * math.sqrt(a + b))):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + even * d, tiny)
        c = _away_from_zero(1 + even / c, tiny)
        fraction *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_zero(1 + odd * d, tiny)
        c = _away_from_zero(1 + odd / c, tiny)
        step = d * c
        fraction *= step
        if abs(step - 1) < 1e-14:
            break
    return a * math.log(x) + b * math.log1p(-x) - _log_beta(a, b) - math.log(a) + math.log(fraction)


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
