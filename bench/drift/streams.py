"""Simulated traffic: features that are known functions of normal variables, whose drift is a shift of those.

A shift of the hidden normal variable by 0.5 is "half a sigma" for every kind of feature, however skewed its values are.
Where only counts are needed, bins are drawn with their exact probabilities, so that windows of 100,000 rows of 200
features take milliseconds; rows are drawn where a rule needs rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loopwright.statistics.profile import Bins, CategoryBins, Counts, Profile

Floats = NDArray[np.float64]

NUMBERS = ("normal", "lognormal", "uniform")
ALL_KINDS = (*NUMBERS, "count", "gappy", "category")
GAPS = 0.05
"""The missing share of a `gappy` feature."""
LETTERS = ("a", "b", "c", "d", "e", "f")
SHARES = (0.4, 0.3, 0.15, 0.1, 0.04, 0.01)
_CUTS = stats.norm.ppf(np.cumsum(SHARES)[:-1])


@dataclass(frozen=True)
class Drift:
    """By how many sigma the first `features` features move: at once, or linearly over so many windows."""

    shift: float = 0.0
    features: int = 1
    ramp: int = 0

    def at(self, windows: float, number: int) -> Floats:
        """The shift of each of `number` features, (number,), so many windows after the onset (negative: before)."""
        size = 0.0 if windows < 0 else self.shift * (min(windows / self.ramp, 1.0) if self.ramp else 1.0)
        return np.where(np.arange(number) < self.features, size, 0.0)


def kinds_of(number: int, kinds: Sequence[str]) -> list[str]:
    """The kind of each feature: the given ones in turn."""
    return [kinds[i % len(kinds)] for i in range(number)]


def values(kind: str, z: Floats, generator: np.random.Generator) -> NDArray[Any]:
    """A feature's values, (n,), of its hidden normal variable."""
    match kind:
        case "normal":
            return z
        case "lognormal":
            return np.exp(z)
        case "uniform":
            return np.asarray(stats.norm.cdf(z))
        case "count":
            return np.floor(np.exp(1 + z / 2))
        case "gappy":
            return np.where(generator.random(len(z)) < GAPS, np.nan, z)
        case _:
            return np.asarray(LETTERS, dtype=object)[np.searchsorted(_CUTS, z)]


def rows(kinds: Sequence[str], n: int, shifts: Floats, generator: np.random.Generator) -> list[NDArray[Any]]:
    """n independent rows, a column a feature; `shifts` is (features,)."""
    return [values(kind, generator.standard_normal(n) + shifts[i], generator) for i, kind in enumerate(kinds)]


def profile(kinds: Sequence[str], columns: Sequence[NDArray[Any]], predictions: Floats) -> Profile:
    """The product's own profile of reference rows."""
    named = {f"f{i}": column for i, column in enumerate(columns)}
    types: Any = {f"f{i}": "category" if kind == "category" else "number" for i, kind in enumerate(kinds)}
    return Profile.build("bench", "regression", (), named, types, predictions)


def probabilities(kind: str, bins: Bins, shift: float) -> Floats:
    """The exact chance of each bin of a feature, under a shift of its hidden normal variable."""
    if isinstance(bins, CategoryBins):
        edges = np.concatenate(([-np.inf], _CUTS, [np.inf]))
        chance = dict(zip(LETTERS, np.diff(stats.norm.cdf(edges - shift)), strict=True))
        known = [chance[value] for value in bins.values]
        return np.array([0.0, max(1 - sum(known), 0.0), *known])
    hidden = [_hidden(kind, edge, closed=False) for edge in bins.edges[:-1]]
    # The last interval holds its upper edge too, which matters where values repeat.
    hidden.append(_hidden(kind, bins.edges[-1], closed=True))
    cumulative = np.concatenate(([0.0], stats.norm.cdf(np.asarray(hidden) - shift), [1.0]))
    gaps = GAPS if kind == "gappy" else 0.0
    return np.concatenate(([gaps], (1 - gaps) * np.maximum(np.diff(cumulative), 0)))


def _hidden(kind: str, edge: float, *, closed: bool) -> float:
    """The hidden value below which a feature's value is below the edge (or at it, where `closed`)."""
    match kind:
        case "lognormal":
            return math.log(edge)
        case "uniform":
            return float(stats.norm.ppf(edge))
        case "count":
            first = math.floor(edge) + 1 if closed else math.ceil(edge)
            return 2 * (math.log(first) - 1) if first > 0 else -math.inf
        case _:
            return float(edge)


def draw_counts(chances: Floats, n: int, looks: int, repeats: int, generator: np.random.Generator) -> Counts:
    """Counts of n rows a look, (looks, bins), where each customer sends `repeats` equal rows."""
    return np.asarray(generator.multinomial(n // repeats, chances / chances.sum(), size=looks) * repeats)
