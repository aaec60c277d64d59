"""A window of events as one file for a person's own tools: Parquet or CSV, written batch by batch."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def write(batches: "Iterator[pa.RecordBatch]", path: Path, columns: Sequence[str] | None = None) -> int:
    """Write batches to a .parquet or .csv file, which appears whole or not at all; how many rows there are.

    Raises DataError for another ending, for a window without events, for a column that is not there, for versions that
    differ in their columns, and when the file cannot be written.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise DataError(f"{path} is of no kind that is known", expected="a name that ends in .parquet or .csv")
    first = next(batches, None)
    if first is None:
        raise DataError("there are no events in the window", do="see `loopwright events list` for what there is")
    if missing := [name for name in columns or () if name not in first.schema.names]:
        raise DataError(f"the events have no column {', '.join(missing)}", expected=", ".join(first.schema.names))
    part = path.with_name(f".{path.name}.part")
    try:
        rows = _write(first, batches, part, path.suffix)
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}", do="check the folder") from error
    finally:
        part.unlink(missing_ok=True)
    return rows


def _write(first: "pa.RecordBatch", rest: "Iterator[pa.RecordBatch]", part: Path, ending: str) -> int:
    from pyarrow import csv, parquet

    with ExitStack() as stack:
        kind: Any = parquet.ParquetWriter if ending == ".parquet" else csv.CSVWriter
        writer = stack.enter_context(kind(str(part), first.schema))
        writer.write_batch(first)
        rows: int = first.num_rows
        for batch in rest:
            if batch.schema != first.schema:
                odd = set(batch.schema.names) ^ set(first.schema.names)
                raise DataError(
                    f"the versions in the window differ in {', '.join(sorted(odd)) or 'the types of their columns'}",
                    expected="one set of columns in a file",
                    do="export one version at a time with --version, or name --columns that all have",
                )
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows
