"""What is written of a part: batches as one Parquet file, whose columns have one type each in all parts of a unit.

    batches, of which a database's answer may give each its own types -> one schema -> the bytes of a Parquet file

An id that is a number in the first 20,000 rows of a query and text in a later one is text in a part that has both. The
parts of a unit are read together, so that the type of its first part is that of them all.
"""

import io
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from loopwright.data import tables
from loopwright.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


class IdType:
    """The type that a unit's ids are written as; it has to see the batches of all parts in their order."""

    def __init__(self, name: str | None, unit: str) -> None:
        """`name` is the id column, None where the rows are numbered; `unit` is what messages call the unit."""
        self._name, self._unit = name, unit
        self._fixed: pa.DataType | None = None
        self._part: pa.Schema | None = None

    def seen(self, batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """The batches of the next part, whose types are noted on the way."""
        import pyarrow as pa

        self._part = None
        for batch in batches:
            if self._name is not None:
                kind = batch.schema.field(self._name).type
                kind = kind.value_type if pa.types.is_dictionary(kind) else kind
                found = pa.schema([pa.field(self._name, kind)])
                self._part = found if self._part is None else tables.unified(self._part, found)
            yield batch
        if self._fixed is None and self._part is not None:
            kind = self._part.types[0]
            # Nothing but missing ids says nothing; text holds whatever comes.
            self._fixed = pa.string() if pa.types.is_null(kind) else kind

    def schema(self) -> "pa.Schema | None":
        """The id column as the part that was just read is to be written; None where the rows are numbered.

        Raises DataError where its ids do not fit the type that the parts before it have.
        """
        import pyarrow as pa

        if self._name is None or self._part is None or self._fixed is None:
            return None
        fixed = pa.schema([pa.field(self._name, self._fixed)])
        if tables.unified(fixed, self._part).types[0] != self._fixed:
            was, now = (tables.kinds(one)[self._name] for one in (fixed, self._part))
            raise DataError(
                f"{self._unit} gives the id column {self._name} as {now} after partitions that have it as {was}",
                expected="one type for all rows",
                do="give it one in the query, such as CAST(... AS TEXT), and score into another --output",
            )
        return fixed


def parquet(batches: "Sequence[pa.RecordBatch]", wanted: "pa.Schema | None" = None, coded: Sequence[str] = ()) -> bytes:
    """Batches as one Parquet file, with the types that hold all of them; those in `wanted` are given.

    Columns of few values are written by a dictionary: those that are one, and those in `coded`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = [batch.schema for batch in batches] + ([] if wanted is None else [wanted])
    schema = reduce(lambda one, two: one if one.equals(two) else tables.unified(one, two), schemas)
    table = pa.concat_tables([tables.fitted(pa.Table.from_batches([batch]), schema) for batch in batches])
    stream = io.BytesIO()
    # Of numbers that hardly repeat a dictionary is made in vain.
    few = [field.name for field in table.schema if field.name in coded or pa.types.is_dictionary(field.type)]
    pq.write_table(table, stream, use_dictionary=few, write_page_checksum=True)
    return stream.getvalue()
