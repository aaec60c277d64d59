"""What there is to score, cut into units that can be read on their own, in any order and by any process.

A unit is a run of row groups of a Parquet file, a CSV file, or the whole answer to a query or a function, which can be
read from its beginning only. The plan follows from the input alone, so that every process of a job has the same one.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.data import files, formats, sources
from loopwright.data.files import DataFile
from loopwright.errors import DataError
from loopwright.loop.source import Source, refused

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_CELLS, BATCH_ROWS = 1_000_000, 65_536
"""What is read at a time, at most: about 8 MB of numbers, whatever the number of columns."""
_BUFFER = 2 << 20
"""Bytes of a column of Parquet that are read ahead: without a bound Arrow takes the whole row group."""
_NAMED = "the columns that the model takes, and the one of --id (by default `data.entity`)"


@dataclass(frozen=True)
class Unit:
    """Rows that are read together."""

    number: int
    name: str
    """What messages call it: the file, or the query."""
    begin: int = 0
    """How many rows of its file are before it."""
    rows: int | None = None
    """None where only reading tells."""
    file: DataFile | None = field(default=None, repr=False)
    groups: tuple[int, ...] | None = None
    """The row groups of a Parquet file."""
    source: Source | None = None
    root: Path = Path()
    beside: tuple[str, ...] = ()
    """Columns that are read, too, as rules are about them; of a query those of them that it gives."""

    @property
    def stable(self) -> bool:
        """Whether a second reading surely gives the same rows in the same order; a query's answer may differ."""
        return self.file is not None

    def read(self, columns: Sequence[str], texts: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        """The unit's rows with these columns, those of `texts` by their distinct values where the format has them so.

        Behind them stand the columns of `beside` that are there. Raises DataError for what cannot be read, and for a
        column that is not there.
        """
        import pyarrow as pa

        columns = [*columns, *(name for name in self.beside if name not in columns)]
        size = max(1, min(BATCH_ROWS, BATCH_CELLS // max(1, len(columns))))
        if self.groups is not None and self.file is not None:
            yield from self._parquet(self.file, list(self.groups), columns, texts, size)
            return
        if self.file is not None:
            tables = formats.read(self.file, columns)
        else:
            assert self.source is not None
            tables = sources.batches(self.source, self.root)
        for table in tables:
            if self.file is None:
                columns = [name for name in columns if name in table.column_names or name not in self.beside]
            if missing := [name for name in columns if name not in table.column_names]:
                raise _absent(self.name, missing)
            for start in range(0, len(table), size):
                part = table.slice(start, size).select(list(columns)).combine_chunks()
                yield pa.RecordBatch.from_arrays([_one(part.column(name)) for name in columns], names=list(columns))

    def _parquet(
        self, file: DataFile, groups: list[int], columns: Sequence[str], texts: Sequence[str], size: int
    ) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with formats.reading(file), _opened(file) as stream:
            footer = pq.read_metadata(stream)
            schema = footer.schema.to_arrow_schema()
            # Arrow gives only what is no list and no struct by its distinct values.
            flat = [name for name in texts if not pa.types.is_nested(schema.field(name).type)]
            opened = pq.ParquetFile(
                stream, metadata=footer, pre_buffer=False, buffer_size=_BUFFER, read_dictionary=flat or None
            )
            for batch in opened.iter_batches(size, row_groups=groups, columns=list(columns), use_threads=False):
                # Arrow gives the columns in the file's order.
                found = batch.select(list(columns))
                yield pa.RecordBatch.from_arrays([_filterable(one) for one in found.columns], names=list(columns))


@dataclass(frozen=True)
class Plan:
    """All units of an input, and what tells it from every other one."""

    source: str
    units: tuple[Unit, ...]
    fingerprint: str
    """Of the files' names, sizes and stamps, or of the query; the rows themselves are not read for it."""

    @property
    def rows(self) -> int | None:
        """All rows; None where only reading tells."""
        known = [unit.rows for unit in self.units]
        return None if None in known else sum(rows for rows in known if rows is not None)

    @property
    def beside(self) -> set[str]:
        """The columns beside the model's that every unit has, as far as is known."""
        return set[str](self.units[0].beside).intersection(*(unit.beside for unit in self.units))


def plan(source: str | Source, root: Path, columns: Sequence[str], part_rows: int, beside: Sequence[str] = ()) -> Plan:
    """Look at what is there: files and their footers, no rows.

    Row groups are put together up to `part_rows` rows; of `beside` each file's units have what it has. Raises DataError
    for an input that is absent or without rows, for a file that is neither CSV nor Parquet or was only half written,
    and for one that lacks one of `columns`.
    """
    if isinstance(source, Source):
        told = f"python {source.python}" if source.python else f"{source.sql} ({source.url_env})"
        unit = Unit(0, str(source), source=source, root=root, beside=tuple(beside))
        return Plan(str(source), (unit,), _digest([told]))
    if why := refused(source):
        raise DataError(why.removeprefix("source: "))
    units: list[Unit] = []
    found = files.found(source, root)
    for file in found:
        units += _units(file, len(units), columns, part_rows, beside)
    if not units:
        raise DataError(f"{source} has no rows", expected="at least one row", do="check the export")
    return Plan(source, tuple(units), _marks(found))


def changed(planned: Plan, source: str | Source, root: Path) -> bool:
    """Whether the input's files are others by now than when it was planned; a query is held against itself."""
    return isinstance(source, str) and _marks(files.found(source, root)) != planned.fingerprint


def _marks(found: Sequence[DataFile]) -> str:
    return _digest([[one.name, one.size, one.stamp] for one in found])


def _units(file: DataFile, number: int, columns: Sequence[str], part_rows: int, beside: Sequence[str]) -> list[Unit]:
    import pyarrow.parquet as pq

    with formats.reading(file), _opened(file) as stream:
        if not formats.is_parquet(file, stream):
            names = formats.header(file)
            formats.require(file, names, columns, _NAMED)
            return [Unit(number, file.name, file=file, beside=tuple(one for one in beside if one in names))]
        opened = pq.ParquetFile(stream, pre_buffer=False)
        names = opened.schema_arrow.names
        formats.require(file, names, columns, _NAMED)
        there = tuple(one for one in beside if one in names)
        sizes = [opened.metadata.row_group(at).num_rows for at in range(opened.metadata.num_row_groups)]
    units: list[Unit] = []
    begin, groups, rows = 0, list[int](), 0
    for at, size in enumerate(sizes):
        if groups and rows + size > part_rows:
            units.append(Unit(number + len(units), file.name, begin, rows, file, tuple(groups), beside=there))
            begin, groups, rows = begin + rows, [], 0
        if size:
            groups.append(at)
            rows += size
    if groups:
        units.append(Unit(number + len(units), file.name, begin, rows, file, tuple(groups), beside=there))
    return units


def _opened(file: DataFile) -> Any:
    import pyarrow as pa

    # Arrow reads a file on disk by itself; whatever else there is, through Python.
    return pa.PythonFile(file.open(), mode="r") if "://" in file.name else pa.OSFile(file.name)


def _one(column: "pa.ChunkedArray") -> "pa.Array":
    import pyarrow as pa

    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _filterable(column: "pa.Array") -> "pa.Array":
    """The column; of views, which Arrow does not filter, the same values as they are usually kept."""
    import pyarrow as pa

    if pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    return column.cast(pa.binary()) if pa.types.is_binary_view(column.type) else column


def _absent(name: str, missing: Sequence[str]) -> DataError:
    return DataError(f"{name} has no column {', '.join(missing)}", expected=_NAMED, do="check the query")


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
