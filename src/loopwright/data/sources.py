"""Reading rows from where a team keeps them: files and buckets, a database, or a function.

    loop.yaml -> files | sql | callables -> batches of plain tables -> snapshot, contract
                                                                    -> read: all of them as one frame

Batches are of bounded size, so that who goes through them needs no memory for all rows.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright.data import callables, formats, sql, tables
from loopwright.errors import DataError
from loopwright.loop.source import Source, refused

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def batches(source: str | Source, root: Path, columns: Sequence[str] | None = None) -> Iterator["pa.Table"]:
    """All rows of a source, as plain tables one after the other; `columns` limits what is read.

    A relative path is relative to `root`. Raises DataError when the source is absent, cannot be read, differs in
    columns from one part to the next, or has no rows.
    """
    empty = True
    names: list[str] | None = None
    for table in _parts(source, root, columns):
        names = names or table.column_names
        if odd := sorted(set(names) ^ set(table.column_names)):
            raise DataError(f"{source} changes its columns on the way: {', '.join(odd[:5])}", do="give each the same")
        if len(table):
            empty = False
            yield table.select(names)
    if empty:
        raise DataError(f"{source} has no rows", expected="at least one row below the header", do="check the export")


def _parts(source: str | Source, root: Path, columns: Sequence[str] | None) -> Iterator["pa.Table"]:
    if isinstance(source, str):
        # A path may also come from an option of the command line.
        if why := refused(source):
            raise DataError(why.removeprefix("source: "))
        return formats.batches(source, root, columns)
    if source.python is not None:
        return callables.batches(source.python, root, columns)
    assert source.sql is not None
    assert source.url_env is not None
    return sql.batches(source.sql, source.url_env, columns)


def read(source: str | Source, root: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """All rows of a source as one frame; see `batches`."""
    frame = together(list(batches(source, root, columns)))
    return frame[list(columns)] if columns else frame


def together(parts: Sequence["pa.Table"]) -> "pd.DataFrame":
    """Batches as one frame."""
    import pandas as pd
    import pyarrow as pa

    schema = parts[0].schema
    for part in parts[1:]:
        schema = tables.unified(schema, part.schema)
    whole = pa.concat_tables([tables.fitted(part, schema) for part in parts])
    # Whole numbers stay whole where some are missing: an id 7 is not 7.0.
    frame: pd.DataFrame = whole.to_pandas(integer_object_nulls=True)
    return frame
