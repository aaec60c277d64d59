"""How training rows are parted for early stopping, calibration and search: as the holdout is parted from them.

A part that is chosen in another way than the holdout tells another story than the holdout will: rows of one customer
stay together, and of rows in time the newest are the part that is kept for telling.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from loopwright.errors import DataError
from loopwright.models.columns import Array


@dataclass(frozen=True)
class Layout:
    """(n,) rows: their entities, where these stay together, and their times, where time parts them."""

    rows: int
    seed: int
    entities: Array | None = None
    times: Array | None = None

    def of(self, rows: Array) -> Self:
        """The layout of some of the rows, a mask."""
        entities = None if self.entities is None else self.entities[rows]
        return type(self)(int(rows.sum()), self.seed, entities, None if self.times is None else self.times[rows])

    def folds(self, count: int) -> Array:
        """Each row's part, 0 to count - 1: blocks of time, or at random, entities whole."""
        if self.times is not None:
            order = np.argsort(self.times, kind="stable")
            found = np.empty(self.rows, dtype=np.intp)
            found[order] = np.arange(self.rows) * count // self.rows
            return found
        return self._places(count)

    def part(self, share: float) -> Array:
        """A mask of about this share of the rows: the newest, or some at random, entities whole."""
        if self.times is not None:
            order = np.argsort(self.times, kind="stable")
            found = np.zeros(self.rows, dtype=bool)
            found[order[self.rows - max(1, round(share * self.rows)) :]] = True
            return found
        slots = 1000
        return self._places(slots) < share * slots

    def _places(self, count: int) -> Array:
        random = np.random.default_rng(self.seed)
        if self.entities is None:
            return random.permutation(self.rows) * count // max(self.rows, 1)
        names, codes = np.unique(self.entities, return_inverse=True)
        return (random.permutation(len(names)) * count // len(names))[codes.reshape(-1)]


def require_classes(target: Array, told: Array, classes: int) -> None:
    """Raise DataError where the part that early stopping listens to, or what is left to train on, lacks a class.

    LightGBM would go on: to as many trees as there may be, or to one.
    """
    for rows, name in ((told, "the part that early stopping is told by"), (~told, "what early stopping leaves")):
        if (found := len(np.unique(target[rows]))) < classes:
            raise DataError(
                f"{name} has rows of {found} of {classes} classes",
                expected="rows of each class in it and outside it",
                do="provide more rows, change model.early_stopping.share, or leave model.early_stopping out",
            )
