"""Holding rows against the contract: what breaks it is named, counted and set aside, with the reason a row.

A rule about the whole column (gone, of another type, too many missing) stops the data; a rule about a value sets its
row aside. Data with more than `data.set_aside` of its rows set aside is stopped too.
"""

import difflib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from loopwright.data import snapshots
from loopwright.data.typed import blank, numbers, strings
from loopwright.errors import ContractError, DataError
from loopwright.loop import Column, Loop

if TYPE_CHECKING:
    import pandas as pd

# A column of which more than this share cannot be read as its type is of another type, not merely dirty.
RETYPED = 0.5


@dataclass(frozen=True)
class Violation:
    """One broken rule: where, what was found and expected, in how many rows, and whether that stops the data."""

    column: str
    rule: str
    rows: int
    found: str
    expected: str
    fatal: bool
    samples: tuple[str, ...] = ()
    """A few of the values. They may be personal, so they are shown to who asks and kept out of messages."""

    def __str__(self) -> str:
        return f"{self.column}: {self.found}; expected {self.expected}"


@dataclass(frozen=True)
class Checked:
    """The data after the check: what may be used, what was set aside and why, and what was noticed."""

    valid: "pd.DataFrame"
    set_aside: "pd.DataFrame"
    """The raw rows that break a rule, with the reasons in a column `loopwright_reasons`."""
    violations: tuple[Violation, ...]
    notes: tuple[str, ...]
    rows: int

    def report(self) -> dict[str, Any]:
        """The outcome as JSON: rows, kept, set aside, violations, notes."""
        return {
            "rows": self.rows,
            "kept": len(self.valid),
            "set_aside": len(self.set_aside),
            "violations": [asdict(violation) for violation in self.violations],
            "notes": list(self.notes),
        }

    def require(self, loop: Loop) -> None:
        """Raise ContractError when the data may not be used."""
        fatal = [violation for violation in self.violations if violation.fatal]
        if fatal:
            raise ContractError(
                "the data breaks its contract: " + "; ".join(map(str, fatal)),
                do="correct the source, or what `data.contract` in loop.yaml accepts; "
                "`loopwright check` shows every finding",
            )
        share = len(self.set_aside) / self.rows
        if share > loop.data.set_aside or self.valid.empty:
            worst = sorted(self.violations, key=lambda violation: -violation.rows)[:3]
            raise ContractError(
                f"{len(self.set_aside):,} of {self.rows:,} rows ({share:.1%}) break the contract: "
                + "; ".join(map(str, worst)),
                expected=f"at most {loop.data.set_aside:.1%} (`data.set_aside`)",
                do="correct the source or the contract; `loopwright check` shows every finding",
            )


class _Findings:
    """Collects violations and the reasons of each row while the columns are gone through."""

    def __init__(self, frame: "pd.DataFrame") -> None:
        import pandas as pd

        self.index = frame.index
        self.bad = pd.Series(False, index=frame.index)
        self.reasons = pd.Series("", index=frame.index)
        self.violations: list[Violation] = []
        self.notes: list[str] = []

    def rows(self, column: str, rule: str, mask: "pd.Series[bool]", values: "pd.Series[Any]", expected: str) -> None:
        """Set the rows in `mask` aside for breaking `rule`, naming up to three of the values."""
        count = int(mask.sum())
        if not count:
            return
        samples = () if rule == "missing" else _samples(values[mask])
        words = {"missing": "have none", "unique": "repeat a value"}.get(rule, f"break `{rule}`")
        found = f"{count:,} of {len(mask):,} rows {words}"
        self.violations.append(Violation(column, rule, count, found, expected, fatal=False, samples=samples))
        self.bad |= mask
        self.reasons[mask] += f"{column}: {rule} ({expected}); "

    def whole(
        self, column: str, rule: str, rows: int, found: str, expected: str, samples: tuple[str, ...] = ()
    ) -> None:
        """Note a broken rule about the whole column, which stops the data."""
        self.violations.append(Violation(column, rule, rows, found, expected, fatal=True, samples=samples))


def check(frame: "pd.DataFrame", loop: Loop) -> Checked:
    """Hold raw rows against the loop's contract and give them its types.

    Numbers become float64 (missing: NaN), strings and categories objects (missing: None), the timestamp UTC moments.
    A classification's label becomes a string. Blank cells count as missing. Raises DataError when nothing can be
    checked because the label column is gone.
    """
    import pandas as pd

    findings = _Findings(frame)
    columns: dict[str, Any] = {}
    for name, column in loop.data.contract.items():
        if name not in frame.columns:
            _gone(findings, frame, name)
        else:
            columns[name] = _column(findings, name, column, frame[name])
    _label(findings, columns, frame, loop)
    _identity(findings, columns, frame, loop)
    extra = [name for name in frame.columns if name not in columns]
    if extra:
        findings.notes.append(f"not in the contract, and not used: {', '.join(map(str, extra[:8]))}")
    typed = pd.DataFrame(columns, index=frame.index)
    aside = frame[findings.bad].assign(loopwright_reasons=findings.reasons[findings.bad].str.rstrip("; "))
    return Checked(
        typed[~findings.bad].reset_index(drop=True),
        aside.reset_index(drop=True),
        tuple(findings.violations),
        tuple(findings.notes),
        len(frame),
    )


