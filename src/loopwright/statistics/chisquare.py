"""The chi-square distribution's tail, in plain Python, so that the monitor needs no scipy for its critical values.

The tail is the regularised incomplete gamma function Q(k/2, x/2): by its power series below the bulk and by its
continued fraction above it (Press et al., Numerical Recipes, section 6.2), where it keeps its relative accuracy down
to the smallest float.
"""

import math
from functools import lru_cache

_TINY = 1e-300
_PRECISION = 1e-16
_TERMS = 100_000


def survival(statistic: float, degrees: int) -> float:
    """P(X >= statistic) for a chi-square variable with `degrees` >= 1 degrees of freedom."""
    if degrees < 1:
        raise ValueError(f"chi-square needs at least one degree of freedom; found {degrees}")
    if math.isnan(statistic):
        return math.nan
    if statistic <= 0:
        return 1.0
    if math.isinf(statistic):
        return 0.0
    a, x = degrees / 2, statistic / 2
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1 - scale * _series(a, x) if x < a + 1 else scale * _fraction(a, x)


@lru_cache(maxsize=4096)
def quantile(probability: float, degrees: int) -> float:
    """The critical value: the statistic that is exceeded with `probability`, for 1e-300 < probability < 1.

    Raises ValueError outside that range.
    """
    if not _TINY < probability < 1:
        raise ValueError(f"a critical value needs a probability between 0 and 1; found {probability}")
    low, high = 0.0, degrees + 10.0
    while survival(high, degrees) > probability:
        low, high = high, 2 * high
    middle = (low + high) / 2
    for _ in range(200):
        if survival(middle, degrees) > probability:
            low = middle
        else:
            high = middle
        middle = (low + high) / 2
        if high - low <= 1e-13 * high:
            break
    return middle


def _series(a: float, x: float) -> float:
    """P(a, x) / (x^a e^-x / Gamma(a)) by its series, for x < a + 1."""
    term = total = 1 / a
    for n in range(1, _TERMS):
        term *= x / (a + n)
        total += term
        if term < total * _PRECISION:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """Q(a, x) / (x^a e^-x / Gamma(a)) by its continued fraction (Lentz's method), for x >= a + 1."""
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    result = d
    for n in range(1, _TERMS):
        step = -n * (n - a)
        b += 2
        d = 1 / _nonzero(step * d + b)
        c = _nonzero(b + step / c)
        result *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return result


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
