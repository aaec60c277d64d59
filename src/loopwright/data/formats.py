"""Rows of CSV and Parquet files, batch by batch.

CSV is read as text: what a value means is the contract's business, and guessing types per file would make one column a
number in January and a string in February. Parquet keeps the types it carries.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.data import tables
from loopwright.data.files import DataFile, found
from loopwright.data.objects import away
from loopwright.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK, BATCH_ROWS = 8 << 20, 50_000
"""What is read at once: bytes of CSV (no row may be longer), rows of Parquet."""


def batches(source: str, root: Path, columns: Sequence[str] | None = None) -> Iterator["pa.Table"]:
    """All rows of the files, in the files' order, as plain tables of bounded size; `columns` limits what is read.

    Raises DataError for a file that cannot be read or is neither CSV nor Parquet, and for files of other columns.
    """
    first: list[str] | None = None
    for file in found(source, root):
        for table in read(file, columns):
            if first is None:
                first = table.column_names
            elif odd := sorted(set(first) ^ set(table.column_names)):
                raise DataError(
                    f"{file.name} differs from the files before it in the columns {', '.join(odd[:5])}",
                    expected="files with the same columns",
                    do="move the odd file away, or complete its columns",
                )
            yield table


def read(file: DataFile, columns: Sequence[str] | None) -> Iterator["pa.Table"]:
    """All rows of one file; see `batches`."""
    import pyarrow as pa

    with reading(file), pa.PythonFile(file.open(), mode="r") as stream:
        if is_parquet(file, stream):
            yield from _parquet(file, stream, columns)
        else:
            yield from _csv(file, stream, columns)


def is_parquet(file: DataFile, stream: Any) -> bool:
    """Whether an opened file begins as Parquet does. Raises DataError when it is empty, or should and does not."""
    start = stream.read(4)
    stream.seek(0)
    if not start:
        raise DataError(f"{file.name} is empty", expected="a header and rows", do="check the export")
    if start != b"PAR1" and file.kind == "parquet":
        raise _unreadable(file, "it does not begin as Parquet does")
    return bool(start == b"PAR1")


@contextmanager
def reading(file: DataFile) -> Iterator[None]:
    """Raise DataError, naming the file, for what Arrow, the store or the disk raise while it is read."""
    import pyarrow as pa
    from obstore.exceptions import BaseError

    try:
        yield
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error, EOFError) as error:
        # Arrow repeats the line that it cannot read, and values are not for messages.
        why = re.sub(r"(got \d+): .*", r"\1", str(error).strip().splitlines()[0])
        raise _unreadable(file, why) from error
    except (BaseError, OSError) as error:
        if type(error) is OSError and error.errno is None:
            # Arrow's word for a page that it cannot unpack; what a disk refuses has a number.
            raise DataError(
                f"{file.name} is damaged: {str(error).strip().splitlines()[0]}",
                expected="a file that was written to its end and copied whole",
                do="write or copy it again",
            ) from error
        if "://" in file.name:
            raise away(file.name, error) from error
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{file.name} cannot be read: {why}", do="check its permissions") from error


def _parquet(file: DataFile, stream: Any, columns: Sequence[str] | None) -> Iterator["pa.Table"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(stream, pre_buffer=False)
    require(file, opened.schema_arrow.names, columns)
    for batch in opened.iter_batches(BATCH_ROWS, columns=list(columns) if columns else None, use_threads=False):
        yield tables.plain(pa.Table.from_batches([batch]))


def _csv(file: DataFile, stream: Any, columns: Sequence[str] | None) -> Iterator["pa.Table"]:
    """Only an empty cell is missing here: `NA` may be a country and `None` a plan."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    packed = file.name.lower().endswith(".gz")
    names = header(file)
    require(file, names, columns)
    reader = arrow.open_csv(
        pa.CompressedInputStream(stream, "gzip") if packed else stream,
        read_options=arrow.ReadOptions(block_size=BLOCK, use_threads=False),
        parse_options=arrow.ParseOptions(newlines_in_values=True),
        convert_options=arrow.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            include_columns=list(columns) if columns else None,
        ),
    )
    for batch in reader:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def header(file: DataFile) -> list[str]:
    """The columns of a CSV file. Raises what Arrow raises for one that cannot be unpacked, see `reading`."""
    import pyarrow as pa

    # Arrow's reader of what is packed closes what it reads, so each has its own.
    with pa.PythonFile(file.open(), mode="r") as head:
        packed = file.name.lower().endswith(".gz")
        return _header(file, (pa.CompressedInputStream(head, "gzip") if packed else head).read(1 << 20))


def _header(file: DataFile, start: bytes) -> list[str]:
    """The names in the first line that is not empty."""
    # A character may be cut at the end of what was read.
    text = start.decode("utf-8-sig", errors="strict" if len(start) < 1 << 20 else "ignore")
    for row in csv.reader(io.StringIO(text)):
        if row:
            return row
    raise _unreadable(file, "there is no header line")


def require(
    file: DataFile,
    names: Sequence[str],
    columns: Sequence[str] | None,
    expected: str = "the columns that loop.yaml names",
) -> None:
    """Raise DataError where a file with the columns `names` lacks one of `columns`, or has one twice."""
    if missing := [name for name in columns or () if name not in names]:
        raise DataError(
            f"{file.name} has no column {', '.join(missing)}",
            expected=expected,
            do="check the header",
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{file.name} has the column {repeated[0]!r} more than once", do="name each column once")


def _unreadable(file: DataFile, why: str) -> DataError:
    return DataError(
        f"{file.name} is neither CSV nor Parquet: {why}",
        expected="CSV in UTF-8 with a header line, or Parquet",
        do="convert the file, or name another in `data.source`",
    )
