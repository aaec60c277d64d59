"""Predictions of one message to the monitor: kept as they come, and made into columns when they are sent.

Single rows come as tuples of values, requests of many rows as arrays. Neither becomes the other's form: what is
predicted in columns goes to the monitor in columns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from loopwright.models.columns import Array, Columns, InputSpec, Prediction, Value
from loopwright.statistics.several import top

MAX_ROWS = 10_000
# A request has no more rows. Made once, as they are much of what a row's event costs otherwise.
_SUFFIXES = [f"/{row}" for row in range(MAX_ROWS)]


@dataclass
class Part:
    """A request of many rows, or some of them: the rows of the request from `start` on."""

    identity: str
    start: int
    columns: Columns
    predictions: Array


@dataclass
class Batch:
    """Single rows with their ids and predictions, and parts; `count` is the number of rows of both."""

    at: float
    ids: list[str] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    rows: list[Sequence[Value]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    count: int = 0

    def fields(self, inputs: Sequence[InputSpec]) -> dict[str, Any]:
        """What the message says of the rows: ids, columns and predictions, numbers packed.

        Of more than two classes the prediction is the probability of the decided one, and `decided` its place.
        """
        # Single rows give tuples here, which are packed without an array of objects in between.
        singles: Iterable[Any] = zip(*self.rows, strict=True) if self.rows else ((),) * len(inputs)
        return {
            "ids": list(chain(self.ids, *map(_ids, self.parts))),
            "columns": {spec.name: self._column(spec, values) for spec, values in zip(inputs, singles, strict=True)},
            **self._predicted(),
        }

    def _predicted(self) -> dict[str, Any]:
        several = any(part.predictions.ndim == 2 for part in self.parts) or (
            bool(self.predictions) and isinstance(self.predictions[0], list)
        )
        if not several:
            singles: Any = self.predictions
            return {"predictions": _packed([singles, *(part.predictions for part in self.parts)])}
        rows = [np.array(self.predictions)] if self.predictions else []
        scores, places = top(np.concatenate([*rows, *(part.predictions for part in self.parts)]))
        return {"predictions": _packed([scores]), "decided": places.tolist()}

    def _column(self, spec: InputSpec, singles: Sequence[Value]) -> bytes | list[Value]:
        arrays = [part.columns[spec.name] for part in self.parts]
        if spec.kind == "number":
            return _packed([singles, *arrays])
        return [*singles, *(value for array in arrays for value in array.tolist())]


def row_ids(identity: str, count: int, start: int = 0) -> list[str]:
    """The ids of a request's predictions: its own where it has one row, otherwise one a row, here from `start` on."""
    return [identity] if count == 1 and not start else list(map(identity.__add__, _SUFFIXES[start : start + count]))


def _ids(part: Part) -> list[str]:
    return row_ids(part.identity, len(part.predictions), part.start)


def _packed(numbers: Sequence[Array | Sequence[Value]]) -> bytes:
    """Numbers as a message carries them: float64, little-endian, NaN where one is missing."""
    return b"".join([np.asarray(one, dtype="<f8").tobytes() for one in numbers])
