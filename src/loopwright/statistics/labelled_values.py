"""The tally of a regression: moments of errors and labels, and losses by bins of the prediction.

Everything is summed in units of the training labels' standard deviation, about the middle of the reference's
predictions: fourth powers of raw values would lose every digit of a label with a large mean.
"""

import math

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.measured import Measured, mean
from loopwright.statistics.profile import NumberBins

Floats = NDArray[np.float64]

_MOST = 1e60  # an error in units is clipped here: its fourth power, summed, stays finite
_MOMENTS = 10


class Values:
    """Values and labels. Sums: ten moments, then labels, absolute and squared errors a bin of the prediction."""

    def __init__(self, prediction: NumberBins, label_variance: float | None) -> None:
        """`prediction` are the reference's bins; without a variance the unit is the label's own."""
        self._bins = prediction
        self.bins = len(prediction.edges) + 2
        self.centre = float(np.median(prediction.edges))
        self.unit = math.sqrt(label_variance) if label_variance else 1.0
        self.size = _MOMENTS + 3 * self.bins

    def of(self, truth: Floats, predicted: Floats) -> Floats:
        """The sums of (n,) labels and predicted values."""
        error = np.clip((predicted - truth) / self.unit, -_MOST, _MOST)
        label = np.clip((truth - self.centre) / self.unit, -_MOST, _MOST)
        loss, square = np.abs(error), error**2
        moments = [
            float(len(truth)), loss.sum(), square.sum(), (square**2).sum(), label.sum(), (label**2).sum(),
            (label**3).sum(), (label**4).sum(), (square * label).sum(), (square * label**2).sum(),
        ]  # fmt: skip
        bins = self._bins.assign(predicted)
        by_bin = [np.bincount(bins, weights, self.bins) for weights in (np.ones(len(truth)), loss, square)]
        return np.concatenate([moments, *by_bin])

    def count(self, sums: Floats) -> int:
        """How many labels there are."""
        return round(float(sums[0]))

    def measure(self, sums: Floats) -> dict[str, Measured]:
        """rmse and mae in the label's units, and r2 where the labels differ; errors by the delta method."""
        n, loss, square, fourth, *_ = sums[:_MOMENTS].tolist()
        if n == 0:
            return {}
        absolute, squared = mean(n, loss, square), mean(n, square, fourth)
        root = math.sqrt(squared.value)
        error = squared.error / (2 * root) if root > 0 else 0.0
        found = {
            "rmse": Measured(root * self.unit, error * self.unit, n),
            "mae": Measured(absolute.value * self.unit, absolute.error * self.unit, n),
        }
        if (explained := _explained(sums[:_MOMENTS] / n, n)) is not None:
            found["r2"] = explained
        return found

    def scored(self, predicted: Floats) -> Floats:
        """Counts of (n,) predicted values a bin of the reference's predictions."""
        return self._bins.count(predicted).astype(np.float64)

    def estimate(self, reference: Floats, scored: Floats) -> dict[str, Measured]:
        """rmse and mae, if the errors of the reference hold for each bin of the prediction."""
        counts, losses, squares = reference[_MOMENTS:].reshape(3, self.bins)
        known = counts > 0
        n = float(scored[known].sum())
        # Most of what is predicted lies where the reference has no predictions: nothing can be said.
        if n == 0 or n < scored.sum() / 2:
            return {}
        weights = scored[known] / n
        absolute, squared = weights @ (losses[known] / counts[known]), weights @ (squares[known] / counts[known])
        return {
            "rmse": Measured(math.sqrt(float(squared)) * self.unit, math.nan, n),
            "mae": Measured(float(absolute) * self.unit, math.nan, n),
        }


def _explained(moments: Floats, n: float) -> Measured | None:
    """R2 from the means of the moments: 1 - U/V, with the squared error U and the labels' variance V."""
    _, _, u, u2, m, m2, m3, m4, um, um2 = moments.tolist()
    v = m2 - m * m
    if v <= 1e-12 * max(m2, 1e-300) or n < 2:
        return None
    ratio = u / v
    # Of the deviations d = label - m: the means of u d^2 and of d^4, expanded in the raw moments.
    crossed = um2 - 2 * m * um + m * m * u
    fourth = m4 - 4 * m * m3 + 6 * m * m * m2 - 3 * m**4
    variance = (u2 - 2 * ratio * crossed + ratio**2 * fourth) / v**2 / n
    return Measured(1 - ratio, math.sqrt(max(variance, 0.0)), n)
