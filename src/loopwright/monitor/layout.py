"""All counts of a window as one vector, so that what is asked of every feature is asked of all of them at once."""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwright.monitor.looks import Window, prediction_name
from loopwright.statistics.profile import Bins, Profile
from loopwright.statistics.shifts import Shifts

Floats = NDArray[np.float64]


class Evidence(Protocol):
    """An e-value of one feature's counts."""

    def log_e(self, observed: ArrayLike, dispersion: float = 1.0) -> float:
        """log of the e-value; see `statistics.shifts.Shifts.log_e`."""


class Layout:
    """Where each feature of a profile, and the prediction after them, stands in the vector."""

    def __init__(self, profile: Profile) -> None:
        self.bins: dict[str, Bins] = {**profile.watched, prediction_name(profile.features): profile.prediction}
        self.names = list(self.bins)
        self.reference: Floats = np.concatenate([bins.counts for bins in self.bins.values()]).astype(np.float64)
        self._sizes = np.array([len(bins.counts) for bins in self.bins.values()])
        self._begins = np.concatenate(([0], np.cumsum(self._sizes)[:-1]))

    def flat(self, window: Window) -> Floats:
        """All counts so far, shape (all bins,)."""
        return np.concatenate([*window.features.values(), window.prediction]).astype(np.float64)

    def part(self, counts: Floats, name: str) -> Floats:
        """The bins of one feature."""
        i = self.names.index(name)
        return counts[self._begins[i] : self._begins[i] + self._sizes[i]]

    def sums(self, values: Floats) -> Floats:
        """The sum over the bins of each feature: (..., all bins) to (..., features)."""
        return np.asarray(np.add.reduceat(values, self._begins, axis=-1))

    def spread(self, values: Floats) -> Floats:
        """A value of each feature for each of its bins: (..., features) to (..., all bins)."""
        return np.repeat(values, self._sizes, axis=-1)

    def evidence(self, name: str, min_effect: float) -> Evidence:
        """What is looked for in one feature, whose `log_e` takes what `part` gives."""
        bins = self.bins[name]
        return Shifts(tuple(bins.counts.astype(float).tolist()), bins.kind != "category", min_effect)

    def divergence(self, observed: Floats, dispersion: Floats) -> Floats:
        """The Jensen-Shannon distance of each feature from the reference, squared and corrected: (..., features).

        As `statistics.distances.jensen_shannon`, for many windows at once; 0 without rows.
        """
        return self._divergence(self.reference, observed, dispersion)

    def _divergence(self, reference: Floats, observed: Floats, dispersion: Floats) -> Floats:
        m, n = Layout.sums(self, reference), np.maximum(Layout.sums(self, observed), 1e-9)
        p, q = reference / self.spread(m), observed / self.spread(n)
        middle = np.maximum((p + q) / 2, 1e-300)
        terms = p * np.log2(np.maximum(p, 1e-300) / middle) + q * np.log2(np.maximum(q, 1e-300) / middle)
        occurring = Layout.sums(self, ((reference + observed) > 0).astype(np.float64))
        bias = dispersion * (occurring - 1) * (1 / n + 1 / m) / (8 * np.log(2))
        return np.asarray(np.clip(Layout.sums(self, terms) / 2 - bias, 0.0, 1.0))

    def homogeneity(self, first: Floats, second: Floats) -> tuple[Floats, Floats]:
        """(chi-square statistic, degrees of freedom) of two windows of live traffic, of each feature."""
        m, n = np.maximum(self.sums(first), 1e-9), np.maximum(self.sums(second), 1e-9)
        weight = self.spread(np.sqrt(m / n))
        both = np.maximum(first + second, 1e-9)
        terms = (weight * second - first / weight) ** 2 / both
        return self.sums(terms), np.maximum(self.sums((first + second > 0).astype(np.float64)) - 1, 0.0)
