"""How much more live counts vary than those of independent rows would, learnt from the traffic itself.

One customer who asks thirty times is thirty events and one piece of evidence. Tests that take events for independent
raise false alarms then. Nothing tells the monitor who asked, but repeats show: the counts of neighbouring stretches of
time differ more than chance allows. On average chi-square / degrees of freedom of such pairs is the factor by which
the variance is greater (Pearson's dispersion; McCullagh & Nelder 1989, "Generalized Linear Models", section 4.5), and
tests divide by it (first-order correction of Rao & Scott 1981, JASA 76, 221-230).

Repeats that are far apart show in long stretches only, so stretches of 1, 2, 4 .. looks are compared, and the greatest
factor counts. Neighbours are compared, not stretches with the reference, and their median is taken: a shift that stays
is one pair among many, so that drift does not hide itself.
"""

import numpy as np

from loopwright.monitor.layout import Floats, Layout

SCALES = 7
"""Stretches of 1 to 64 looks: repeats that are further apart than six windows are not seen."""
MEMORY = 64
"""Pairs that are remembered at each scale."""
LEAST_PAIRS = 3
"""Pairs at one scale without which nothing is known of a feature: the first six looks, where there are events."""
# Standard errors above 1 at which a factor is believed; and those added to it then, as a factor that is too small
# multiplies false alarms, while one that is too large costs a little time.
_BELIEVED, _ADDED = 3.0, 1.0
# Stretches of several looks need so many pairs: a shift that comes and goes is two of them.
_LEAST_LONG = 8
_LEAST_ROWS = 20.0


class Dispersion:
    """The factor of each feature; looks go in."""

    def __init__(self, layout: Layout) -> None:
        features = len(layout.names)
        self._layout = layout
        self._waiting: list[Floats | None] = [None] * SCALES
        self._ratios = np.full((SCALES, MEMORY, features), np.nan)
        self._pairs = np.zeros(SCALES, dtype=np.int64)
        self._factors = np.full((SCALES, features), np.nan)

    def add(self, counts: Floats) -> None:
        """Take in what was counted between two looks, shape (all bins,).

        A look without events says nothing, and traffic that comes in bursts is compared burst by burst.
        """
        if not counts.any():
            return
        for scale in range(SCALES):
            before = self._waiting[scale]
            if before is None:
                self._waiting[scale] = counts
                return
            self._waiting[scale] = None
            self._compare(scale, before, counts)
            counts = before + counts

    def _compare(self, scale: int, first: Floats, second: Floats) -> None:
        statistic, degrees = self._layout.homogeneity(first, second)
        rows = np.minimum(self._layout.sums(first), self._layout.sums(second))
        if not (rows >= _LEAST_ROWS).all():
            return
        # The median of chi-square by Wilson & Hilferty's approximation. What is constant in both varies no more.
        free = np.maximum(degrees, 1.0)
        ratios = np.where(degrees > 0, statistic / free / (1 - 2 / (9 * free)) ** 3, 1.0)
        self._ratios[scale, self._pairs[scale] % MEMORY] = ratios
        self._pairs[scale] += 1
        pairs = min(int(self._pairs[scale]), MEMORY)
        if pairs >= (_LEAST_LONG if self.known and scale else LEAST_PAIRS):
            factor = np.median(self._ratios[scale, :pairs], axis=0)
            # The relative error of a median: 1.25 times that of a mean, and more with one or two degrees of freedom.
            error = 1.25 * np.sqrt(2 / (free * pairs)) * (1 + 1 / (3 * free))
            self._factors[scale] = np.where(factor > 1 + _BELIEVED * error, factor * (1 + _ADDED * error), 1.0)

    @property
    def known(self) -> bool:
        """Whether there was enough traffic to tell."""
        return not np.isnan(self._factors).all()

    def factors(self) -> Floats:
        """The factor of each feature, at least 1, shape (features,); 1 until it is known."""
        return np.asarray(np.nanmax(self._factors, axis=0) if self.known else np.ones(len(self._layout.names)))
