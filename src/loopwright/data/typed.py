"""Raw cells to the types of their columns, whatever they came as: text of a CSV file, or values of Parquet or SQL.

What is blank is missing, numbers are float64, and everything else is text. The contract checks what was read, and
whoever holds rows of two sources against each other reads both here, so that a difference is one of values.
"""

from typing import TYPE_CHECKING, Any

from loopwright.loop import Column, Loop

if TYPE_CHECKING:
    import pandas as pd

WORDS = {"true": "1", "false": "0", "yes": "1", "no": "0"}


def blank(values: "pd.Series[Any]") -> "pd.Series[bool]":
    """Where a value is missing: null, NaN, or text of nothing but white space."""
    missing = values.isna()
    if values.dtype == object or str(values.dtype) in ("string", "str"):
        missing = missing | values.astype("string").str.strip().eq("").fillna(True).astype(bool)
    return missing


def numbers(column: Column, raw: "pd.Series[Any]") -> "pd.Series[float]":
    """The values as float64, NaN for what is no number; true and false, yes and no of a boolean are 1 and 0."""
    import pandas as pd

    source = raw
    if column.kind == "boolean" and not pd.api.types.is_bool_dtype(raw):
        source = raw.astype("string").str.strip().str.lower().replace(WORDS)
    return pd.to_numeric(source, errors="coerce").astype("float64")


def strings(raw: "pd.Series[Any]") -> "pd.Series[Any]":
    """The values as text without white space around it, None where there is none."""
    return raw.astype("string").str.strip().astype(object).where(~blank(raw), None)


def inputs(loop: Loop, frame: "pd.DataFrame") -> "pd.DataFrame":
    """The model's inputs, numbers as float64 and all else as text, NaN and None for missing, also whole columns."""
    import pandas as pd

    found = {}
    for name, column in loop.inputs.items():
        raw = frame[name] if name in frame.columns else pd.Series(None, index=frame.index, dtype=object)
        found[name] = numbers(column, raw) if column.numeric else strings(raw)
    return pd.DataFrame(found, index=frame.index)
