"""The traffic of the last days as a second reference, for what drifts suddenly.

Against the training data a model that serves for months drifts slowly, and an alarm of that hides what broke this
morning. So the window is held against the traffic of the span before it, too (`monitor.recent`): what the monitor
counted itself, in some dozens of buckets that come and go. The window's own looks are not in it. Where the profile
has seasons, so has this reference: Monday's window is held against last Monday.

Until a whole span has been counted it says nothing. What has changed becomes part of the span as time passes, so that
its alarms end by themselves.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from loopwright.monitor.looks import Window, prediction_name
from loopwright.monitor.seasonal import SeasonalLayout
from loopwright.statistics.profile import Bins, CategoryBins, Counts, NumberBins, Profile, class_name

BUCKETS = 56
"""Parts of the span that are forgotten at once: three hours of a week."""

Sparse = dict[int, Counts]
"""Bins by season, of the seasons that there are."""


@dataclass
class Bucket:
    """What was counted from a moment on."""

    begin: float
    counts: Sparse = field(default_factory=dict)

    def add(self, counts: Sparse) -> None:
        """Take in more counts."""
        for season, bins in counts.items():
            self.counts[season] = self.counts[season] + bins if season in self.counts else bins


class Recent:
    """The span before the window, of one version; all counts so far go in at every look."""

    def __init__(self, profile: Profile, span: float, looks: int) -> None:
        """`span` in real seconds; `looks` are those of a window."""
        self._profile, self._span, self._looks = profile, span, looks
        self._bins: dict[str, Bins] = {**profile.watched, prediction_name(profile.features): profile.prediction}
        self._size = sum(len(bins.counts) for bins in self._bins.values())
        self._seasons = profile.seasonality.number if profile.seasonality else 1
        self._before: Counts = np.zeros((self._seasons, self._size), dtype=np.int64)
        self._window: deque[tuple[float, Sparse]] = deque()
        self._buckets: deque[Bucket] = deque()
        self._since: float | None = None

    def step(self, totals: Window, at: float) -> None:
        """Take in all counts so far, at the real moment `at`: what left the window since belongs to the span."""
        table = totals.strata
        if table is None:
            table = np.concatenate([*totals.features.values(), totals.prediction])[np.newaxis]
        new = table - self._before
        self._before = table
        if self._since is None and new.any():
            self._since = at
        self._window.append((at, {int(season): new[season].copy() for season in np.flatnonzero(new.any(axis=1))}))
        while len(self._window) > self._looks:
            moment, counts = self._window.popleft()
            if not self._buckets or moment - self._buckets[-1].begin >= self._span / BUCKETS:
                self._buckets.append(Bucket(moment))
            self._buckets[-1].add(counts)
        self._forget(at)
        if not self._buckets and not any(counts for _, counts in self._window):
            self._since = None

    def reference(self, window: Window, at: float) -> Profile | None:
        """What a window is held against; None while a whole span has not been counted, or without any events in it."""
        if self._since is None or at - self._since < self._span:
            return None
        table = np.zeros((self._seasons, self._size), dtype=np.int64)
        for bucket in self._buckets:
            for season, bins in bucket.counts.items():
                table[season] += bins
        if not table.any():
            return None
        ends = np.cumsum([len(bins.counts) for bins in self._bins.values()])[:-1]
        parts = dict(zip(self._bins, np.split(table, ends, axis=1), strict=True))
        seasonal = self._profile.seasonality is not None
        found = {
            name: replace(bins, counts=parts[name].sum(axis=0), seasonal=parts[name] if seasonal else None)
            for name, bins in self._bins.items()
        }
        features = self._profile.features
        # `replace` keeps the kind of bins.
        profile = replace(
            self._profile,
            features={name: found[name] for name in features},
            prediction=cast("NumberBins", found[prediction_name(features)]),
            predicted_class=cast("CategoryBins | None", found.get(class_name(features))),
        )
        return profile if window.seasons is None else SeasonalLayout(profile).at(window.seasons)

    def to_dict(self) -> dict[str, Any]:
        """What a restart needs, as JSON can carry it: the window's looks are in it as a bucket each."""
        buckets = [*self._buckets, *(Bucket(moment, counts) for moment, counts in self._window)]
        return {
            "since": self._since,
            "buckets": [
                [bucket.begin, {str(season): bins.tolist() for season, bins in bucket.counts.items()}]
                for bucket in buckets
            ],
        }

    def restore(self, content: Mapping[str, Any], at: float) -> None:
        """Go on from what `to_dict` made, at the real moment `at`. Raises ValueError for anything else.

        What was not counted meanwhile is missing; where that is more than the span, it begins anew.
        """
        try:
            since = content["since"]
            found = [
                Bucket(float(begin), {int(season): self._checked(int(season), bins) for season, bins in counts.items()})
                for begin, counts in content["buckets"]
            ]
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not the counts of recent traffic: {error!r}") from error
        kept = [bucket for bucket in found if at - self._span <= bucket.begin <= at]
        if since is None or not kept:
            return
        # What was not counted meanwhile does not belong to the span.
        self._since = min(float(since) + at - max(bucket.begin for bucket in kept), at)
        self._buckets = deque()
        for bucket in sorted(kept, key=lambda one: one.begin):
            last = self._buckets[-1] if self._buckets else None
            if last is None or bucket.begin - last.begin >= self._span / BUCKETS:
                self._buckets.append(bucket)
            else:
                last.add(bucket.counts)

    def _checked(self, season: int, bins: Any) -> Counts:
        counts = np.asarray(bins)
        if not 0 <= season < self._seasons or counts.shape != (self._size,) or counts.dtype.kind != "i":
            raise ValueError("the counts of recent traffic are of other bins")
        if (counts < 0).any():
            raise ValueError("the counts of recent traffic are below zero")
        return counts.astype(np.int64)

    def _forget(self, at: float) -> None:
        while self._buckets and self._buckets[0].begin < at - self._span - self._span / BUCKETS:
            self._buckets.popleft()
