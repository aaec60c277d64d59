"""The profile: binned distributions of the training data, against which live traffic is counted.

Training builds it from the raw input columns and the model's predictions, the bundle carries it, the predictor hands
it to the monitor, and the monitor counts live events in the same bins. Only counts ever leave a replica, so its memory
does not grow with traffic and counts of many replicas add up.

A number has bins 0 missing, 1 below the first edge, 2..B+1 the B intervals, B+2 above the last edge; an interval holds
its lower edge, and the last one holds its upper edge too. A category has bins 0 missing, 1 any other value, then its
values. Infinite numbers are counted as below and above; NaN, None and "" are missing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

FORMAT = 1

Kind = Literal["number", "category"]
Counts = NDArray[np.int64]


class _Codes(dict[Any, int]):
    """Category values to their bins; whatever is not a known string is looked up as one, so 1 and "1" agree."""

    def __missing__(self, value: Any) -> int:
        if value is None or value == "" or value != value:
            return 0
        return 1 if isinstance(value, str) else self.get(str(value), 1)


@dataclass(frozen=True, eq=False)
class NumberBins:
    """A number's edges (B + 1, not falling) and its counts in the reference (B + 3)."""

    edges: NDArray[np.float64]
    counts: Counts
    kind: Literal["number"] = "number"

    def assign(self, values: ArrayLike) -> Counts:
        """The bin of each of (n,) float64 values, with NaN for missing."""
        numbers = np.asarray(values, dtype=np.float64)
        bins = np.searchsorted(self.edges, numbers, side="right") + 1
        bins[numbers == self.edges[-1]] = len(self.edges)
        bins[np.isnan(numbers)] = 0
        return bins

    def count(self, values: ArrayLike) -> Counts:
        """The number of values in each bin, shape (B + 3,), of float64 values with NaN for missing."""
        return np.bincount(self.assign(values), minlength=len(self.edges) + 2).astype(np.int64, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in profile.json."""
        return {"kind": "number", "edges": self.edges.tolist(), "counts": self.counts.tolist()}


@dataclass(frozen=True, eq=False)
class CategoryBins:
    """A category's values (the most frequent ones, sorted) and its counts in the reference (two more than values)."""

    values: tuple[str, ...]
    counts: Counts
    kind: Literal["category"] = "category"
    _codes: _Codes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", _Codes((value, bin) for bin, value in enumerate(self.values, start=2)))

    def assign(self, values: Iterable[Any]) -> Counts:
        """The bin of each of n values, of str with None for missing."""
        return np.fromiter(map(self._codes.__getitem__, values), dtype=np.int64)

    def count(self, values: Iterable[Any]) -> Counts:
        """The number of values in each bin, shape (len(values) + 2,), of str with None for missing."""
        return np.bincount(self.assign(values), minlength=len(self.values) + 2).astype(np.int64, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in profile.json."""
        return {"kind": "category", "values": list(self.values), "counts": self.counts.tolist()}


Bins = NumberBins | CategoryBins


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
    ) -> Self:
        """The profile of reference rows.

        `columns` are the raw input columns, (m,) each, of which those named in `kinds` are binned, in its order;
        `predictions` are P(positive) or values of rows the model was not fitted to, or the profile expects more
        confident predictions than live traffic can show; their number may differ from m. `bins` is the number of
        quantile bins of a number and of top categories. Raises ValueError for a column that is absent or of another
        length, or without rows.
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
        features = {
            name: _number(columns[name], bins) if kind == "number" else _category(columns[name], bins)
            for name, kind in kinds.items()
        }
        variance = None if label_variance is None else float(label_variance)
        return cls(loop, task, tuple(classes), int(rows), variance, features, _number(predictions, bins))

    def count(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, Counts]:
        """The number of rows in each bin of each feature; `columns` holds every feature, others are ignored.

        Raises KeyError for a feature that `columns` does not have.
        """
        return {name: bins.count(columns[name]) for name, bins in self.features.items()}

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
            prediction = _read("prediction", content["prediction"])
            if not isinstance(prediction, NumberBins):
                raise ValueError("prediction: its kind is category; expected number")
            return cls(
                loop=str(content["loop"]),
                task=str(content["task"]),
                classes=tuple(content["classes"]),
                rows=int(content["rows"]),
                label_variance=None if variance is None else float(variance),
                features={str(name): _read(name, bins) for name, bins in content["features"].items()},
                prediction=prediction,
                labelled=_labelled(content.get("labelled")),
            )
        except KeyError as error:
            raise ValueError(f"a profile without {error}") from error
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a profile: {error}") from error


def _number(values: ArrayLike, bins: int) -> NumberBins:
    numbers = np.asarray(values, dtype=np.float64)
    empty = NumberBins(_edges(numbers[np.isfinite(numbers)], bins), np.zeros(0, dtype=np.int64))
    return NumberBins(empty.edges, empty.count(numbers))


def _edges(numbers: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Edges of at most `bins` intervals from the least to the greatest number, cut between values that occur.

    With few distinct values each has its interval. Otherwise a cut lies where the cumulative count is nearest to
    i/bins, so that a value that is very frequent gets an interval of its own instead of swallowing its neighbours.
    Without any number, the edges are 0 and 0.
    """
    if numbers.size == 0:
        return np.zeros(2)
    distinct, counts = np.unique(numbers, return_counts=True)
    if distinct.size <= bins:
        cuts = np.arange(1, distinct.size)
    else:
        cumulative = np.concatenate(([0], np.cumsum(counts)))
        targets = np.arange(1, bins) * (numbers.size / bins)
        upper = np.searchsorted(cumulative, targets)
        cuts = np.where(targets - cumulative[upper - 1] < cumulative[upper] - targets, upper - 1, upper)
        cuts = np.unique(cuts[(cuts > 0) & (cuts < distinct.size)])
    low, high = distinct[cuts - 1], distinct[cuts]
    middle = low / 2 + high / 2
    # Between neighbouring floats the middle may round down to the lower one, which belongs below the cut.
    return np.concatenate((distinct[:1], np.where(middle > low, middle, high), distinct[-1:]))


def _category(values: NDArray[Any], bins: int) -> CategoryBins:
    known: dict[str, int] = {}
    for value in values:
        if not (value is None or value == "" or value != value):
            known[str(value)] = known.get(str(value), 0) + 1
    top = sorted(known, key=lambda value: (-known[value], value))[:bins]
    empty = CategoryBins(tuple(sorted(top)), np.zeros(0, dtype=np.int64))
    return CategoryBins(empty.values, empty.count(values))


def _labelled(content: Any) -> tuple[float, ...] | None:
    if content is None:
        return None
    numbers = tuple(float(number) for number in content)
    if not np.isfinite(numbers).all():
        raise ValueError("labelled: the sums are not finite numbers")
    return numbers


def _read(name: str, content: Mapping[str, Any]) -> Bins:
    """One feature's bins. Raises ValueError naming the feature."""
    counts = np.asarray(content["counts"])
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any() or counts.sum() == 0:
        raise ValueError(f"{name}: the counts are not whole numbers of at least zero with a sum above zero")
    counts = counts.astype(np.int64)
    if content["kind"] == "category":
        values = tuple(str(value) for value in content["values"])
        if len(set(values)) != len(values) or len(counts) != len(values) + 2:
            raise ValueError(f"{name}: {len(values)} values need {len(values) + 2} counts; found {len(counts)}")
        return CategoryBins(values, counts)
    if content["kind"] != "number":
        raise ValueError(f"{name}: the kind is {content['kind']!r}; expected number or category")
    edges = np.asarray(content["edges"], dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) < 0).any():
        raise ValueError(f"{name}: the edges are not two or more rising numbers")
    if len(counts) != len(edges) + 2:
        raise ValueError(f"{name}: {len(edges)} edges need {len(edges) + 2} counts; found {len(counts)}")
    return NumberBins(edges, counts)
