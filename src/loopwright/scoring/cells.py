"""The values of one of Arrow's columns: numbers with what is missing, or a text column by its distinct values.

Plainly written numbers are Arrow's own cast; everything else goes through `data/typed.py`, as in training.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.loop import Column
from loopwright.models.coded import Coded
from loopwright.models.columns import Array

if TYPE_CHECKING:
    import pyarrow as pa


def numbers_of(column: Column, array: "pa.Array") -> tuple[Array, Array]:
    """The values as float64, and where one is missing; NaN where it is not is a value that is no number."""
    import pyarrow as pa
    from pyarrow import types

    kind = array.type
    if types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind) or types.is_null(kind):
        # The cast of a whole number beyond 2^53 rounds it, as pandas does.
        values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return values, np.isnan(values)
    if types.is_string(kind) and column.kind != "boolean":
        import pyarrow.compute as pc

        trimmed = pc.utf8_trim_whitespace(array)
        trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
        try:
            values = trimmed.cast(pa.float64()).to_numpy(zero_copy_only=False)
            return values, trimmed.is_null().to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            pass
    return _slowly(column, array)


def _slowly(column: Column, array: "pa.Array") -> tuple[Array, Array]:
    from loopwright.data.typed import blank, numbers

    short = array if hasattr(array, "dictionary") else _plain(array).dictionary_encode()
    values = _series(_plain(short.dictionary))
    found = np.append(numbers(column, values).to_numpy(dtype=np.float64), np.nan)
    missing = np.append(blank(values).to_numpy(dtype=np.bool_), True)
    places = _places(short)
    return found[places], missing[places]


def coded_of(array: "pa.Array") -> Coded:
    """A text column by its distinct values, without white space around them; None where nothing is left."""
    from pyarrow import types

    short = array if types.is_dictionary(array.type) else _plain(array).dictionary_encode()
    values = _plain(short.dictionary)
    if types.is_string(values.type) or types.is_large_string(values.type):
        texts = [(value or "").strip() or None for value in values.to_pylist()]
    else:
        from loopwright.data.typed import strings

        texts = strings(_series(values)).tolist()
    return Coded((*texts, None), _places(short))


def _places(short: "pa.DictionaryArray") -> Array:
    """The place of each row's value in the dictionary; the one behind them all where there is none."""
    import pyarrow as pa

    indices = short.indices.cast(pa.int64())
    filled = indices.fill_null(len(short.dictionary)) if indices.null_count else indices
    return np.asarray(filled.to_numpy(zero_copy_only=False)).astype(np.intp, copy=False)


def _plain(array: "pa.Array") -> "pa.Array":
    import pyarrow as pa

    from loopwright.data import tables

    column = tables.plain(pa.table({"one": array})).column("one")
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _series(values: "pa.Array") -> Any:
    """As `data/sources.py` reads them for the training."""
    return values.to_pandas(integer_object_nulls=True)


def is_whole(array: "pa.Array") -> bool:
    """Whether Arrow knows that all values are whole numbers."""
    from pyarrow import types

    return bool(types.is_integer(array.type) or types.is_boolean(array.type))
