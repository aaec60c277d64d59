"""The parts of a Parquet file: its row groups, which a process reads one at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Part:
    """A row group of a file; small, so that it travels to where it is read."""

    path: Path
    group: int
    rows: int

    def read(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Its rows, or some columns of them, numbered from 0."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            table = file.read_row_group(self.group, list(columns) if columns is not None else None, use_threads=False)
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
        return frame


def parts(path: Path) -> list[Part]:
    """The parts of a file that have rows, in its order."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    return [Part(path, group, rows) for group, rows in enumerate(counts) if rows]


def names(path: Path) -> list[str]:
    """The columns of a file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        return list(file.schema_arrow.names)


def head(some: Sequence[Part], rows: int) -> "pd.DataFrame":
    """The first rows of all, with all columns."""
    import pandas as pd

    found, left = [], rows
    for part in some:
        found.append(part.read().head(left))
        left -= len(found[-1])
        if left <= 0:
            break
    return pd.concat(found, ignore_index=True)


def at(some: Sequence[Part], places: Array) -> Iterator[tuple[Array, "pd.DataFrame"]]:
    """Rows by their places (n,) among all: for each part which of `places` it has, and these rows in their order."""
    begin = 0
    for part in some:
        here = np.flatnonzero((places >= begin) & (places < begin + part.rows))
        if len(here):
            yield here, part.read().iloc[places[here] - begin].reset_index(drop=True)
        begin += part.rows


def share(part: Part, rank: int, count: int, seed: int) -> Array:
    """Which rows of a part (rows,) are those of worker `rank` of `count`, as a mask.

    Drawn at random by the seed, so that each worker's rows are like all others', however the file is ordered: LightGBM
    finds the bins of a feature in one worker's rows. Of one part the workers' shares differ by a row at most.
    """
    if count == 1:
        return np.ones(part.rows, dtype=bool)
    drawn = np.random.default_rng([seed, part.group]).permutation(part.rows)
    return np.asarray(drawn % count == rank)


class Columns(Mapping[str, Array]):
    """Columns that are read when they are asked for, each by itself, and not kept."""

    def __init__(self, names: Sequence[str], read: Any) -> None:
        self._names, self._read = tuple(names), read

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        found: Array = self._read(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
