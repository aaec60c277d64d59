"""The tally of more than two classes: how often each class was decided to be each, once labels say which it was.

A prediction is here the place of the decided class. What follows from these counts is exact: accuracy, and the means
over the classes of recall (`balanced_accuracy`) and of F1 (`f1_macro`). Areas and losses would need the probabilities
of every class, which events do not carry; nor can performance be estimated before labels come.
"""

import math

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.measured import Measured

Floats = NDArray[np.float64]


class Decisions:
    """Places of labels and of decided classes. Sums: a confusion matrix, line by line, a line a true class."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.size = classes * classes

    def of(self, truth: Floats, predicted: Floats) -> Floats:
        """The sums of (n,) places of labels and of decided classes; what was not decided is not counted."""
        known = np.isfinite(predicted) & (predicted >= 0)
        cells = truth[known].astype(np.intp) * self.classes + predicted[known].astype(np.intp)
        return np.bincount(cells, minlength=self.size).astype(np.float64)

    def count(self, sums: Floats) -> int:
        """How many labels there are."""
        return round(float(sums.sum()))

    def measure(self, sums: Floats) -> dict[str, Measured]:
        """accuracy, balanced_accuracy and f1_macro, of the classes that occur; errors by the delta method.

        The cells are multinomial counts: the variance of a function of their shares is that of its gradient.
        """
        n = float(sums.sum())
        if n == 0:
            return {}
        table = sums.reshape(self.classes, self.classes)
        hits, true, said = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
        value = float(hits.sum() / n)
        accuracy = Measured(value, math.sqrt(value * (1 - value) / n), n, share=True)
        # Of recall h / t: a cell of the class's line adds its hit less the recall, over t.
        recall, there = _shares(hits, true)
        of_line = -recall / np.where(there, true, 1.0)
        gradient = np.where(there, of_line, 0.0)[:, None] + np.diag(
            np.where(there, 1.0 / np.where(there, true, 1.0), 0.0)
        )
        balanced = _mean(table, gradient, recall, there)
        # Of F1 2h / (t + s): line and column of the class.
        whole = true + said
        f1, known = _shares(2 * hits, whole)
        part = np.where(known, f1 / np.where(known, whole, 1.0), 0.0)
        gradient = -part[:, None] - part[None, :] + np.diag(np.where(known, 2.0 / np.where(known, whole, 1.0), 0.0))
        return {"accuracy": accuracy, "balanced_accuracy": balanced, "f1_macro": _mean(table, gradient, f1, known)}

    def scored(self, predicted: Floats) -> Floats:
        """Counts of (n,) decided classes."""
        known = predicted[np.isfinite(predicted) & (predicted >= 0)]
        return np.bincount(known.astype(np.intp), minlength=self.classes).astype(np.float64)

    def estimate(self, reference: Floats, scored: Floats) -> dict[str, Measured]:
        """Nothing: what was decided does not say how sure it was."""
        return {}


def _shares(parts: Floats, wholes: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    there = wholes > 0
    return np.where(there, parts / np.where(there, wholes, 1.0), 0.0), there


def _mean(table: Floats, gradient: Floats, values: Floats, there: NDArray[np.bool_]) -> Measured:
    """The mean over the classes that are there, with the error of a gradient by counts, of which each class has its."""
    number = int(there.sum())
    slopes = gradient / number
    # The mean of the gradient is zero: shares do not change when all counts are doubled.
    variance = float((table * slopes**2).sum())
    return Measured(float(values.sum() / number), math.sqrt(variance), float(table.sum()), share=True)
