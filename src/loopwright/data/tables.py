"""Tables of few types, whatever they came as, so that what a row says does not depend on how its source was cut.

    any Arrow table -> plain: whole numbers, numbers, truth, moments, days, text -> one schema for all batches

Two batches of one column may differ in type: a column without a value, whole numbers before the first fraction, a CSV
file beside a Parquet file. `unified` finds the type that holds both, and text holds everything.
"""

import json
from typing import TYPE_CHECKING, Any

from loopwright.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

# How pandas keeps the index of a frame in Parquet: it is no column of the data.
INDEX = "__index_level_"
EXACT = 2**53
"""From here on a float64 does not hold every whole number."""


def plain(table: "pa.Table") -> "pa.Table":
    """The table with types of the few kinds, without metadata, dictionaries and pandas' index."""
    import pyarrow as pa

    names = [name for name in table.column_names if not name.startswith(INDEX)]
    return pa.table([_plain(table.column(name)) for name in names], names=names)


def _plain(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if types.is_decimal(kind):
        return _whole(column) if kind.scale <= 0 else column.cast(pa.float64(), safe=False)
    if types.is_integer(kind):
        return _whole(column)
    if types.is_floating(kind):
        return column.cast(pa.float64())
    if types.is_timestamp(kind):
        # The same moments; only the words for them change.
        return column if kind.tz is None else column.cast(pa.timestamp(kind.unit, "UTC"))
    if types.is_date(kind):
        return column.cast(pa.date32())
    if types.is_boolean(kind) or types.is_null(kind) or kind == pa.string():
        return column
    if types.is_large_string(kind) or types.is_string_view(kind) or types.is_time(kind):
        return column.cast(pa.string())
    return pa.chunked_array([pa.array([_text(value) for value in column.to_pylist()], pa.string())])


def _whole(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa

    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, (dict, list)) else str(value)


def unified(one: "pa.Schema", two: "pa.Schema") -> "pa.Schema":
    """The schema that holds both, in the order of the first; a column of only one of them is missing in the other."""
    import pyarrow as pa

    fields = []
    for name in [*one.names, *(name for name in two.names if name not in one.names)]:
        found = [schema.field(name) for schema in (one, two) if name in schema.names]
        try:
            fields += pa.unify_schemas([pa.schema([field]) for field in found], promote_options="permissive")
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            fields.append(pa.field(name, pa.string()))
    return pa.schema(fields)


def fitted(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """The table in a schema that `unified` found for it."""
    import pyarrow as pa

    if table.schema.equals(schema):
        return table
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.chunked_array([pa.nulls(len(table), field.type)]))
            continue
        column = table.column(field.name)
        if pa.types.is_floating(field.type) and pa.types.is_integer(column.type):
            _require_exact(column, field.name)
        # As text a number reads as it is hashed.
        told = texts(column) if pa.types.is_string(field.type) and not pa.types.is_null(column.type) else column
        columns.append(told.cast(field.type, safe=False))
    return pa.table(columns, schema=schema)


def _require_exact(column: "pa.ChunkedArray", name: str) -> None:
    """Raise DataError where a whole number would become another one: what is hashed has to be what is stored."""
    import pyarrow.compute as pc

    ends = pc.min_max(column)
    least, most = ends["min"].as_py(), ends["max"].as_py()
    if least is not None and (most >= EXACT or least <= -EXACT):
        raise DataError(
            f"the column {name} has whole numbers above 2^53 in one part and fractions in another",
            expected="one type: a float64 cannot hold such a whole number",
            do="give the column one type in the source; an id is best kept as text",
        )


def texts(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Each value as text, null where there is none: 1 and 1.0 are the same, and so are a moment's two resolutions."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    if types.is_string(column.type):
        return column
    if types.is_null(column.type):
        return column.cast(pa.string())
    if types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), float(EXACT)))
        as_whole = pc.if_else(whole, column, pa.scalar(None, column.type)).cast(pa.int64()).cast(pa.string())
        return pc.coalesce(as_whole, column.cast(pa.string()))
    told = column.cast(pa.string())
    if types.is_timestamp(column.type):
        told = pc.replace_substring_regex(told, r"(\.\d*?)0+(Z?)$", r"\1\2")
        return pc.replace_substring_regex(told, r"\.(Z?)$", r"\1")
    return told


def kinds(schema: "pa.Schema") -> dict[str, str]:
    """What each column holds, in a word, by name in order: integer, number, boolean, time, date, string or nothing."""
    from pyarrow import types

    words = {
        types.is_integer: "integer", types.is_floating: "number", types.is_boolean: "boolean",
        types.is_timestamp: "time", types.is_date: "date", types.is_null: "nothing",
    }  # fmt: skip
    named = {field.name: next((word for test, word in words.items() if test(field.type)), "string") for field in schema}
    return dict(sorted(named.items()))
