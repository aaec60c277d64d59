"""The profile: binned distributions of the training data, against which live traffic is counted.

Training builds it from the raw input columns and the model's predictions, the bundle carries it, the predictor hands
it to the monitor, and the monitor counts live events in the same bins (`statistics/bins.py`). Only counts ever leave a
replica, so its memory does not grow with traffic and counts of many replicas add up. Of a classification the predicted
class is counted too, beside the score. Where a seasonality is declared, the same is counted by season
(`statistics/seasons.py`); what a season is held against follows from these counts alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwright.statistics import bins as binning
from loopwright.statistics.bins import Bins, CategoryBins, Counts, Kind, NumberBins, TextBins
from loopwright.statistics.seasons import NUMBER, Seasonality

__all__ = ["FORMAT", "Bins", "CategoryBins", "Counts", "Kind", "NumberBins", "Profile", "TextBins", "class_name"]

FORMAT = 1
THRESHOLD = 0.5
"""The score from which on the second of two classes is predicted, where the profile names no other."""
MOST_NUMBERS = 100_000
"""Counts by season in one profile, about 400 kB of JSON; the monitor keeps some dozens of copies of what it counts."""


@dataclass(frozen=True, eq=False)
class Profile:
    """The reference of one model version: `rows` training rows, binned a feature, and the model's predictions."""

    loop: str
    task: str
    classes: tuple[Any, ...]
    rows: int
    label_variance: float | None
    features: dict[str, Bins]
    prediction: NumberBins
    labelled: tuple[float, ...] | None = None
    """What labels said of the model before it went live: sums of `labelled.tally`, of rows it was not fitted to."""
    predicted_class: CategoryBins | None = None
    """Of a classification, how often each class was predicted; None of a profile that was made before."""
    seasonality: Seasonality | None = None
    """By what the bins are counted, too."""
    threshold: float = THRESHOLD
    """The score from which on the second of two classes is predicted."""

    @classmethod
    def build(
        cls,
        loop: str,
        task: str,
        classes: Sequence[Any],
        columns: Mapping[str, NDArray[Any]],
        kinds: Mapping[str, Kind],
        predictions: ArrayLike,
        *,
        bins: int = 10,
        label_variance: float | None = None,
        decided: ArrayLike | None = None,
        seasonality: Seasonality | None = None,
        seasons: tuple[Counts, Counts] | None = None,
        threshold: float = THRESHOLD,
    ) -> Self:
        """The profile of reference rows. Of more than two classes predictions are the decided one's probability.

        `columns` are the raw input columns, (m,) each, of which those named in `kinds` are binned, in its order;
        `predictions` are P(positive) or values of rows the model was not fitted to, or the profile expects more
        confident predictions than live traffic can show; their number may differ from m. `bins` is the number of
        quantile bins of a number and of top categories. `decided` are the predicted classes, by their place in
        `classes`; of two classes they follow from the predictions. `seasons` are those of the rows and of the
        predictions, -1 where it is not known; a seasonality with more than MOST_NUMBERS counts becomes `hour`, or is
        left out. Raises ValueError for a column that is absent or of another length, or without rows.
        """
        absent = [name for name in kinds if name not in columns]
        if absent:
            raise ValueError(f"the reference has no column {', '.join(absent)}")
        lengths = {name: np.shape(columns[name])[0] for name in kinds}
        rows = next(iter(lengths.values()), np.shape(predictions)[0])
        if rows == 0 or np.shape(predictions)[0] == 0:
            raise ValueError("a profile needs at least one reference row and one prediction")
        wrong = [f"{name} has {n}" for name, n in lengths.items() if n != rows]
        if wrong:
            raise ValueError(f"all columns need {rows} rows; {', '.join(wrong)}")
        total = len(kinds) * (bins + 3) + bins + 3
        chosen, (of_rows, of_predictions) = _fitting(seasonality, seasons, total)
        number = chosen.number if chosen else 0
        features: dict[str, Bins] = {
            name: binning.of_numbers(columns[name], bins, of_rows, number)
            if kind == "number"
            else binning.of_categories(columns[name], bins, of_rows, number)
            for name, kind in kinds.items()
        }
        profile = cls(
            loop,
            task,
            tuple(classes),
            int(rows),
            None if label_variance is None else float(label_variance),
            features,
            binning.of_numbers(predictions, bins, of_predictions, number),
            seasonality=chosen,
            threshold=threshold,
        )
        return profile._with_classes(np.asarray(predictions, dtype=np.float64), decided, of_predictions)

    def count(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, Counts]:
        """The number of rows in each bin of each feature; `columns` holds every feature, others are ignored.

        Raises KeyError for a feature that `columns` does not have.
        """
        return {name: bins.count(columns[name]) for name, bins in self.features.items()}

    @property
    def watched(self) -> dict[str, Bins]:
        """Everything but the prediction that live counts are held against: the features, and the predicted class."""
        if self.predicted_class is None:
            return self.features
        return {**self.features, class_name(self.features): self.predicted_class}

    def decide(self, predictions: NDArray[np.float64]) -> Counts:
        """The class of each of (n,) predictions by its place in `classes`, of two; -1 where it cannot be told."""
        if len(self.classes) != 2:
            return np.full(len(predictions), -1, dtype=np.int64)
        return np.where(np.isnan(predictions), -1, predictions >= self.threshold).astype(np.int64)

    def count_classes(self, decided: Counts) -> Counts:
        """The number of predictions in each bin of the predicted class: 0 untold, 1 none of them, then `classes`."""
        return np.bincount(np.where(decided < 0, 0, decided + 2), minlength=len(self.classes) + 2).astype(np.int64)

    def count_predictions(self, predictions: ArrayLike) -> Counts:
        """The number of predictions in each bin of the reference's predictions."""
        return self.prediction.count(predictions)

    def to_json(self) -> str:
        """profile.json; the same profile gives the same text."""
        content = {
            "format": FORMAT,
            "loop": self.loop,
            "task": self.task,
            "classes": list(self.classes),
            "rows": self.rows,
            "label_variance": self.label_variance,
            "features": {name: bins.to_dict() for name, bins in self.features.items()},
            "prediction": self.prediction.to_dict(),
        }
        if self.labelled is not None:
            content["labelled"] = list(self.labelled)
        if self.predicted_class is not None:
            content["predicted_class"] = self.predicted_class.to_dict()
        if self.seasonality is not None:
            content["seasonality"] = {"by": self.seasonality.by, "timezone": self.seasonality.timezone}
        if self.threshold != THRESHOLD:
            content["threshold"] = self.threshold
        return json.dumps(content, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote. Raises ValueError that says what is wrong with anything else."""
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            found = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise ValueError(f"not a profile of format {FORMAT}: found {found!r}")
        try:
            variance = content["label_variance"]
            if variance is not None and not 0 <= float(variance) < float("inf"):
                raise ValueError(f"label_variance is {variance}; expected a number of at least zero or null")
            prediction = binning.read("prediction", content["prediction"])
            if not isinstance(prediction, NumberBins):
                raise ValueError("prediction: its kind is category; expected number")
            profile = cls(
                loop=str(content["loop"]),
                task=str(content["task"]),
                classes=tuple(content["classes"]),
                rows=int(content["rows"]),
                label_variance=None if variance is None else float(variance),
                features={str(name): binning.read(name, bins) for name, bins in content["features"].items()},
                prediction=prediction,
                labelled=_labelled(content.get("labelled")),
                predicted_class=_class(content.get("predicted_class"), len(content["classes"])),
                seasonality=_seasonality(content.get("seasonality")),
                threshold=float(content.get("threshold", THRESHOLD)),
            )
            profile._check_seasons()
            return profile
        except KeyError as error:
            raise ValueError(f"a profile without {error}") from error
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a profile: {error}") from error

    def _with_classes(
        self, predictions: NDArray[np.float64], decided: ArrayLike | None, seasons: Counts | None
    ) -> Self:
        if self.task != "classification" or len(self.classes) < 2 or (decided is None and len(self.classes) > 2):
            return self
        found = self.decide(predictions) if decided is None else np.asarray(decided, dtype=np.int64)
        places, size = np.where(found < 0, 0, found + 2), len(self.classes) + 2
        seasonal = binning.by_season(places, size, seasons, self.seasonality.number if self.seasonality else 0)
        values = tuple(str(one) for one in self.classes)
        return replace(self, predicted_class=CategoryBins(values, self.count_classes(found), None, seasonal))

    def _check_seasons(self) -> None:
        """Raise ValueError where the bins do not have the seasons that the profile says they have."""
        number = self.seasonality.number if self.seasonality else None
        for name, bins in {**self.watched, "prediction": self.prediction}.items():
            found = None if bins.seasonal is None else len(bins.seasonal)
            if found != number:
                raise ValueError(f"{name}: counted by {found} seasons; expected {number}")


def class_name(features: Mapping[str, object]) -> str:
    """What the predicted class is called beside the features: `predicted_class`, unless a column has that name."""
    name = "predicted_class"
    while name in features:
        name += "_"
    return name


def _fitting(
    wanted: Seasonality | None, seasons: tuple[Counts, Counts] | None, numbers: int
) -> tuple[Seasonality | None, tuple[Counts | None, Counts | None]]:
    """The seasonality that is not too large, and the seasons of rows and predictions by it."""
    if wanted is None or seasons is None or any((some < 0).all() for some in seasons):
        return None, (None, None)
    if wanted.number * numbers <= MOST_NUMBERS:
        return wanted, seasons
    if wanted.by == "hour_of_week" and NUMBER["hour"] * numbers <= MOST_NUMBERS:
        rows, predictions = (np.where(some < 0, -1, some % 24) for some in seasons)
        return Seasonality("hour", wanted.timezone), (rows, predictions)
    return None, (None, None)


def _class(content: Any, classes: int) -> CategoryBins | None:
    if content is None:
        return None
    bins = binning.read("predicted_class", content)
    if not isinstance(bins, CategoryBins) or len(bins.values) != classes:
        raise ValueError(f"predicted_class: expected a category of {classes} classes")
    return bins


def _seasonality(content: Any) -> Seasonality | None:
    if content is None:
        return None
    found = Seasonality(content["by"], str(content["timezone"]))
    try:
        return found if found.number and found.zone else None
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"no such seasonality: {found.by!r} in {found.timezone!r}") from error


def _labelled(content: Any) -> tuple[float, ...] | None:
    if content is None:
        return None
    numbers = tuple(float(number) for number in content)
    if not np.isfinite(numbers).all():
        raise ValueError("labelled: the sums are not finite numbers")
    return numbers
