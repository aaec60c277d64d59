"""What labels said of each version, as sums: since the start, for Prometheus, and over the recent time, for the alarm.

Every version has one matrix of sums, a row for everything and a row for each value of each declared slice, so that a
snapshot is a copy and a window a difference, as with the counters of drift. Its predictions are counted by the same
bins, without labels, so that performance can be estimated before they come. Memory depends on versions, bins and
slices alone.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.monitor.labels import Pairs
from loopwright.statistics.labelled import Scores, tally
from loopwright.statistics.measured import Measured
from loopwright.statistics.profile import Bins, Profile

Floats = NDArray[np.float64]
Group = tuple[str, str]
"""A slice and one of its values; ("", "") is everything."""

EVERYTHING: Group = ("", "")


@dataclass(frozen=True)
class Sums:
    """Sums of labels, and counts of predictions with and without, a row a group."""

    labels: Floats
    scored: Floats


class VersionLabels:
    """One version's sums."""

    def __init__(self, profile: Profile, slices: Sequence[str], looks: int) -> None:
        self.profile, self.tally = profile, tally(profile)
        # A version may lack an input that another one has.
        self.slices = [name if name in profile.features else None for name in slices]
        self.groups: list[Group] = [EVERYTHING]
        self._starts: list[int] = []
        for name in self.slices:
            self._starts.append(len(self.groups))
            self.groups += [(name, value) for value in values(profile.features[name])] if name else []
        rows = len(self.groups)
        bins = len(self.tally.scored(np.zeros(0)))
        self.totals = Sums(np.zeros((rows, self.tally.size)), np.zeros((rows, bins)))
        self._ring: deque[Sums] = deque([self._copy()], maxlen=looks)
        self.delay, self.delayed, self.newest = 0.0, 0, 0.0

    @property
    def reference(self) -> Floats | None:
        """The sums of the rows held out in training; None of a profile without, or with another tally's."""
        known = self.profile.labelled
        return np.array(known) if known is not None and len(known) == self.tally.size else None

    def score(self, columns: Mapping[str, NDArray[Any]], predictions: Floats) -> NDArray[np.int16]:
        """Count a batch of predictions, and give the bin of each in every slice (n, slices), -1 where it has none."""
        codes = np.full((len(predictions), len(self.slices)), -1, dtype=np.int16)
        for number, name in enumerate(self.slices):
            if name is not None:
                codes[:, number] = self.profile.features[name].assign(columns[name])
        finite = np.isfinite(predictions)
        for row, which in self._rows(codes, finite):
            self.totals.scored[row] += self.tally.scored(predictions[which])
        return codes

    def add(self, pairs: Pairs) -> None:
        """Take in labels with their predictions."""
        everything = np.ones(len(pairs.truth), dtype=np.bool_)
        for row, which in self._rows(pairs.codes, everything):
            self.totals.labels[row] += self.tally.of(pairs.truth[which], pairs.predictions[which])
        self.delay += float(pairs.delays.sum())
        self.delayed += len(pairs.delays)
        self.newest = max(self.newest, pairs.at)

    def mark(self) -> None:
        """End a look: what comes from here on belongs to the next one."""
        self._ring.append(self._copy())

    def window(self) -> Sums:
        """What came since the oldest mark in the ring."""
        oldest = self._ring[0]
        labels, scored = self.totals.labels - oldest.labels, self.totals.scored - oldest.scored
        # Sums of losses that are subtracted keep a rounding; what has no label has no loss either.
        labels[[self.tally.count(row) == 0 for row in labels]] = 0.0
        return Sums(labels, scored)

    def measured(self, sums: Sums) -> Iterator[tuple[Group, int, dict[str, Measured]]]:
        """Each group that has labels, how many, and its metrics."""
        for group, row in zip(self.groups, sums.labels, strict=True):
            if count := self.tally.count(row):
                yield group, count, self.tally.measure(row)

    def estimated(self, sums: Sums) -> dict[str, Measured]:
        """The metrics of all predictions, with labels or without, as the reference lets one expect them."""
        return {} if self.reference is None else self.tally.estimate(self.reference, sums.scored[0])

    def confusions(self, sums: Sums) -> dict[Group, tuple[float, float, float, float]]:
        """True negatives, false positives, false negatives and true positives of each group of a classification."""
        if not isinstance(self.tally, Scores):
            return {}
        return {
            group: self.tally.confusion(row)
            for group, row in zip(self.groups, sums.labels, strict=True)
            if self.tally.count(row)
        }

    def _copy(self) -> Sums:
        return Sums(self.totals.labels.copy(), self.totals.scored.copy())

    def _rows(self, codes: NDArray[np.int16], which: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Each row of the sums that some of the predictions belong to, and which of them."""
        yield 0, which
        for number, (name, start) in enumerate(zip(self.slices, self._starts, strict=True)):
            if name is None:
                continue
            own = codes[:, number]
            for code in np.unique(own[which]).tolist():
                # A version that was forgotten and came again with fewer bins has none for what was remembered.
                if code >= 0 and start + code < len(self.groups) and self.groups[start + code][0] == name:
                    yield start + code, which & (own == code)


def values(bins: Bins) -> list[str]:
    """What the bins of a slice are called."""
    if bins.kind == "category":
        return ["(missing)", "(other)", *bins.values, *(["(rare)"] if bins.known is not None else [])]
    edges = [f"{edge:g}" for edge in bins.edges.tolist()]
    inner = [f"{low} to {high}" if low != high else low for low, high in pairwise(edges)]
    # With few distinct numbers an interval each, its ends may be written alike.
    unique = [name if inner.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(inner, start=1)]
    return ["(missing)", f"below {edges[0]}", *unique, f"above {edges[-1]}"]
