"""The bins of one column: where a value belongs, and how many reference rows were in each bin.

A number has bins 0 missing, 1 below the first edge, 2..B+1 the B intervals, B+2 above the last edge; an interval holds
its lower edge, and the last one holds its upper edge too. Text that hardly ever repeats has the same bins of its
length. A category has bins 0 missing, 1 values that the reference does not have, then its most frequent values, and,
where the reference has more values than those, a last bin for the others. Infinite numbers are counted as below and
above; NaN, None and "" are missing.

The others are remembered as 32-bit checksums: a profile travels, and rare values may be names. How often a value is
new without any drift, the reference tells of itself: a value that occurs in one row would be new without that row
(Good 1953, "The population frequencies of species", Biometrika 40), so these rows count as new.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["number", "category"]
"""What a column is declared as; of a category the values decide whether it is text."""
Counts = NDArray[np.int64]

MOST_KNOWN = 2000
"""Values beside the most frequent ones that are remembered, so that new ones are told from rare ones."""
# From about here on one comparison an edge is faster than one search a value.
_MANY = 3000
# Text is what mostly occurs once: a comment, an address, an identifier.
_TEXT = 0.5


class _Codes(dict[Any, int]):
    """Category values to their bins; whatever is not a known string is looked up as one, so 1 and "1" agree."""

    known: frozenset[int] = frozenset()
    rare = 1

    def __missing__(self, value: Any) -> int:
        if value is None or value == "" or value != value:
            return 0
        if isinstance(value, str):
            return self.rare if self.known and _checksum(value) in self.known else 1
        return self[str(value)] if str(value) != "" else 0


@dataclass(frozen=True, eq=False)
class _Ordered:
    """Edges (B + 1, not falling) and the counts in the reference (B + 3)."""

    edges: NDArray[np.float64]
    counts: Counts
    seasonal: Counts | None = None
    """The counts by season, (seasons, B + 3), where a seasonality is declared."""

    @property
    def beyond(self) -> tuple[int, ...]:
        """The bins that the reference knows little about: missing, below and above."""
        return (0, 1, len(self.counts) - 1)

    def _place(self, numbers: NDArray[np.float64]) -> Counts:
        bins = np.searchsorted(self.edges, numbers, side="right") + 1
        bins[numbers == self.edges[-1]] = len(self.edges)
        bins[np.isnan(numbers)] = 0
        return bins

    def _tally(self, bins: Counts) -> Counts:
        return np.bincount(bins, minlength=len(self.edges) + 2).astype(np.int64, copy=False)

    def _to_dict(self, kind: str) -> dict[str, Any]:
        return {"kind": kind, "edges": self.edges.tolist(), "counts": self.counts.tolist(), **_seasons(self.seasonal)}


@dataclass(frozen=True, eq=False)
class NumberBins(_Ordered):
    """A number's edges (B + 1, not falling) and its counts in the reference (B + 3)."""

    kind: Literal["number"] = "number"

    def assign(self, values: ArrayLike) -> Counts:
        """The bin of each of (n,) float64 values, with NaN for missing."""
        return self._place(np.asarray(values, dtype=np.float64))

    def count(self, values: ArrayLike) -> Counts:
        """The number of values in each bin, shape (B + 3,), of float64 values with NaN for missing.

        Of many values the few edges are gone through instead, which NumPy does several times as fast.
        """
        numbers = np.asarray(values, dtype=np.float64)
        if len(numbers) < _MANY:
            return self._tally(self.assign(numbers))
        from_here = [np.count_nonzero(numbers >= edge) for edge in self.edges[:-1].tolist()]
        above = np.count_nonzero(numbers > self.edges[-1])
        missing = np.count_nonzero(numbers != numbers)
        cumulative = np.array([len(numbers) - missing, *from_here, above])
        return np.concatenate([[missing], cumulative[:-1] - cumulative[1:], [above]]).astype(np.int64, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in profile.json."""
        return self._to_dict(self.kind)


@dataclass(frozen=True, eq=False)
class TextBins(_Ordered):
    """Edges (B + 1) of the length of text in characters, and the counts in the reference (B + 3)."""

    kind: Literal["text"] = "text"

    def assign(self, values: Iterable[Any]) -> Counts:
        """The bin of each of n values, of str with None for missing."""
        return self._place(lengths(values))

    def count(self, values: Iterable[Any]) -> Counts:
        """The number of values in each bin, shape (B + 3,), of str with None for missing."""
        return self._tally(self.assign(values))

    def to_dict(self) -> dict[str, Any]:
        """As it stands in profile.json."""
        return self._to_dict(self.kind)


@dataclass(frozen=True, eq=False)
class CategoryBins:
    """A category's values (the most frequent ones, sorted) and its counts in the reference (two more than values).

    With `known`, the checksums of the values that are not among them, it has three more: the last are these.
    """

    values: tuple[str, ...]
    counts: Counts
    known: frozenset[int] | None = None
    seasonal: Counts | None = None
    kind: Literal["category"] = "category"
    _codes: _Codes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        codes = _Codes((value, bin) for bin, value in enumerate(self.values, start=2))
        codes.known, codes.rare = self.known or frozenset(), len(self.values) + 2
        object.__setattr__(self, "_codes", codes)

    @property
    def beyond(self) -> tuple[int, ...]:
        """The bins that the reference knows little about: missing and new."""
        return (0, 1)

    def assign(self, values: Iterable[Any]) -> Counts:
        """The bin of each of n values, of str with None for missing."""
        return np.fromiter(map(self._codes.__getitem__, values), dtype=np.int64)

    def count(self, values: Iterable[Any]) -> Counts:
        """The number of values in each bin, of str with None for missing."""
        size = len(self.values) + 2 + (self.known is not None)
        return np.bincount(self.assign(values), minlength=size).astype(np.int64, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in profile.json."""
        known = {} if self.known is None else {"known": sorted(self.known)}
        content = {"kind": "category", "values": list(self.values), "counts": self.counts.tolist()}
        return {**content, **known, **_seasons(self.seasonal)}


Bins = NumberBins | TextBins | CategoryBins


def lengths(values: Iterable[Any]) -> NDArray[np.float64]:
    """The number of characters of each value, NaN for missing."""
    found = (np.nan if value is None or value == "" or value != value else float(len(str(value))) for value in values)
    return np.fromiter(found, dtype=np.float64)


def of_numbers(values: ArrayLike, bins: int, seasons: Counts | None = None, number: int = 0) -> NumberBins:
    """Quantile bins of reference values (m,); `seasons` (m,) are theirs, of `number`, -1 where it is not known."""
    empty = NumberBins(_edges(np.asarray(values, dtype=np.float64), bins), np.zeros(0, dtype=np.int64))
    places = empty.assign(values)
    size = len(empty.edges) + 2
    return NumberBins(empty.edges, _totals(places, size), by_season(places, size, seasons, number))


def of_categories(
    values: NDArray[Any], bins: int, seasons: Counts | None = None, number: int = 0
) -> CategoryBins | TextBins:
    """The most frequent values of reference values (m,), or the lengths of those that hardly ever repeat."""
    found: dict[str, int] = {}
    for value in values:
        if not (value is None or value == "" or value != value):
            found[str(value)] = found.get(str(value), 0) + 1
    once = sum(count == 1 for count in found.values())
    if len(found) > 2 * bins and once >= _TEXT * sum(found.values()):
        of_length = of_numbers(lengths(values), bins, seasons, number)
        return TextBins(of_length.edges, of_length.counts, of_length.seasonal)
    ranked = sorted(found, key=lambda value: (-found[value], value))
    rest = ranked[bins : bins + MOST_KNOWN]
    known = frozenset(map(_checksum, rest)) if rest else None
    empty = CategoryBins(tuple(sorted(ranked[:bins])), np.zeros(0, dtype=np.int64), known)
    places = empty.assign(values)
    size = len(empty.values) + 2 + (known is not None)
    if known is not None:
        alone = np.fromiter((found.get(str(value)) == 1 for value in values), dtype=np.bool_)
        places[alone & (places == size - 1)] = 1
    return CategoryBins(empty.values, _totals(places, size), known, by_season(places, size, seasons, number))


def read(name: str, content: Mapping[str, Any]) -> Bins:
    """One feature's bins of what `to_dict` made. Raises ValueError naming the feature."""
    counts = np.asarray(content["counts"])
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any() or counts.sum() == 0:
        raise ValueError(f"{name}: the counts are not whole numbers of at least zero with a sum above zero")
    counts = counts.astype(np.int64)
    seasonal = _read_seasons(name, content.get("seasons"), counts)
    if content["kind"] == "category":
        values = tuple(str(value) for value in content["values"])
        known = content.get("known")
        expected = len(values) + 2 + (known is not None)
        if len(set(values)) != len(values) or len(counts) != expected:
            raise ValueError(f"{name}: {len(values)} values need {expected} counts; found {len(counts)}")
        return CategoryBins(values, counts, None if known is None else frozenset(map(int, known)), seasonal)
    if content["kind"] not in ("number", "text"):
        raise ValueError(f"{name}: the kind is {content['kind']!r}; expected number, category or text")
    edges = np.asarray(content["edges"], dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) < 0).any():
        raise ValueError(f"{name}: the edges are not two or more rising numbers")
    if len(counts) != len(edges) + 2:
        raise ValueError(f"{name}: {len(edges)} edges need {len(edges) + 2} counts; found {len(counts)}")
    return (NumberBins if content["kind"] == "number" else TextBins)(edges, counts, seasonal)


