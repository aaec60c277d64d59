"""The contract's rules about values, on one frame at a time: which rows break which rule.

    raw frame -> columns with their types, and a mask of rows for each rule that some of them break

What needs all rows (how many are missing, which rows repeat) is gathered from frame to frame in `contract`.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loopwright.data import expressions, snapshots
from loopwright.data.typed import blank, numbers, strings
from loopwright.loop import Column, Loop
from loopwright.loop.spelling import place

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

KINDS = {"integer": "whole numbers", "number": "numbers", "boolean": "true or false", "string": "text"}


@dataclass(frozen=True)
class Broken:
    """The rows of a frame that break one rule."""

    column: str
    rule: str
    mask: "pd.Series[bool]"
    expected: str
    policy: str = "quarantine"
    values: "pd.Series[Any] | None" = None
    """What was found, for samples of it; None where it is not to be shown."""


@dataclass
class Found:
    """What one frame was found to be: its typed columns, the rows that break rules, and missing values by column."""

    columns: "dict[str, pd.Series[Any]]" = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)

    def add(
        self, column: str, rule: str, mask: "pd.Series[bool]", expected: str, policy: str = "quarantine",
        values: "pd.Series[Any] | None" = None,
    ) -> None:  # fmt: skip
        """Note the rows that break a rule, where there are some."""
        if mask.any():
            self.broken.append(Broken(column, rule, mask, expected, policy, values))


class Seen:
    """The values of a column that has each once, over all frames: 8 bytes each, as hashes of 64 bits.

    Two values in a million million pairs have one hash, so that of 100 million values about one in 4,000 data sets has
    a row set aside that does not repeat a value.
    """

    def __init__(self) -> None:
        self._sorted: list[np.ndarray[Any, Any]] = []

    def repeated(self, values: "pd.Series[Any]") -> "pd.Series[bool]":
        """Where a value was there before, in this frame or an earlier one; missing ones are not looked at."""
        import numpy as np
        import pandas as pd

        hashed = pd.util.hash_array(values.to_numpy(), categorize=False)
        again = pd.Series(hashed, index=values.index).duplicated().to_numpy()
        for known in self._sorted:
            place = np.minimum(np.searchsorted(known, hashed), len(known) - 1)
            again |= known[place] == hashed
        kept = np.unique(hashed[values.notna().to_numpy()])
        # Runs of like size are merged, so that there are few of them and each value is merged a few times.
        while self._sorted and len(self._sorted[-1]) < 2 * len(kept):
            kept = np.union1d(self._sorted.pop(), kept)
        if len(kept):
            self._sorted.append(kept)
        return pd.Series(again, index=values.index) & values.notna()


def hold(frame: "pd.DataFrame", loop: Loop, seen: dict[str, Seen]) -> Found:
    """Hold a raw frame against the rules; a declared column that it does not have is left out."""
    found = Found()
    for name, column in loop.data.contract.items():
        if name in frame.columns:
            found.columns[name] = _column(found, name, column, frame[name])
    _label(found, frame, loop)
    _identity(found, frame, loop)
    import pandas as pd

    typed = pd.DataFrame(found.columns, index=frame.index)
    for rule in loop.data.rules:
        if rule.columns <= found.columns.keys():
            mask = expressions.broken(rule.expression, typed)
            found.add(rule.title, "rule", mask, rule.expression, rule.policy)
    _unique(found, frame, loop, seen)
    return found


def _column(found: Found, name: str, column: Column, raw: "pd.Series[Any]") -> "pd.Series[Any]":
    """Check one column's values and give them its type."""
    missing, policy = blank(raw), column.policy
    found.missing[name] = int(missing.sum())
    values = _numbers(found, name, column, raw, missing) if column.numeric else strings(raw)
    if column.values is not None:
        allowed = [float(value) for value in column.values] if column.numeric else [str(v) for v in column.values]
        mask = ~missing & ~values.isin(allowed)
        found.add(name, "values", mask, f"one of {_list(column.values)}", policy, raw)
    if column.min is not None:
        found.add(name, "min", values < column.min, f"at least {column.min:g}", policy, raw)
    if column.max is not None:
        found.add(name, "max", values > column.max, f"at most {column.max:g}", policy, raw)
    if column.pattern is not None:
        fits = values.dropna().map(re.compile(column.pattern).fullmatch).notna()
        mask = (~fits).reindex(values.index, fill_value=False)
        found.add(name, "pattern", mask, f"text that fits {column.pattern}", policy, raw)
    return values


def _unique(found: Found, frame: "pd.DataFrame", loop: Loop, seen: dict[str, Seen]) -> None:
    """A value that only a row has which is set aside anyway is not there: the row that repeats it rightly is kept.

    Columns are looked at in their declared order; a row that an earlier one sets aside is not there for the later ones.
    """
    import numpy as np

    aside = np.zeros(len(frame), dtype=bool)
    for one in found.broken:
        if one.policy != "warn":
            aside |= one.mask.to_numpy()
    for name, column in loop.data.contract.items():
        if column.unique and name in found.columns:
            mask = seen.setdefault(name, Seen()).repeated(found.columns[name][~aside])
            mask = mask.reindex(frame.index, fill_value=False)
            found.add(name, "unique", mask, "each value once", column.policy, frame[name])
            if column.policy != "warn":
                aside |= mask.to_numpy()


def _numbers(
    found: Found, name: str, column: Column, raw: "pd.Series[Any]", missing: "pd.Series[bool]"
) -> "pd.Series[Any]":
    """The values as float64; what cannot be read as the column's type is set aside, whatever the policy: it is gone."""
    import numpy as np

    values = numbers(column, raw)
    wrong = (values.isna() & ~missing) | np.isinf(values)
    if column.kind == "integer":
        wrong |= values.notna() & (values % 1 != 0)
    if column.kind == "boolean":
        wrong |= values.notna() & ~values.isin([0.0, 1.0])
    policy = "fail" if column.policy == "fail" else "quarantine"
    found.add(name, "type", wrong, KINDS[column.kind], policy, raw)
    return values.mask(wrong | missing)


def _label(found: Found, frame: "pd.DataFrame", loop: Loop) -> None:
    """Check the label: never missing, and of the task's type."""
    import pandas as pd

    name = loop.data.label.column
    raw = frame[name]
    missing = blank(raw)
    found.add(name, "missing", missing, "a label in every row")
    if loop.model.task == "regression":
        found.columns[name] = pd.to_numeric(raw, errors="coerce").astype("float64")
        found.add(name, "type", found.columns[name].isna() & ~missing, "a number", values=raw)
        return
    found.columns[name] = strings(raw)
    if loop.several:
        known = [str(one) for one in loop.data.label.classes]
        texts = found.columns[name]
        places = {text: place(known, text) for text in texts[~missing].unique()}
        unknown = texts.map(places).eq(-1)
        # Whoever reads the rows finds the classes by their declared names.
        names = {text: known[at] if at >= 0 else text for text, at in places.items()}
        found.columns[name] = texts.map(names).astype(object).where(~missing, None)
        found.add(name, "values", unknown, f"one of {_list(tuple(known))} (`data.label.classes`)", values=raw)


def _identity(found: Found, frame: "pd.DataFrame", loop: Loop) -> None:
    """Check entity and timestamp, where they are declared."""
    entity, timestamp = loop.data.entity, loop.data.timestamp
    if entity is not None and entity not in found.columns and entity in frame.columns:
        found.add(entity, "missing", blank(frame[entity]), "an entity in every row")
        found.columns[entity] = strings(frame[entity])
    if timestamp is not None and timestamp in frame.columns:
        found.columns[timestamp] = snapshots.times(frame, timestamp)
        mask = found.columns[timestamp].isna()
        found.add(timestamp, "time", mask, "a date or time", values=frame[timestamp])


def _list(values: tuple[Any, ...]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return shown + (", ..." if len(values) > 8 else "")
