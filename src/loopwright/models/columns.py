"""Raw input columns: from request rows, data frames or arrays to the one form that feature code and monitors see.

A number column is a float64 array with NaN for a missing value; a category column is an object array of str, without
white space around it, with None for a missing value. Everything that enters a model passes through here, in training
and in serving, so what counts as missing and what is refused is decided once.
"""

import difflib
import math
import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import starmap
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from loopwright.errors import InputError
from loopwright.loop import Column

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, np.dtype[Any]]
Columns = dict[str, Array]
Kind = Literal["number", "category"]
Value = float | str | None
"""One value as a model takes it: a number, NaN where it is missing; or text, None where it is missing."""
Prediction = float | list[float]
"""What is predicted of one row: P(positive class) or the value; of more than two classes the probability of each."""

_NUMBERS = frozenset({int, float, bool, type(None)})
_TEXT, _FLOATS = frozenset({str}), frozenset({float})


class InputSpec(BaseModel):
    """One raw column of a request: its name, how the model sees it, and its type in the contract."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Kind
    type: Literal["integer", "number", "string", "boolean"]


def specs(contract: Mapping[str, Column]) -> tuple[InputSpec, ...]:
    """The inputs that a loop declares (`Loop.inputs`), in the contract's order."""
    return tuple(
        InputSpec(name=name, kind="number" if column.numeric else "category", type=column.kind)
        for name, column in contract.items()
    )


def from_rows(inputs: Sequence[InputSpec], rows: Sequence[Mapping[str, Any]], ignored: Collection[str] = ()) -> Columns:
    """Columns of rows as a request carries them: one mapping of column to value a row.

    None, NaN and empty text are missing. Raises InputError naming the row and the column that is absent, unknown
    (unless it is in `ignored`) or of the wrong kind.
    """
    names = [spec.name for spec in inputs]
    known = {*names, *ignored}
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InputError(f"{_row(number, rows)}found {_describe(row)}", expected="an object of column and value")
        if not known.issuperset(row):
            _refuse_names(names, row, ignored, _row(number, rows))
    try:
        values = [[row[name] for row in rows] for name in names]
    except KeyError:
        for number, row in enumerate(rows):
            _refuse_names(names, row, ignored, _row(number, rows))
        raise
    return {spec.name: _parsed(spec, column) for spec, column in zip(inputs, values, strict=True)}


def from_lists(inputs: Sequence[InputSpec], rows: Sequence[Sequence[Any]]) -> Columns:
    """Columns of rows that are lists of values in the order of `inputs`. Raises InputError as `from_rows` does."""
    if set(map(type, rows)) == {list} and set(map(len, rows)) == {len(inputs)}:
        # Numbers only are taken all at once.
        if all(spec.kind == "number" for spec in inputs):
            together = _numbers(rows, len(inputs))
            if together is not None:
                matrix = np.ascontiguousarray(together.reshape(len(rows), len(inputs)).T)
                return {spec.name: matrix[at] for at, spec in enumerate(inputs)}
        return {spec.name: _parsed(spec, list(one)) for spec, one in zip(inputs, zip(*rows, strict=True), strict=True)}
    for number, row in enumerate(rows):
        if not isinstance(row, (list, tuple)):
            raise InputError(f"{_row(number, rows)}found {_describe(row)}", expected="a list of values")
        if len(row) != len(inputs):
            raise InputError(
                f"{_row(number, rows)}found {len(row)} values",
                expected=f"{len(inputs)}, in the order {', '.join(spec.name for spec in inputs)}",
            )
    return {spec.name: _column(spec, [row[at] for row in rows]) for at, spec in enumerate(inputs)}


def from_arrays(inputs: Sequence[InputSpec], arrays: Mapping[str, Array], ignored: Collection[str] = ()) -> Columns:
    """Columns of one array a column, as tensors carry them; of one dimension, or n rows by one.

    Raises InputError for a wrong column as `from_rows` does, and for arrays of different lengths.
    """
    _refuse_names([spec.name for spec in inputs], arrays, ignored, "")
    columns, length = {}, None
    for spec in inputs:
        array = arrays[spec.name]
        if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
            raise InputError(f'column "{spec.name}" has the shape {list(array.shape)}', expected="[n] or [n, 1]")
        array = array.reshape(-1)
        if length is None:
            first, length = spec.name, len(array)
        if len(array) != length:
            raise InputError(
                f'column "{spec.name}" has {len(array)} values', expected=f'{length}, as column "{first}" has'
            )
        if spec.kind == "number" and array.dtype.kind in "fiub":
            columns[spec.name] = array.astype(np.float64)
        else:
            columns[spec.name] = _column(spec, array.tolist())
    return columns


def columns_of(inputs: Sequence[InputSpec], found: Mapping[str, Any]) -> Columns:
    """Columns of one list or number array (n,) a column, all of the same length. Raises InputError and KeyError."""
    columns = {}
    for spec in inputs:
        values = found[spec.name]
        if isinstance(values, list):
            columns[spec.name] = _parsed(spec, values)
        elif spec.kind == "number":
            columns[spec.name] = values.astype(np.float64)
        else:
            raise InputError(f'column "{spec.name}": found numbers', expected="text, or null where it is missing")
    return columns


def from_values(inputs: Sequence[InputSpec], values: Sequence[Value]) -> Columns:
    """Columns of one row whose values were checked already, in the order of `inputs`."""
    return {
        spec.name: np.array([value], dtype=np.float64 if spec.kind == "number" else object)
        for spec, value in zip(inputs, values, strict=True)
    }


