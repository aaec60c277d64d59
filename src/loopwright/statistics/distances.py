"""How far the live counts of one feature are from its reference counts, and whether chance explains it.

Everything is computed from the counts of bins (`statistics/profile.py`), of a reference of m rows and a window of n.
A distance says how large a difference is; a test says how sure one can be that there is one. An alarm asks for both.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Groups of bins that are tested hold at least this many expected rows, and the test then rejects at most about
# INFLATION times as often as its level says. Simulated far in the tail: levels of 1e-5 and 3e-6, 500 rows against
# references of 2,000, 7,000 and 100,000, nine distributions from a 3 % category to 50 equal bins, 1.5 million windows
# each. The textbooks' 5 rows are meant for levels near 0.05.
LEAST_EXPECTED = 20.0
INFLATION = 5.0


@dataclass(frozen=True)
class Test:
    """A test statistic and the degrees of freedom of the chi-square distribution it is held against."""

    statistic: float
    degrees: int


def jensen_shannon(
    reference: ArrayLike, observed: ArrayLike, *, corrected: bool = True, dispersion: float = 1.0
) -> float:
    """The Jensen-Shannon distance of two vectors of counts: the root of the divergence in bits, 0 to 1.

    Two samples of one distribution differ: their divergence is (k - 1)(1/n + 1/m) / (8 ln 2) on average, with k the
    number of bins that occur (second-order expansion; Grosse et al., Phys. Rev. E 65, 041905, 2002). `corrected`
    takes that off, down to zero, so that a distance means the same at every number of rows; times `dispersion`, where
    counts vary so much more than those of independent rows. NaN without rows.
    """
    r, o = _counts(reference, observed)
    m, n = r.sum(), o.sum()
    if m == 0 or n == 0:
        return math.nan
    p, q = r / m, o / n
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    if corrected:
        occurring = np.count_nonzero(r + o)
        divergence -= dispersion * (occurring - 1) * (1 / n + 1 / m) / (8 * math.log(2))
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def population_stability_index(reference: ArrayLike, observed: ArrayLike, *, corrected: bool = True) -> float:
    """PSI, the sum of (q - p) ln(q / p), with half a row added to every bin so that an empty one is finite.

    Without drift it is about (k - 1)(1/n + 1/m), with k the bins that occur (Yurdakul & Naranjo 2020, "Statistical
    properties of the population stability index", Journal of Risk Model Validation 14), so a fixed threshold means
    another thing at every number of rows. `corrected` takes that off, down to zero. NaN without rows.
    """
    r, o = _counts(reference, observed)
    m, n = r.sum(), o.sum()
    if m == 0 or n == 0:
        return math.nan
    p, q = (r + 0.5) / (r + 0.5).sum(), (o + 0.5) / (o + 0.5).sum()
    value = float(((q - p) * np.log(q / p)).sum())
    return max(value - (np.count_nonzero(r + o) - 1) * (1 / n + 1 / m), 0.0) if corrected else value


def kolmogorov_smirnov(reference: ArrayLike, observed: ArrayLike) -> float:
    """The greatest distance between the two distribution functions at the bins' edges, 0 to 1.

    Not corrected: without drift it is 0.87 sqrt(1/n + 1/m) on average over many bins (the mean of Kolmogorov's
    distribution), and less over few, as only the edges are looked at. The bins must be in order, so leave out the bin
    of missing values. NaN without rows.
    """
    r, o = _counts(reference, observed)
    if r.sum() == 0 or o.sum() == 0:
        return math.nan
    return float(np.abs(np.cumsum(r) / r.sum() - np.cumsum(o) / o.sum()).max())


def wasserstein(edges: ArrayLike, reference: ArrayLike, observed: ArrayLike, *, corrected: bool = True) -> float:
    """The Wasserstein distance of a number from its bins, in units of the number.

    `edges` (B + 1,) and counts (B + 3,) as in a profile's NumberBins. Missing values are left out; values below and
    above count as if they were at the first and the last edge, which makes the distance of far ones too small. Between
    the edges the difference of the distribution functions is taken to be straight, which it is where both are.

    Without drift it is about the integral of sqrt(2 F (1 - F) (1/n + 1/m) / pi), as at every point the difference of
    the distribution functions is normal with that variance. `corrected` takes the same off the square at every
    edge, down to zero. NaN without rows that are numbers.
    """
    where = np.asarray(edges, dtype=np.float64)
    r, o = (counts[1:] for counts in _counts(reference, observed))
    m, n = r.sum(), o.sum()
    if m == 0 or n == 0:
        return math.nan
    # Up to the first edge lies what is below; up to the last one, all but what is above.
    first, second = np.cumsum(r)[:-1] / m, np.cumsum(o)[:-1] / n
    if corrected:
        both = (m * first + n * second) / (m + n)
        variance = both * (1 - both) * (1 / n + 1 / m)
        gap = np.sign(second - first) * np.sqrt(np.maximum((second - first) ** 2 - variance, 0.0))
    else:
        gap = second - first
    left, right, width = gap[:-1], gap[1:], np.diff(where)
    # The area of a trapezium; where its sides have different signs, of two triangles.
    crossing = left * right < 0
    total = np.maximum(np.abs(left) + np.abs(right), 1e-300)
    height = np.where(crossing, (left**2 + right**2) / total, np.abs(left) + np.abs(right)) / 2
    return float((height * width).sum())


def cramers_v(reference: ArrayLike, observed: ArrayLike) -> float:
    """The strength of the association that chi-square tests, 0 to 1, corrected for the number of rows.

    Chi-square is about its degrees of freedom without drift, which are taken off (Bergsma 2013, "A bias-correction for
    Cramer's V and Tschuprow's T", Journal of the Korean Statistical Society 42). NaN without rows.
    """
    test = chi_square(reference, observed)
    r, o = _counts(reference, observed)
    rows = r.sum() + o.sum()
    occurring = np.count_nonzero(r + o)
    return (
        math.sqrt(min(max(test.statistic / rows - (occurring - 1) / max(rows - 1, 1.0), 0.0), 1.0))
        if rows
        else math.nan
    )


def pool(reference: ArrayLike, rows: int, least: float = LEAST_EXPECTED) -> NDArray[np.int64]:
    """The group of each bin, so that a group has at least `least` expected rows in the smaller of the two samples.

    Neighbours are joined from the first bin to the last until they are enough; what remains joins the last group. This
    is decided by the reference and the number of rows only: deciding by what was observed would break the test's
    level. So would joining the rarest first: the bins that came out rare in the reference were unlucky there, and the
    window holds more of them.
    """
    r = np.asarray(reference, dtype=np.float64)
    expected = r * min(rows / max(r.sum(), 1.0), 1.0)
    groups = np.zeros(len(r), dtype=np.int64)
    number, total = 0, 0.0
    for i, value in enumerate(expected.tolist()):
        groups[i] = number
        total += value
        if total >= least:
            number, total = number + 1, 0.0
    groups[groups == number] = max(number - 1, 0)
    return groups


def chi_square(reference: ArrayLike, observed: ArrayLike, groups: ArrayLike | None = None) -> Test:
    """The two-sample chi-square test of homogeneity, on groups of bins as `pool` makes them.

    Both samples vary: the statistic is the sum of (sqrt(m/n) o - sqrt(n/m) r)^2 / (o + r), so a small reference
    makes it no larger. Its degrees of freedom are the number of groups less one. A group that is empty in both
    samples adds nothing. The statistic is NaN without rows.
    """
    r, o = _counts(reference, observed)
    if groups is not None:
        index = np.asarray(groups, dtype=np.int64)
        r, o = np.bincount(index, r).astype(np.float64), np.bincount(index, o).astype(np.float64)
    m, n = r.sum(), o.sum()
    if m == 0 or n == 0:
        return Test(math.nan, len(r) - 1)
    both = np.maximum(r + o, 1e-9)
    return Test(float(((math.sqrt(m / n) * o - math.sqrt(n / m) * r) ** 2 / both).sum()), len(r) - 1)


def excess(reference: ArrayLike, observed: ArrayLike, bin: int) -> Test:
    """Whether one bin holds more of the window than the reference lets one expect, one-sided, at any count.

    The chi-square approximation does not hold for a few rows, and pooling hides them: what the reference never had (a
    new category, another unit, a burst of missing values) is found here. The statistic is the deviance of the table
    (bin or not) x (reference or window), zero when the window has no more than expected, with one row added to the
    reference's bin: of m + 1 values one is the greatest, so below and above the reference's range lies 1 / (m + 1) of
    the distribution, not nothing. It is held against two degrees of freedom, whose tail exp(-x/2) is Chernoff's bound
    for binomial tails, so that its level holds for few rows too. The statistic is NaN without rows.
    """
    r, o = _counts(reference, observed)
    m, n = r.sum() + 1, o.sum()
    if m == 1 or n == 0:
        return Test(math.nan, 2)
    a, x = r[bin] + 1, o[bin]
    if x * m <= a * n:
        return Test(0.0, 2)
    share = (a + x) / (m + n)
    table = [(x, n * share), (n - x, n * (1 - share)), (a, m * share), (m - a, m * (1 - share))]
    deviance = 2 * sum(cell * math.log(cell / expected) for cell, expected in table if cell > 0)
    return Test(max(float(deviance), 0.0), 2)


def _counts(reference: ArrayLike, observed: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r, o = np.asarray(reference, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if r.shape != o.shape or r.ndim != 1 or r.size == 0:
        raise ValueError(f"the counts do not belong together: shapes {r.shape} and {o.shape}")
    return r, o


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """The sum of p log2(p / q), in bits; bins without p add nothing."""
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())
