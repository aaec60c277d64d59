"""Which interval between a forest's thresholds a value lies in: found for all features of many rows at once.

A forest tells values of a number apart only by the thresholds that it compares them with, and categories only by those
it names. NumPy's binary search mispredicts its way through a feature's thresholds, so a value is put into a cell of a
grid first, and what is left to compare it with are the thresholds in this cell: mostly one or none.
"""

from typing import NamedTuple

import numpy as np

from loopwright.models.columns import Array
from loopwright.models.trees import ZERO, Forest, UnknownTreesError

_GRID = 1024


class Feature(NamedTuple):
    """One feature that is split on: the upper ends of its intervals, and a value of each line of its tables.

    The last line is that of missing values, which for categories also stands for what is no known one.
    """

    at: int
    categorical: bool
    cuts: Array
    values: Array


class Intervals:
    """Which interval of every feature a value lies in, for many rows at once."""

    def __init__(self, forest: Forest) -> None:
        found = [_feature(forest, at) for at in range(forest.features)]
        self.features = [one for one in found if one is not None]
        if not self.features:
            raise UnknownTreesError("it splits on nothing")
        self.lines = sum(len(one.values) for one in self.features)
        self.width = forest.features
        self._numbers = [one for one in self.features if not one.categorical]
        self._order = [*self._numbers, *(one for one in self.features if one.categorical)]
        self._at = np.array([one.at for one in self._numbers], dtype=np.intp)
        self._grid()
        self.bytes = self._first.nbytes + self._cuts.nbytes

    def _grid(self) -> None:
        """The grid's cells are of one width; `_first` says how many cuts lie in the cells before each."""
        count = len(self._numbers)
        low = np.array([one.cuts[0] for one in self._numbers])
        high = np.array([one.cuts[-1] for one in self._numbers])
        with np.errstate(all="ignore"):
            scale = (_GRID - 1) / (high - low)
        scale[~np.isfinite(scale)] = 0.0
        start = np.arange(count) * float(_GRID)
        with np.errstate(all="ignore"):
            shift = np.nan_to_num(start - low * scale)
        self._scale, self._shift = scale[:, None], shift[:, None]
        self._lowest, self._highest = start[:, None], start[:, None] + (_GRID - 1)
        # Rounding may put a cut into another cell than arithmetic on paper, but keeps order, which is all it takes.
        cells = [self._cells(one.cuts, at) for at, one in enumerate(self._numbers)]
        most = max((int(np.bincount(cell).max()) for cell in cells), default=0)
        self._steps = [1 << bit for bit in reversed(range(most.bit_length()))]
        # Behind a feature's cuts the search may look at as many as it has steps in all; nothing lies above infinity.
        padding, cuts, first, begin = np.full(1 << most.bit_length(), np.inf), [], [], []
        size = 0
        for at, (one, cell) in enumerate(zip(self._numbers, cells, strict=True)):
            first.append(size + np.searchsorted(cell, np.arange(_GRID) + at * _GRID))
            begin.append(size)
            cuts += [one.cuts, padding]
            size += len(one.cuts) + len(padding)
        empty = np.empty(0)
        self._first = np.concatenate([*first, empty]).astype(np.intp)
        self._cuts = np.concatenate([*cuts, empty])
        self._begin = np.array(begin, dtype=np.intp)[:, None]
        self._missing = np.array([len(one.values) - 1 for one in self._numbers], dtype=np.intp)[:, None]

    def _cells(self, values: Array, at: int) -> Array:
        with np.errstate(all="ignore"):
            found = values * self._scale[at] + self._shift[at]
        return np.asarray(np.fmin(np.fmax(found, self._lowest[at]), self._highest[at]).astype(np.intp))

    def find(self, matrix: Array) -> dict[int, Array]:
        """The line of every row, intp (n,), by feature."""
        lines = dict[int, Array]()
        if self._numbers:
            values = np.ascontiguousarray(matrix.T[self._at])
            with np.errstate(all="ignore"):
                cells = values * self._scale
                cells += self._shift
            np.fmax(cells, self._lowest, out=cells)
            np.fmin(cells, self._highest, out=cells)
            places = self._first.take(cells.astype(np.intp))
            for step in self._steps:
                places += np.multiply(values > self._cuts[step - 1 :].take(places), step, dtype=np.intp)
            places -= self._begin
            missing = np.isnan(values)
            if missing.any():
                places = np.where(missing, self._missing, places)
            lines = {one.at: places[at] for at, one in enumerate(self._numbers)}
        for one in self._order[len(self._numbers) :]:
            last = len(one.values) - 1
            codes = np.trunc(matrix[:, one.at])
            lines[one.at] = np.where((codes >= 0) & (codes < last), codes, last).astype(np.intp)
        return lines

    def ends(self, random: np.random.Generator) -> Array:
        """Rows of the values at which something may change, just above them, and of what is special."""
        numbers = [0.0, -0.0, 1e-40, -1e-40, ZERO, -ZERO, 1e300, -1e300, np.inf, -np.inf, np.nan, np.nan]
        codes = [-1.0, -0.5, 0.5, 1e12, -np.inf, np.inf, np.nan, np.nan]
        tried = [
            np.concatenate([one.values, np.nextafter(one.values, np.inf), codes if one.categorical else numbers])
            for one in self.features
        ]
        most = max(map(len, tried))
        rows = random.normal(size=(most, self.width))
        for one, values in zip(self.features, tried, strict=True):
            rows[:, one.at] = random.permutation(np.resize(values, most))
        return rows


def _feature(forest: Forest, at: int) -> Feature | None:
    nodes = [(tree, node) for tree in forest.trees for node, feature in enumerate(tree.feature) if feature == at]
    if not nodes:
        return None
    kinds = {tree.categorical(node) for tree, node in nodes}
    if len(kinds) > 1:
        raise UnknownTreesError("a feature is split as a number and as a category")
    if kinds == {True}:
        sets = (tree.categories[int(tree.threshold[node])] for tree, node in nodes)
        count = max((max(one, default=0) for one in sets), default=0) + 1
        return Feature(at, True, np.empty(0), np.append(np.arange(float(count)), np.nan))
    below = np.nextafter(-ZERO, -np.inf)
    # LightGBM takes what is as small as ZERO for 0.0 before it compares, so no cut can lie between.
    cuts = {
        threshold if abs(threshold) > ZERO else (ZERO if threshold >= 0 else below)
        for threshold in (tree.threshold[node] for tree, node in nodes)
    }
    if any(tree.zero_is_missing(node) for tree, node in nodes):
        cuts |= {ZERO, below}
    ends = np.array(sorted(cuts))
    return Feature(at, False, ends, np.append(np.where(np.abs(ends) <= ZERO, 0.0, ends), [np.inf, np.nan]))
