"""Counts of a version's events in its profile's bins: cumulative since the start, and in the window.

All counts of a version are one vector, so that a snapshot is a copy and a window a difference. A ring keeps one
snapshot a look. Memory depends on the number of versions and bins only, and versions are few: beyond `MOST_VERSIONS`,
the one that was idle longest is forgotten.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.monitor.drift import Window
from loopwright.statistics.profile import Counts, Profile

MOST_VERSIONS = 16
BUCKETS = 20
"""Equal buckets of a probability, 0 to 1, shared by all versions, so that a rollout can compare them."""


class OtherProfileError(ValueError):
    """A version is already known with another profile."""


class VersionCounts:
    """One version's counts."""

    def __init__(self, profile: Profile, looks: int) -> None:
        self.profile = profile
        sizes = [len(bins.counts) for bins in profile.features.values()]
        ends = np.cumsum([1, *sizes, len(profile.prediction.counts)]).tolist()
        self._features = {
            name: slice(start, end) for name, start, end in zip(profile.features, ends, ends[1:], strict=False)
        }
        self._prediction = slice(ends[-2], ends[-1])
        self._totals = np.zeros(ends[-1], dtype=np.int64)
        self._ring: deque[Counts] = deque([self._totals.copy()], maxlen=looks)
        self.buckets: Counts = np.zeros(0, dtype=np.int64)
        self.unknown_columns = 0
        self.seen = 0.0
        self.since = 0.0

    def add(self, columns: Mapping[str, NDArray[Any]], predictions: NDArray[np.float64]) -> None:
        """Count one batch of events; every column has as many values as there are predictions."""
        counts = self.profile.count(columns).values()
        self._totals += np.concatenate([[len(predictions)], *counts, self.profile.count_predictions(predictions)])

    def mark(self) -> None:
        """End a look: what is counted from here on belongs to the next one."""
        self._ring.append(self._totals.copy())

    def totals(self) -> Window:
        """Everything since the start."""
        return self._split(self._totals)

    def window(self) -> Window:
        """What was counted since the oldest mark in the ring."""
        return self._split(self._totals - self._ring[0])

    @property
    def events(self) -> int:
        """All events since the start."""
        return int(self._totals[0])

    @property
    def recent(self) -> int:
        """The events in the window."""
        return int(self._totals[0] - self._ring[0][0])

    def _split(self, counts: Counts) -> Window:
        features = {name: counts[where] for name, where in self._features.items()}
        return Window(int(counts[0]), features, counts[self._prediction])


class Counters:
    """All versions' counts."""

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._shared: Profile | None = None
        self.versions: dict[str, VersionCounts] = {}

    def put(self, version: str, profile: Profile, at: float) -> bool:
        """Make a version known; whether it is new. Raises OtherProfileError when it is known with another profile."""
        known = self.versions.get(version)
        if known is not None:
            if known.profile.to_json() != profile.to_json():
                raise OtherProfileError(f"version {version} is already known with another profile")
            return False
        if len(self.versions) >= MOST_VERSIONS:
            del self.versions[min(self.versions, key=lambda name: self.versions[name].seen)]
        self._shared = self._shared or profile
        counts = VersionCounts(profile, self._looks)
        counts.buckets = np.zeros(BUCKETS if self._probability else len(self._shared.prediction.counts), np.int64)
        counts.seen = counts.since = at
        self.versions[version] = counts
        return True

    def add(
        self, version: str, columns: Mapping[str, NDArray[Any]], predictions: NDArray[np.float64], at: float
    ) -> None:
        """Count one batch of a known version's events, received at the real moment `at`."""
        counts = self.versions[version]
        counts.add(columns, predictions)
        counts.buckets += self._bucketed(predictions)
        counts.seen = at

    def mark(self) -> None:
        """End a look of every version."""
        for counts in self.versions.values():
            counts.mark()

    @property
    def _probability(self) -> bool:
        return self._shared is not None and self._shared.task == "classification"

    def _bucketed(self, predictions: NDArray[np.float64]) -> Counts:
        """Counts in the bins that versions share: equal ones of a probability, or the first profile's."""
        assert self._shared is not None, "events are counted for known versions only"
        if not self._probability:
            return self._shared.count_predictions(predictions)
        finite = predictions[np.isfinite(predictions)]
        return np.bincount(np.clip(finite * BUCKETS, 0, BUCKETS - 1).astype(np.int64), minlength=BUCKETS)