def row_reader(inputs: Sequence[InputSpec]) -> Callable[[Sequence[Any]], list[Value] | None]:
    """Reads one row of plain values, in the order of `inputs`; None for a row that `from_rows` is to judge."""
    numbers = tuple(spec.kind == "number" for spec in inputs)
    floats, width = all(numbers), len(numbers)

    def read(values: Sequence[Any]) -> list[Value] | None:
        if floats and set(map(type, values)) == _FLOATS and len(values) == width:
            return list(values)
        row: list[Value] = []
        for number, value in zip(numbers, values, strict=True):
            kind = type(value)
            if number:
                if kind is float:
                    row.append(value)
                elif value is None:
                    row.append(math.nan)
                elif kind is int or kind is bool:
                    try:
                        row.append(float(value))
                    except OverflowError:
                        return None
                else:
                    return None
            elif value is None:
                row.append(None)
            elif kind is str and (text := value.strip()):
                row.append(text)
            else:
                return None
        return row

    return read


def from_frame(inputs: Sequence[InputSpec], frame: "pd.DataFrame", ignored: Collection[str] = ()) -> Columns:
    """Columns of a data frame. Raises InputError for a wrong column as `from_rows` does."""
    _refuse_names([spec.name for spec in inputs], [str(name) for name in frame.columns], ignored, "")
    columns = {}
    for spec in inputs:
        series = frame[spec.name]
        if spec.kind == "number" and series.dtype.kind in "fiub":
            columns[spec.name] = np.array(series.to_numpy(dtype=np.float64, na_value=np.nan))
        else:
            values = series.astype(object)
            columns[spec.name] = _column(spec, values.where(series.notna(), None).tolist())
    return columns


def to_rows(columns: Columns, limit: int | None = None) -> list[dict[str, Any]]:
    """The first `limit` rows as JSON can carry them: a missing value is None."""
    lists = {name: array[:limit].tolist() for name, array in columns.items()}
    length = min((len(values) for values in lists.values()), default=0)
    return [
        {name: None if _is_nan(values[row]) else values[row] for name, values in lists.items()} for row in range(length)
    ]


def length(columns: Columns) -> int:
    """How many rows the columns hold."""
    return len(next(iter(columns.values()))) if columns else 0


def _parsed(spec: InputSpec, values: list[Any]) -> Array:
    """`_column` of values that come from JSON or a message, and so are of few types."""
    numbers = _numbers([values], len(values)) if spec.kind == "number" else None
    return _column(spec, values) if numbers is None else numbers


def _numbers(rows: Sequence[Sequence[Any]], width: int) -> Array | None:
    """float64 of floats, whole numbers and booleans, row by row; None for anything else.

    Packing is twice as fast as NumPy, and refuses what is no number instead of reading text as one.
    """
    try:
        packed = bytearray().join(starmap(struct.Struct(f"{width}d").pack, rows))
    except (struct.error, OverflowError, TypeError):
        return None
    return np.frombuffer(packed, dtype=np.float64)


def _column(spec: InputSpec, values: list[Any]) -> Array:
    types = set(map(type, values))
    if spec.kind == "number":
        if not types <= _NUMBERS:
            values = [_number(spec, value, row, values) for row, value in enumerate(values)]
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError as error:
            raise InputError(
                f'column "{spec.name}": found a whole number that is too large', expected="a number below 1e308"
            ) from error
    if types <= _TEXT:
        # As in training (`data/typed.py`): without the white space around it, and missing where nothing is left.
        values = [value.strip() or None for value in values]
    else:
        values = [_category(spec, value, row, values) for row, value in enumerate(values)]
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _number(spec: InputSpec, value: Any, row: int, rows: Sequence[Any]) -> Any:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, (Real, np.bool_)):
        return float(value)
    raise InputError(
        f'{_row(row, rows)}column "{spec.name}": found {_describe(value)}',
        expected="true or false" if spec.type == "boolean" else "a number, or null where it is missing",
    )


def _category(spec: InputSpec, value: Any, row: int, rows: Sequence[Any]) -> str | None:
    if value is None or _is_nan(value):
        return None
    if isinstance(value, str):
        return value.strip() or None
    raise InputError(
        f'{_row(row, rows)}column "{spec.name}": found {_describe(value)}',
        expected="text, or null where it is missing",
    )


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _refuse_names(names: Sequence[str], found: Iterable[str], ignored: Collection[str], where: str) -> None:
    present = set(found)
    missing = [name for name in names if name not in present]
    unknown = sorted(str(name) for name in present.difference(names, ignored))
    if unknown:
        near = difflib.get_close_matches(unknown[0], missing or names, n=1)
        raise InputError(
            f'{where}column "{unknown[0]}" is unknown',
            expected=f'"{near[0]}"' if near else f"the columns {', '.join(names)}",
        )
    if missing:
        several = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f'{where}column "{missing[0]}" is missing{several}', expected=f"all of {', '.join(names)}")


def _row(number: int, rows: Sequence[Any]) -> str:
    return f"row {number}: " if len(rows) > 1 else ""


def _describe(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'the text "{value[:40]}"'
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, Real):
        return f"the number {value}"[:60]
    if isinstance(value, (list, tuple)):
        return "a list"
    return "an object" if isinstance(value, Mapping) else f"a value of type {type(value).__name__}"
