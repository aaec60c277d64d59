"""A metric as it was measured: its value, and how sure that is."""

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Measured:
    """A metric: its value, its standard error (NaN where it has none), and how many labels it rests on."""

    value: float
    error: float
    n: float
    share: bool = False
    """Whether it lies between 0 and 1."""

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The two-sided interval. Wilson's for shares, with the number of labels that the error amounts to.

        Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22, 209-212.
        """
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        if not self.share or not math.isfinite(self.error):
            return self.value - z * self.error, self.value + z * self.error
        spread = self.value * (1 - self.value)
        n = spread / self.error**2 if self.error > 0 and spread > 0 else self.n
        middle = (self.value + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(spread / n + z * z / (4 * n * n))
        return max(middle - half, 0.0), min(middle + half, 1.0)


def mean(n: float, total: float, squares: float) -> Measured:
    """The mean of n values from their sum and the sum of their squares."""
    value = total / n
    return Measured(value, math.sqrt(max(squares / n - value**2, 0.0) / (n - 1)) if n > 1 else math.nan, n)
