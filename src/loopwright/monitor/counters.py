"""Counts of a version's events in its profile's bins: cumulative since the start, and in the window.

All counts of a version are one vector, or one a season where the profile has seasons, so that a snapshot is a copy and
a window a difference. A ring keeps one snapshot a look, of the sum and of the events by season. Memory depends on the
number of versions and bins only, and versions are few: beyond `MOST_VERSIONS`, the one that was idle longest is
forgotten.
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.monitor.drift import Window
from loopwright.statistics.profile import Counts, Profile, class_name

MOST_VERSIONS = 16
BUCKETS = 20
"""Equal buckets of a probability, 0 to 1, shared by all versions, so that a rollout can compare them.

Of more than two classes it is the decided ones that are counted, in their order.
"""


class OtherProfileError(ValueError):
    """A version is already known with another profile."""


class VersionCounts:
    """One version's counts."""

    def __init__(self, profile: Profile, looks: int) -> None:
        self.profile = profile
        sizes = [len(bins.counts) for bins in profile.watched.values()]
        ends = np.cumsum([1, *sizes, len(profile.prediction.counts)]).tolist()
        self._features = {
            name: slice(start, end) for name, start, end in zip(profile.watched, ends, ends[1:], strict=False)
        }
        self._prediction = slice(ends[-2], ends[-1])
        self.seasonal: Counts = np.zeros((profile.seasonality.number if profile.seasonality else 1, ends[-1]), np.int64)
        """By season, (seasons, 1 + bins): events, then the bins; one season where the profile has none."""
        self._ring: deque[tuple[Counts, Counts]] = deque([self._now()], maxlen=looks)
        self.buckets: Counts = np.zeros(0, dtype=np.int64)
        self.unknown_columns = 0
        self.seen = 0.0
        self.since = 0.0

    def add(
        self,
        columns: Mapping[str, NDArray[Any]],
        predictions: NDArray[np.float64],
        decided: Counts | None = None,
        season: int = 0,
    ) -> None:
        """Count one batch of events of one season; every column has as many values as there are predictions.

        `decided` are the predicted classes by their place; without, they follow from the predictions.
        """
        counts = list(self.profile.count(columns).values())
        if self.profile.predicted_class is not None:
            decided = self.profile.decide(predictions) if decided is None else decided
            counts.append(self.profile.count_classes(decided))
        whole = np.concatenate([[len(predictions)], *counts, self.profile.count_predictions(predictions)])
        self.seasonal[season] += whole

    def season(self, moment: datetime) -> int:
        """The season of a moment of the loop's clock."""
        return self.profile.seasonality.at(moment) if self.profile.seasonality else 0

    def mark(self) -> None:
        """End a look: what is counted from here on belongs to the next one."""
        self._ring.append(self._now())

    def totals(self) -> Window:
        """Everything since the start."""
        strata = self.seasonal[:, 1:].copy() if self.profile.seasonality else None
        return self._split(*self._now(), strata)

    def window(self) -> Window:
        """What was counted since the oldest mark in the ring."""
        (counts, seasons), (before, seasons_before) = self._now(), self._ring[0]
        return self._split(counts - before, seasons - seasons_before)

    def classes(self) -> list[int]:
        """How often each class was predicted, in the order of the profile's; empty where it does not say."""
        if self.profile.predicted_class is None:
            return []
        where = self._features[class_name(self.profile.features)]
        return [int(count) for count in self.seasonal[:, where].sum(axis=0)[2:]]

    @property
    def events(self) -> int:
        """All events since the start."""
        return int(self.seasonal[:, 0].sum())

    @property
    def recent(self) -> int:
        """The events in the window."""
        return int(self.seasonal[:, 0].sum() - self._ring[0][0][0])

    def _now(self) -> tuple[Counts, Counts]:
        """All counts so far, and the events by season."""
        return self.seasonal.sum(axis=0), self.seasonal[:, 0].copy()

    def _split(self, counts: Counts, seasons: Counts, strata: Counts | None = None) -> Window:
        features = {name: counts[where] for name, where in self._features.items()}
        by_season = seasons if self.profile.seasonality else None
        return Window(int(counts[0]), features, counts[self._prediction], by_season, strata)


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
        counts.buckets = np.zeros(self._size(profile), np.int64)
        counts.seen = counts.since = at
        self.versions[version] = counts
        return True

    def add(
        self,
        version: str,
        columns: Mapping[str, NDArray[Any]],
        predictions: NDArray[np.float64],
        at: float,
        decided: Counts | None = None,
        season: int = 0,
    ) -> None:
        """Count one batch of a known version's events of one season, received at the real moment `at`."""
        counts = self.versions[version]
        counts.add(columns, predictions, decided, season)
        classes = len(counts.profile.classes)
        if classes > 2:
            known = np.zeros(0, np.int64) if decided is None else decided[decided >= 0]
            counts.buckets += np.bincount(known, minlength=classes)
        else:
            counts.buckets += self._bucketed(predictions)
        counts.seen = at

    def mark(self) -> None:
        """End a look of every version."""
        for counts in self.versions.values():
            counts.mark()

    def _size(self, profile: Profile) -> int:
        assert self._shared is not None, "the first version's profile is what is shared"
        if len(profile.classes) > 2:
            return len(profile.classes)
        return BUCKETS if self._probability else len(self._shared.prediction.counts)

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
