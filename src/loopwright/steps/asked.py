"""Predictions of a file's rows, part by part: here, or on the workers of a declared scale.

    parts -> inputs -> feature code -> model -> (n,) or (n, classes), in the file's order

What comes back is a number a row and class. The rows themselves are held by whoever reads a part, one at a time.
"""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.scale.parts import Part
from loopwright.scale.spread import Spread

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.bundle import Bundle
    from loopwright.models.columns import Columns
    from loopwright.models.model import Model

Floats = NDArray[np.float64]


class Asked:
    """A bundle's model, which is loaded where it is asked and does not travel itself."""

    def __init__(self, bundle: "Bundle") -> None:
        self.bundle = bundle

    @cached_property
    def model(self) -> "Model":
        """The model, once a process."""
        from loopwright.models.model import Model

        known = _LOADED.get(self.bundle.digest)
        if known is None:
            _LOADED.clear()
            known = _LOADED[self.bundle.digest] = Model(self.bundle)
        return known

    def of(self, spread: Spread, parts: Sequence[Part]) -> Floats:
        """The predictions of all parts' rows. Raises InputError for rows that lack one of the model's inputs."""
        return np.concatenate(list(spread.map(partial(_predicted, self.bundle), parts)))

    def columns(self, frame: "pd.DataFrame") -> "Columns":
        """The model's inputs among a frame's columns. Raises InputError where one is absent."""
        from loopwright.models.columns import from_frame

        names = [spec.name for spec in self.model.inputs if spec.name in frame.columns]
        return from_frame(self.model.inputs, frame[names])


_LOADED: dict[str, Any] = {}
"""The model that this process was asked for last: a worker is asked for one, part after part."""


def _predicted(bundle: "Bundle", part: Part) -> Floats:
    asked = Asked(bundle)
    return asked.model.predict(asked.columns(part.read()))
