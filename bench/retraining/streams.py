"""A year of simulated traffic: rows with their time in days, their features, their labels, and what happened when.

Each stream has changes that matter (what the model learned is no longer so) and one that does not (a feature that moves
and that the label does not depend on). They are simulations: none of the names stands for a real data set.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HISTORY, DAYS = 60, 365
"""Days before the first model and after it."""


@dataclass(frozen=True)
class Stream:
    """Rows in order of time; day 0 is the first day of the first model."""

    name: str
    task: str
    days: Floats
    features: Floats
    labels: Floats
    delay: float
    """Days until a row's label is known."""
    matters: tuple[int, ...]
    """Days of changes that a model has to learn."""
    idle: tuple[int, ...]
    """Days of changes that make no difference to the label."""


def churn(seed: int) -> Stream:
    """200 customers a day; two shocks change the mix and what drives leaving; day 180 moves an unrelated feature."""
    generator = np.random.default_rng([1, seed])
    days, x = _rows(generator, 200, 8)
    first, second = days >= 110, days >= 260
    x[:, 0] += 0.8 * first
    x[:, 1] += -0.8 * second
    x[:, 7] += 1.0 * (days >= 180)
    weight = np.array([1.2, -0.9, 0.7, 0.5, 0.0, 0.0, 0.0, 0.0])
    score = x @ weight - 1.0
    score += first * (-1.8 * x[:, 0] + 1.2 * x[:, 4]) + second * (1.6 * x[:, 1] - 1.0 * x[:, 2])
    return Stream("churn", "classification", days, x, _coin(generator, score), 7.0, (110, 260), (180,))


def demand(seed: int) -> Stream:
    """240 rows a day; a yearly season in two features, growth of 60 % over the year, and a new price at day 200."""
    generator = np.random.default_rng([2, seed])
    days, x = _rows(generator, 240, 6)
    season = np.sin(2 * np.pi * days / 365)
    x[:, 0] += 1.5 * season
    x[:, 1] += 0.6 * season
    price = days >= 200
    x[:, 2] += 1.0 * price
    x[:, 5] += 1.0 * (days >= 100)
    level = 10 + 2 * x[:, 0] + x[:, 1] ** 2 + np.where(price, -2.5, -0.5) * x[:, 2]
    labels = level * (1 + 0.6 * np.clip(days, 0, None) / 365) + generator.standard_normal(len(days))
    return Stream("demand", "regression", days, x, labels, 1.0, (200,), (100,))


def electricity(seed: int) -> Stream:
    """48 half hours a day in four regions, autocorrelated; regimes of 30 to 70 days, of which a part shows in features.

    Modelled on Elec2 (Harries 1999; whether the price is above the day's mean), whose changes come often and return.
    """
    generator = np.random.default_rng([3, seed])
    days, x = _rows(generator, 192, 6)
    # Neighbouring rows are alike: an AR(1) of 0.9 in the first two features.
    for column in (0, 1):
        value = 0.0
        for i, noise in enumerate(generator.standard_normal(len(days)) * np.sqrt(1 - 0.81)):
            value = 0.9 * value + noise
            x[i, column] = value
    starts = np.cumsum(generator.integers(30, 71, 10))
    starts = starts[starts < DAYS]
    regime = np.searchsorted(starts, days, side="right") % 3
    weights = np.array([[1.5, -1.0, 0.8, 0, 0, 0], [-1.0, 1.2, 0.8, 0.8, 0, 0], [0.5, 1.0, -1.5, 0.8, 0, 0]])
    x[:, 2] += np.array([0.0, 0.8, 0.8])[regime]
    x[:, 3] += np.array([0.0, 0.0, -0.9])[regime]
    idle = int(starts[0]) + 15
    x[:, 5] += 1.0 * (days >= idle)
    score = (x * weights[regime]).sum(axis=1)
    return Stream(
        "electricity", "classification", days, x, _coin(generator, score), 1.0, tuple(starts.tolist()), (idle,)
    )


STREAMS: dict[str, Callable[[int], Stream]] = {"churn": churn, "demand": demand, "electricity": electricity}


def _rows(generator: np.random.Generator, rate: int, features: int) -> tuple[Floats, Floats]:
    number = rate * (HISTORY + DAYS)
    return np.arange(number) / rate - HISTORY, generator.standard_normal((number, features))


def _coin(generator: np.random.Generator, score: Floats) -> Floats:
    return (generator.random(len(score)) < 1 / (1 + np.exp(-score))).astype(float)
