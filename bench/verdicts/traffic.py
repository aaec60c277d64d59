"""Simulated traffic of two versions behind a router that draws the version of each request at random.

A `Course` holds what one simulated rollout meets: for each look the counts of both versions since the look before.
Counts are drawn for all looks at once, so that hundreds of rollouts take minutes; the product's `Step` and `Arm` are
made of their cumulative sums.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from loopwright.rollout.counts import ZERO, Arm
from loopwright.rollout.evidence import Step

BINS = 20
BEFORE = 20_000
"""The champion's requests that were counted before the rollout."""
LABELLED = 0.1
"""The share of predictions whose label comes."""
SIGMA = 0.5
"""Of the logarithm of a request's duration; the 99th percentile is 3.2 times the median."""
P99 = 2.3263478740408408
"""The standard normal distribution's 99 % quantile."""

Counts = NDArray[np.float64]
# What is counted of a version, in the order of the columns of `Course.champion` and `Course.challenger`.
COLUMNS = ("requests", "errors", "slow", "labels", "loss_sum", "loss_squares")


@dataclass(frozen=True)
class Scorer:
    """A scorer of a population with two classes: calibrated, with normal scores in each class."""

    auc: float
    positives: float = 0.26

    def losses(self, generator: np.random.Generator, n: int) -> Counts:
        """Brier losses of n labelled rows. AUC = Phi(d / sqrt 2) for normal scores d standard deviations apart."""
        distance = math.sqrt(2) * _normal_quantile(self.auc)
        label = generator.random(n) < self.positives
        score = generator.standard_normal(n) + np.where(label, distance / 2, -distance / 2)
        odds = np.exp(distance * score) * self.positives / (1 - self.positives)
        return np.asarray((odds / (1 + odds) - label) ** 2, dtype=float)


@dataclass(frozen=True)
class Version:
    """How one version behaves, when nothing happens to both."""

    errors: float = 0.01
    slow: float = 0.002
    """The share of its requests that take longer than the limit."""
    stall: int = 1
    """Slow requests come in groups of so many: those that were in flight when the process stalled."""
    scorer: Scorer | None = None


@dataclass(frozen=True)
class World:
    """The two versions and what happens to both."""

    champion: Version = Version()
    challenger: Version = Version()
    burst_share: float = 0.0
    """The share of minutes in which both versions fail `burst_errors` of their requests."""
    burst_errors: float = 0.2
    batch: int = 100
    """Requests to both versions between two looks."""
    minute: int = 1000
    """Requests to both versions in a minute, which is what Flagger looks at."""


@dataclass(frozen=True)
class Course:
    """One simulated rollout: rows are looks, `weights` the challenger's share at each in percent."""

    weights: NDArray[np.int64]
    champion: Counts
    challenger: Counts
    before: Counts
    minute: int
    """Looks in a minute."""
    bins: tuple[Counts, Counts] = field(repr=False, default=(np.zeros((0, BINS)), np.zeros((0, BINS))))

    def stages(self) -> Iterator[tuple[int, slice]]:
        """(weight, its looks) of each step."""
        edges = [0, *(np.flatnonzero(np.diff(self.weights)) + 1).tolist(), len(self.weights)]
        for start, end in itertools.pairwise(edges):
            yield int(self.weights[start]), slice(start, end)

    def looks(self) -> Iterator[tuple[int, list[Step]]]:
        """(look, the steps so far as the product has them)."""
        done: list[Step] = []
        for weight, part in self.stages():
            rows = [np.cumsum(side[part], axis=0) for side in (self.champion, self.challenger)]
            bins = [np.cumsum(side[part], axis=0) for side in self.bins]
            step = Step(weight, ZERO, ZERO)
            for at in range(part.stop - part.start):
                step = Step(weight, _arm(rows[0][at], bins[0][at]), _arm(rows[1][at], bins[1][at]))
                yield part.start + at, [*done, step]
            done.append(step)

    @property
    def earlier(self) -> Arm:
        """The champion's counts before the rollout."""
        return _arm(self.before, np.full(BINS, self.before[0] / BINS))


def draw(world: World, steps: Sequence[tuple[int, int]], generator: np.random.Generator) -> Course:
    """A rollout with steps of (weight, requests to both versions)."""
    weights = np.concatenate([np.full(requests // world.batch, weight) for weight, requests in steps])
    looks = len(weights)
    here = generator.binomial(world.batch, weights / 100)
    bad_minutes = generator.random(looks * world.batch // world.minute + 1) < world.burst_share
    burst = bad_minutes[np.arange(looks) * world.batch // world.minute]
    sides = [
        _side(version, n, burst, world, generator)
        for version, n in ((world.champion, world.batch - here), (world.challenger, here))
    ]
    minutes = BEFORE // world.minute
    earlier_burst = generator.random(minutes) < world.burst_share
    earlier = _side(world.champion, np.full(minutes, world.minute), earlier_burst, world, generator)
    bins = [generator.multinomial(side[:, 0].astype(int), np.full(BINS, 1 / BINS)).astype(float) for side in sides]
    return Course(
        weights, sides[0], sides[1], earlier.sum(axis=0), max(1, world.minute // world.batch), (bins[0], bins[1])
    )


def _side(
    version: Version, n: NDArray[np.int64], burst: NDArray[np.bool_], world: World, generator: np.random.Generator
) -> Counts:
    """What one version does in each batch of n requests: an array of looks by COLUMNS."""
    errors = generator.binomial(n, np.where(burst, world.burst_errors, version.errors))
    stalls = generator.binomial(n, version.slow / version.stall)
    slow = np.minimum(stalls * version.stall, n)
    labels = np.zeros(len(n), dtype=np.int64)
    sums, squares = np.zeros(len(n)), np.zeros(len(n))
    if version.scorer is not None:
        labels = generator.binomial(n, LABELLED)
        loss = version.scorer.losses(generator, int(labels.sum()))
        look = np.repeat(np.arange(len(n)), labels)
        sums = np.bincount(look, loss, len(n))
        squares = np.bincount(look, loss**2, len(n))
    return np.column_stack([n, errors, slow, labels, sums, squares]).astype(float)


def slower(factor: float) -> float:
    """The share above the former 99th percentile when all log-normal durations are `factor` times as long."""
    return 0.5 * math.erfc((P99 - math.log(factor) / SIGMA) / math.sqrt(2))


def _arm(row: Counts, bins: Counts) -> Arm:
    requests, errors, slow, labels, loss, squares = row.tolist()
    return Arm(requests, errors, 0.0, requests, slow, tuple(bins.tolist()), labels, loss, squares)


def _normal_quantile(p: float) -> float:
    return NormalDist().inv_cdf(p)
