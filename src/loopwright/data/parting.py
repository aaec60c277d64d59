"""A split of rows that stay on disk: which of them judge, by one column or batch of them at a time.

    valid rows -> a mask, a byte a row -> columns of either side when they are asked for -> two files, batch by batch

The two sides are those that `splits.split` gives of a frame with the same rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.data import splits
from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

BATCH_ROWS = 50_000
Mask = NDArray[np.bool_]


class Table:
    """The columns of a Parquet file, one at a time; the last is kept, as both sides of a split are asked for it."""

    def __init__(self, file: "pq.ParquetFile") -> None:
        self._file = file
        self._last: tuple[str, pd.Series[Any]] | None = None

    def __getitem__(self, name: str) -> "pd.Series[Any]":
        if self._last is None or self._last[0] != name:
            self._last = None
            self._last = name, self._file.read([name]).to_pandas(ignore_metadata=True)[name]
        return self._last[1]


@contextmanager
def opened(path: Path) -> Iterator[Table]:
    """The columns of a Parquet file, which is open meanwhile: to open one of hundreds of columns takes 10 ms."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        yield Table(file)


class Rows:
    """The rows of a table of which a mask (n,) says so: their columns, as those of a frame."""

    def __init__(self, table: Table, mask: Mask) -> None:
        self._table, self._mask = table, mask
        self._count = int(mask.sum())

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> "pd.Series[Any]":
        found: pd.Series[Any] = self._table[name][self._mask].reset_index(drop=True)
        return found


def judging(path: Path, loop: Loop) -> Mask:
    """Which of the rows in a Parquet file judge, by `data.holdout`. Raises DataError as `splits.split` does."""
    holdout, data = loop.data.holdout, loop.data
    labels = column(path, data.label.column).to_frame()
    splits.require_classes(labels, loop)
    if holdout.by == "entity":
        assert data.entity is not None
        judged = splits.by_entity(column(path, data.entity), loop)
    elif holdout.by == "time":
        assert data.timestamp is not None
        judged = splits.by_time(column(path, data.timestamp), loop)
    else:
        days = splits.days(column(path, data.timestamp)) if data.timestamp is not None else False
        found = [splits.by_content(frame, loop, days=days) for frame in _frames(path)]
        judged = np.concatenate(found) if found else np.zeros(0, dtype=bool)
    splits.require_parts(labels, judged, loop)
    return judged


def write(path: Path, judged: Mask, training: Path, holdout: Path) -> None:
    """Write the rows of both sides, in the order in which they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for part in (training, holdout):
        part.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetFile(path, pre_buffer=False) as file:
        schema, begin = file.schema_arrow.remove_metadata(), 0
        with pq.ParquetWriter(training, schema) as learnt, pq.ParquetWriter(holdout, schema) as held:
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                mask = judged[begin : begin + batch.num_rows]
                begin += batch.num_rows
                table = pa.Table.from_batches([batch]).replace_schema_metadata()
                for writer, side in ((learnt, ~mask), (held, mask)):
                    if side.any():
                        writer.write_table(table.filter(pa.array(side)))


def column(path: Path, name: str) -> "pd.Series[Any]":
    """One column of a Parquet file."""
    with opened(path) as table:
        return table[name]


def _frames(path: Path) -> "Iterator[pd.DataFrame]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
            yield pa.Table.from_batches([batch]).to_pandas(ignore_metadata=True)
