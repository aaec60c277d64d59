"""The layout of a profile with seasons: every count by season, and each window beside the mixture that it is to be.

What is asked of a window without seasons is asked of it here too, so that the windowed test, the growing evidence and
the dispersion need not know. The inputs' reference rows and the predictions' are not the same rows, and may be joined
to strata differently: each is a part of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from loopwright.monitor.layout import Evidence, Floats, Layout
from loopwright.monitor.looks import Window, prediction_name
from loopwright.statistics.profile import Bins, CategoryBins, Counts, NumberBins, Profile, class_name
from loopwright.statistics.seasons import Strata
from loopwright.statistics.shifts import StratifiedShifts

# Bins that chance fills with less than this say nothing of how much counts vary, unless they are full all the same.
_LEAST_EXPECTED, _FULL = 1.0, 10.0


def layout_of(profile: Profile) -> Layout:
    """The layout that a profile needs."""
    return SeasonalLayout(profile) if profile.seasonality else Layout(profile)


class _Part:
    """Features whose reference rows are the same, side by side."""

    def __init__(self, names: Sequence[str], bins: dict[str, Bins]) -> None:
        self.names = list(names)
        counts = [bins[name].seasonal for name in names]
        found = [one for one in counts if one is not None]
        self.strata = Strata(found[0].sum(axis=1), np.concatenate(found, axis=1))
        self.sizes = np.array([one.shape[1] for one in found])
        self.begins = np.concatenate(([0], np.cumsum(self.sizes)[:-1]))
        self.bins = int(self.sizes.sum())

    @property
    def size(self) -> int:
        """How many numbers the part has in a vector."""
        return len(self.strata) * self.bins

    def of(self, vector: Floats) -> Floats:
        """(..., size) as (..., strata, bins)."""
        return vector.reshape(*vector.shape[:-1], len(self.strata), self.bins)

    def events(self, table: Floats) -> Floats:
        """The events in each stratum, (..., strata), of (..., strata, bins); every feature has them all."""
        return np.asarray(table[..., : self.sizes[0]].sum(axis=-1))


class SeasonalLayout(Layout):
    """As `Layout`, of vectors that hold each bin by stratum; what follows from them is by bin or feature as there."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._profile, self._whole = profile, self.reference
        outputs = [name for name in self.names if name not in profile.features]
        groups = [list(profile.features), outputs] if profile.features else [outputs]
        self._parts = [_Part(names, self.bins) for names in groups]
        ends = np.cumsum([part.size for part in self._parts]).tolist()
        self._slices = [slice(end - part.size, end) for part, end in zip(self._parts, ends, strict=True)]
        widths = np.cumsum([part.bins for part in self._parts]).tolist()
        self._columns = [slice(end - part.bins, end) for part, end in zip(self._parts, widths, strict=True)]
        self.reference = np.concatenate([part.strata.counts.ravel() for part in self._parts])

    @property
    def strata(self) -> tuple[int, ...]:
        """How many strata the inputs have, and the outputs."""
        return tuple(len(part.strata) for part in self._parts)

    def at(self, seasons: NDArray[np.generic]) -> Profile:
        """The profile that a window with these events by season, (seasons,), is held against."""
        mixtures = [part.strata.mixture(part.strata.join(seasons)) for part in self._parts]
        found = dict(zip(self.names, np.split(np.concatenate(mixtures), self._begins[1:]), strict=True))
        # They are tested as counts are, and need not be whole.
        changed = {name: replace(bins, counts=cast("Counts", found[name])) for name, bins in self.bins.items()}
        profile = self._profile
        # `replace` keeps the kind of bins.
        return replace(
            profile,
            features={name: changed[name] for name in profile.features},
            prediction=cast("NumberBins", changed[prediction_name(profile.features)]),
            predicted_class=cast("CategoryBins | None", changed.get(class_name(profile.features))),
        )

    def flat(self, window: Window) -> Floats:
        """All counts so far, by stratum."""
        assert window.strata is not None, "a profile with seasons is counted by season"
        tables = [window.strata[:, columns] for columns in self._columns]
        return np.concatenate([part.strata.join(t).ravel() for part, t in zip(self._parts, tables, strict=True)])

    def part(self, counts: Floats, name: str) -> Floats:
        """The bins of one feature by stratum: (strata, bins)."""
        for part, where in zip(self._parts, self._slices, strict=True):
            if name in part.names:
                i = part.names.index(name)
                return part.of(counts[where])[:, part.begins[i] : part.begins[i] + part.sizes[i]]
        raise KeyError(name)

    def sums(self, values: Floats) -> Floats:
        """The sum over bins and strata of each feature: to (..., features)."""
        return super().sums(self._together(values))

    def evidence(self, name: str, min_effect: float) -> Evidence:
        """As of a layout without seasons, of (strata, bins)."""
        return StratifiedShifts(self.part(self.reference, name), self.bins[name].kind != "category", min_effect)

    def divergence(self, observed: Floats, dispersion: Floats) -> Floats:
        """The Jensen-Shannon distance of each feature from the mixture of its seasons, squared and corrected."""
        return self._divergence(self._mixtures(observed), self._together(observed), dispersion)

    def homogeneity(self, first: Floats, second: Floats) -> tuple[Floats, Floats]:
        """(chi-square statistic, degrees of freedom) of two windows, less what differs between their seasons.

        What is compared is each window's difference from its mixture: those of one season are compared directly, as
        their mixtures cancel. Otherwise the variance of the mixtures' difference is taken into account.
        """
        one, two = self._together(first), self._together(second)
        n, m = (self.spread(np.maximum(Layout.sums(self, counts), 1e-9)) for counts in (one, two))
        p, q = (self._shares(counts) for counts in (first, second))
        reach = [
            part.strata.reach(part.events(part.of(first[where])), part.events(part.of(second[where])))
            for part, where in zip(self._parts, self._slices, strict=True)
        ]
        apart = (one / n - p) - (two / m - q)
        # Half as expected, half as found: where traffic has drifted, what is expected says little of its variance.
        variance = (p + one / n) / 2 / n + (q + two / m) / 2 / m + np.concatenate(reach)
        seen = ((p * n + q * m) / 2 >= _LEAST_EXPECTED) | (one + two >= _FULL)
        terms = np.where(seen, apart**2 / np.maximum(variance, 1e-300), 0.0)
        return Layout.sums(self, terms), np.maximum(Layout.sums(self, seen.astype(np.float64)) - 1, 0.0)

    def _shares(self, vector: Floats) -> Floats:
        mixtures = self._mixtures(vector)
        return mixtures / self.spread(Layout.sums(self, mixtures))

    def _together(self, vector: Floats) -> Floats:
        """Counts by bin, (..., bins), of counts by stratum."""
        tables = [part.of(vector[..., where]) for part, where in zip(self._parts, self._slices, strict=True)]
        return np.concatenate([table.sum(axis=-2) for table in tables], axis=-1)

    def _mixtures(self, vector: Floats) -> Floats:
        """What counts by stratum are held against, (..., bins)."""
        tables = [part.of(vector[..., where]) for part, where in zip(self._parts, self._slices, strict=True)]
        found = [part.strata.mixture(part.events(t)) for part, t in zip(self._parts, tables, strict=True)]
        return np.concatenate(found, axis=-1)
