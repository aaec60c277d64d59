"""Drift counted on the way: how many rows fall into each bin of the training profile, and nothing else is kept.

The bins, and what follows from the counts, are the monitor's; here they are filled by the batch, text by its distinct
values.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from loopwright.models.coded import Coded
from loopwright.models.columns import Columns
from loopwright.statistics.profile import Counts, NumberBins, Profile, class_name

PREDICTION, EVENTS = "\x1fprediction", "\x1fevents"
"""Keys beside the features' names; no column has a control character in its name."""


class Tally:
    """Counts of one part."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._class = class_name(profile.features)
        sizes = {name: len(bins.counts) for name, bins in profile.watched.items()}
        sizes |= {PREDICTION: len(profile.prediction.counts), EVENTS: 1}
        self._counts: dict[str, Counts] = {name: np.zeros(size, dtype=np.int64) for name, size in sizes.items()}

    def add(
        self, columns: Columns, coded: Mapping[str, Coded], predictions: NDArray[np.float64], decided: Counts
    ) -> None:
        """Count rows: the raw columns, text by its distinct values, the predictions (n,) and the classes' places (n,).

        Of more than two classes the prediction is the probability of the decided one, as the monitor has it.
        """
        profile = self._profile
        for name, bins in profile.features.items():
            if isinstance(bins, NumberBins):
                self._counts[name] += bins.count(columns[name])
            else:
                one = coded[name]
                each = np.bincount(one.places, minlength=len(one.values))
                np.add.at(self._counts[name], bins.assign(one.values), each)
        if profile.predicted_class is not None:
            self._counts[self._class] += profile.count_classes(decided)
        self._counts[PREDICTION] += profile.count_predictions(predictions)
        self._counts[EVENTS] += len(predictions)

    def to_dict(self) -> dict[str, list[int]]:
        """As it stands in a receipt."""
        return {name: counts.tolist() for name, counts in self._counts.items()}


def together(parts: Iterable[Mapping[str, list[int]]]) -> dict[str, Counts]:
    """The sums of several."""
    total: dict[str, Counts] = {}
    for part in parts:
        for name, counts in part.items():
            added = np.asarray(counts, dtype=np.int64)
            total[name] = total[name] + added if name in total else added
    return total
