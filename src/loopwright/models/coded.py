"""Text columns as Arrow keeps them: the values that occur, once each, and for every row the place of its own.

A batch of 50,000 rows has a handful of categories. What is done to a value (trim it, check it, find its code or its
bin) is done to that handful, and the rows follow by their places.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loopwright.models.columns import Array


@dataclass(frozen=True, eq=False)
class Coded:
    """One column: its distinct values, None for missing, and the place (n,) of each row's among them."""

    values: tuple[str | None, ...]
    places: Array

    @cached_property
    def array(self) -> Array:
        """The column as feature code sees it: an object array (n,) of str, with None for missing."""
        values = np.empty(len(self.values), dtype=object)
        values[:] = self.values
        return np.asarray(values.take(self.places))

    def holds(self, array: Array) -> bool:
        """Whether `array` is `self.array` itself, or all of it seen unchanged through a view."""
        own = self.array
        if array is own:
            return True
        whole = array.base is own and array.shape == own.shape and array.strides == own.strides
        return whole and array.ctypes.data == own.ctypes.data

    def only(self, kept: Array) -> "Coded":
        """The rows where `kept` (n,) is true."""
        return Coded(self.values, self.places[kept])
