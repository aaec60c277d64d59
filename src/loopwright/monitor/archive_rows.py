"""Rows that are to be archived, on their way from a batch of events to the content of a Parquet file.

A part gathers what one file will hold: rows of one version, received in one hour of the loop's time. They become Arrow
a thousand at a time, which is compact, and of which nothing refers to the messages any more.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.archive.layout import CLASS, HOUR, ID, PREDICTED, PREDICTION, RECEIVED, Key
from loopwright.durations import Clock
from loopwright.loop.archive import RESERVED
from loopwright.monitor.events import Batch
from loopwright.statistics.profile import Profile

if TYPE_CHECKING:
    from arro3.core import Array, RecordBatch

FEW_ROWS = 1000
"""Rows that wait together before they become Arrow: a message of one row is then one of a thousand, not an array."""
CELL = 64
"""Bytes of a value that waits, about: a text of Python's."""
NEVER = np.datetime64("NaT", "us")
COMPRESSION = "zstd(1)"
"""Smaller than Snappy, and at this level about as fast; read by all that reads Parquet today."""


def sampled(ids: Sequence[str], share: float) -> NDArray[np.bool_]:
    """Which of n ids are kept, (n,): the same ones in every replica, and of two shares the smaller one's in both."""
    if share >= 1:
        return np.ones(len(ids), dtype=np.bool_)
    limit = share * 2**32
    return np.fromiter((zlib.crc32(one.encode()) < limit for one in ids), dtype=np.bool_, count=len(ids))


@dataclass(frozen=True)
class Rows:
    """Rows of one batch that are kept: their ids, when they were received and predicted, and (n,) arrays."""

    ids: list[str]
    received: np.datetime64
    predicted: np.datetime64
    predictions: NDArray[np.float64]
    columns: dict[str, NDArray[Any]]


class Part:
    """The rows of one file that is not written yet, all of the same columns."""

    def __init__(self, loop: str, version: str, first: datetime, since: float) -> None:
        self.loop, self.version, self.first, self.since = loop, version, first, since
        self.rows = self._merged = self._small = 0
        self._names: list[str] = []
        self._numbers: list[str] = []
        self._waiting: list[Rows] = []
        self._batches: list[RecordBatch] = []

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return self._merged + self._small * (1 + len(self._names)) * CELL

    def takes(self, rows: Rows, moment: datetime) -> bool:
        """Whether these rows, received at this moment, belong in the same file."""
        start = self.first.replace(minute=0, second=0, microsecond=0)
        return self._names == list(rows.columns) and start <= moment < start + HOUR

    def add(self, rows: Rows) -> None:
        """Take in rows."""
        self._names = list(rows.columns)
        self._numbers = [name for name, values in rows.columns.items() if values.dtype != object]
        self._waiting.append(rows)
        self.rows += len(rows.ids)
        self._small += len(rows.ids)
        if self._small >= FEW_ROWS:
            self._merge()

    def encoded(self) -> tuple[Key, bytes]:
        """The file, and where it goes."""
        from arro3.core import Table
        from arro3.io import write_parquet

        if self._waiting:
            self._merge()
        stream = io.BytesIO()
        plain: dict[str | Sequence[str], bool] = dict.fromkeys([ID, PREDICTION, *self._numbers], False)
        # A dictionary of values that hardly repeat took more than half of the time, and made the file larger.
        table = Table.from_batches(self._batches)
        write_parquet(table, stream, compression=COMPRESSION, column_dictionary_enabled=plain)
        return Key.new(self.loop, self.version, self.first, self.rows), stream.getvalue()

    def _merge(self) -> None:
        """Make Arrow of the rows that wait."""
        from arro3.core import Array, DataType, RecordBatch

        waiting, self._waiting, self._small = self._waiting, [], 0
        counts = [len(rows.ids) for rows in waiting]
        columns = {
            ID: Array([one for rows in waiting for one in rows.ids], type=DataType.utf8()),
            RECEIVED: _moments(np.repeat([rows.received for rows in waiting], counts)),
            PREDICTED: _moments(np.repeat([rows.predicted for rows in waiting], counts)),
            PREDICTION: Array.from_numpy(np.concatenate([rows.predictions for rows in waiting])),
        }
        for name in self._names:
            values = np.concatenate([rows.columns[name] for rows in waiting])
            columns[name] = _text(values) if values.dtype == object else Array.from_numpy(values)
        batch = RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        self._batches.append(batch)
        self._merged += batch.nbytes


def pick(
    batch: Batch, kept: NDArray[np.bool_], profile: Profile, redact: frozenset[str], clock: Clock, at: float
) -> Rows:
    """The kept rows of a batch that was received at the real moment `at`, without the inputs that are redacted.

    A missing text is null, whether it came as None or "", and a missing number NaN, as they are counted.
    """
    whole = bool(kept.all())
    # A version that was trained under another declaration may have inputs that this one would not allow.
    names = [name for name in profile.features if name not in redact and name not in RESERVED]
    columns = {name: batch.columns[name] if whole else batch.columns[name][kept] for name in names}
    if batch.decided is not None:
        # The last place of all is that of none.
        known = np.array([*map(str, profile.classes), None], dtype=object)
        columns[CLASS] = known[batch.decided if whole else batch.decided[kept]]
    return Rows(
        list(batch.ids) if whole else [one for one, keep in zip(batch.ids, kept, strict=True) if keep],
        _stamp(clock.at(at)),
        _predicted(clock, batch.at),
        batch.predictions if whole else batch.predictions[kept],
        columns,
    )


def _predicted(clock: Clock, at: float) -> np.datetime64:
    """When the sender says that it predicted; NaT when what it says is no moment."""
    try:
        return _stamp(clock.at(at)) if at > 0 else NEVER
    except (OverflowError, ValueError, OSError):
        return NEVER


def _stamp(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "us")


def _moments(moments: NDArray[np.datetime64]) -> "Array":
    from arro3.core import Array, DataType

    kind = DataType.timestamp("us", tz="UTC")
    if np.isnat(moments).any():
        known = zip(moments.astype(np.int64).tolist(), np.isnat(moments).tolist(), strict=True)
        numbers = [None if never else microseconds for microseconds, never in known]
        return Array(numbers, type=DataType.int64()).cast(kind)
    return Array.from_numpy(moments).cast(kind)


def _text(values: NDArray[Any]) -> "Array":
    from arro3.core import Array, DataType

    known = [one if type(one) is str and one else _spelled(one) for one in values.tolist()]
    return Array(known, type=DataType.utf8())


def _spelled(value: Any) -> str | None:
    """A category as the profile counts it, so that 1 and "1" are one."""
    return None if value is None or value == "" or value != value else str(value)