def by_season(places: Counts, size: int, seasons: Counts | None, number: int) -> Counts | None:
    """Counts (number, size) of bins (m,) by the season of each, -1 where it is not known; None without seasons."""
    if seasons is None:
        return None
    known = seasons >= 0
    flat = np.bincount(seasons[known] * size + places[known], minlength=number * size)
    return flat.astype(np.int64).reshape(number, size)


def _totals(places: Counts, size: int) -> Counts:
    return np.bincount(places, minlength=size).astype(np.int64, copy=False)


def _checksum(value: str) -> int:
    return crc32(value.encode("utf-8", "surrogatepass"))


def _seasons(seasonal: Counts | None) -> dict[str, Any]:
    return {} if seasonal is None else {"seasons": seasonal.tolist()}


def _read_seasons(name: str, content: Any, counts: Counts) -> Counts | None:
    if content is None:
        return None
    seasonal = np.asarray(content)
    whole = seasonal.dtype.kind in "iu" and seasonal.ndim == 2 and seasonal.shape[1] == len(counts)
    if not whole or (seasonal < 0).any() or (seasonal.sum(axis=0) > counts).any():
        raise ValueError(f"{name}: the seasons are not parts of its counts")
    return seasonal.astype(np.int64)


def _edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Edges of at most `bins` intervals from the least to the greatest number, cut between values that occur.

    With few distinct values each has its interval. Otherwise a cut lies where the cumulative count is nearest to
    i/bins, so that a value that is very frequent gets an interval of its own instead of swallowing its neighbours.
    Without any number, the edges are 0 and 0.
    """
    numbers = values[np.isfinite(values)]
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