def _gone(findings: _Findings, frame: "pd.DataFrame", name: str) -> None:
    close = difflib.get_close_matches(name, map(str, frame.columns), n=1)
    hint = (
        f"the data has {close[0]!r}" if close else f"the data has {', '.join(map(str, list(frame.columns)[:6]))}, ..."
    )
    findings.whole(name, "column", len(frame), f"the column is gone ({hint})", "the column to be there")


def _column(findings: _Findings, name: str, column: Column, raw: "pd.Series[Any]") -> "pd.Series[Any]":
    """Check one column's values and give them its type."""
    missing = blank(raw)
    count, share = int(missing.sum()), float(missing.mean())
    if share > column.missing:
        findings.whole(
            name,
            "missing",
            count,
            f"{count:,} of {len(raw):,} values ({share:.2%}) are blank or missing",
            f"at most {column.missing:.2%} (`missing: {column.missing:g}`)",
        )
    elif count:
        findings.notes.append(
            f"{name}: {count:,} of {len(raw):,} values ({share:.2%}) are blank and read as missing; "
            f"the contract allows {column.missing:.2%}"
        )
    values = _numbers(findings, name, column, raw, missing) if column.numeric else strings(raw)
    if column.values is not None:
        allowed = [float(value) for value in column.values] if column.numeric else [str(v) for v in column.values]
        findings.rows(name, "values", ~missing & ~values.isin(allowed), raw, f"one of {_list(column.values)}")
    if column.min is not None:
        findings.rows(name, "min", values < column.min, raw, f"at least {column.min:g}")
    if column.max is not None:
        findings.rows(name, "max", values > column.max, raw, f"at most {column.max:g}")
    if column.unique:
        findings.rows(name, "unique", ~missing & values.duplicated(keep="first"), raw, "each value once")
    return values


def _numbers(
    findings: _Findings, name: str, column: Column, raw: "pd.Series[Any]", missing: "pd.Series[bool]"
) -> "pd.Series[Any]":
    """The values as float64; what cannot be read as the column's type is set aside, or stops the data."""
    import numpy as np

    values = numbers(column, raw)
    wrong = (values.isna() & ~missing) | np.isinf(values)
    if column.kind == "integer":
        wrong |= values.notna() & (values % 1 != 0)
    if column.kind == "boolean":
        wrong |= values.notna() & ~values.isin([0.0, 1.0])
    kind = {"integer": "whole numbers", "number": "numbers", "boolean": "true or false"}[column.kind]
    if len(raw) and wrong.mean() > RETYPED:
        found = f"{int(wrong.sum()):,} of {len(raw):,} values are something else"
        findings.whole(name, "type", int(wrong.sum()), found, f"{kind} (`type: {column.kind}`)", _samples(raw[wrong]))
    else:
        findings.rows(name, "type", wrong, raw, kind)
    return values.mask(wrong | missing)


def _label(findings: _Findings, columns: dict[str, Any], frame: "pd.DataFrame", loop: Loop) -> None:
    """Check the label: there, never missing, and of the task's type."""
    import pandas as pd

    name = loop.data.label.column
    if name not in frame.columns:
        close = difflib.get_close_matches(name, map(str, frame.columns), n=1)
        raise DataError(
            f"the data has no label column {name!r}" + (f" (it has {close[0]!r})" if close else ""),
            expected="the column that `data.label.column` names",
            do="correct loop.yaml, or the source",
        )
    raw = frame[name]
    missing = blank(raw)
    findings.rows(name, "missing", missing, raw, "a label in every row")
    if loop.model.task == "regression":
        columns[name] = pd.to_numeric(raw, errors="coerce").astype("float64")
        wrong = columns[name].isna() & ~missing
        findings.rows(name, "type", wrong, raw, "a number")
    else:
        columns[name] = strings(raw)


def _identity(findings: _Findings, columns: dict[str, Any], frame: "pd.DataFrame", loop: Loop) -> None:
    """Check entity and timestamp, where they are declared."""
    entity, timestamp = loop.data.entity, loop.data.timestamp
    if entity is not None and entity not in columns:
        if entity not in frame.columns:
            _gone(findings, frame, entity)
        else:
            missing = blank(frame[entity])
            findings.rows(entity, "missing", missing, frame[entity], "an entity in every row")
            columns[entity] = strings(frame[entity])
    if timestamp is not None:
        if timestamp not in frame.columns:
            _gone(findings, frame, timestamp)
        else:
            columns[timestamp] = snapshots.times(frame, timestamp)
            findings.rows(timestamp, "time", columns[timestamp].isna(), frame[timestamp], "a date or time")


def _samples(values: "pd.Series[Any]") -> tuple[str, ...]:
    return tuple(str(value) for value in values.drop_duplicates().head(3).tolist())


def _list(values: tuple[Any, ...]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return shown + (", ..." if len(values) > 8 else "")
