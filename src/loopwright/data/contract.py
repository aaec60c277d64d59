"""Holding rows against the contract: what breaks it is named, counted and set aside, with the reason a row.

    batches -> rules on each -> rows that may be used | rows set aside -> at the end: what was broken, and how often

A rule has a policy: `quarantine` sets its rows aside, `warn` only tells, `fail` stops the data. A rule about all rows
(a column is gone, of another type, has too many missing) stops the data, or warns. Data with more than `data.set_aside`
of its rows set aside is stopped too. Memory is for one batch, and 8 bytes a row for a column declared unique.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from loopwright.data import rules
from loopwright.data.outcome import Checked, Outcome, Violation, whole
from loopwright.durations import format_duration
from loopwright.errors import DataError
from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["REASONS", "Check", "Checked", "Outcome", "Violation", "check", "whole"]

# A column of which more than this share cannot be read as its type is of another type, not merely dirty.
RETYPED = 0.5
SAMPLES = 3
REASONS = "loopwright_reasons"


@dataclass
class _Tally:
    """How often a rule was broken so far."""

    policy: str
    expected: str
    rows: int = 0
    samples: tuple[str, ...] = ()

    def add(self, one: rules.Broken) -> None:
        self.rows += int(one.mask.sum())
        if one.values is not None and len(self.samples) < SAMPLES:
            some = map(str, one.values[one.mask].drop_duplicates().head(SAMPLES).tolist())
            self.samples = tuple(dict.fromkeys([*self.samples, *some]))[:SAMPLES]


class Check:
    """A check under way: rows are given to it frame by frame, and at the end it says what was found."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._rows = self._aside = 0
        self._broken: dict[tuple[str, str], _Tally] = {}
        self._missing: dict[str, int] = {}
        self._seen: dict[str, rules.Seen] = {}
        self._names: list[str] = []
        self._newest: datetime | None = None

    def add(self, frame: "pd.DataFrame") -> tuple["pd.DataFrame", "pd.DataFrame"]:
        """The rows of a raw frame that may be used, with the contract's types, and those set aside, with the reasons.

        Numbers become float64 (missing: NaN), strings and categories objects (missing: None), the timestamp UTC
        moments. A classification's label becomes a string. Blank cells count as missing. Raises DataError when nothing
        can be checked because the label column is gone.
        """
        import pandas as pd

        self._names = list(map(str, frame.columns))
        self._require_label()
        found = rules.hold(frame, self._loop, self._seen)
        self._rows += len(frame)
        for name, count in found.missing.items():
            self._missing[name] = self._missing.get(name, 0) + count
        bad, reasons = pd.Series(False, index=frame.index), pd.Series("", index=frame.index)
        for one in found.broken:
            self._broken.setdefault((one.column, one.rule), _Tally(one.policy, one.expected)).add(one)
            if one.policy != "warn":
                bad |= one.mask
                reasons[one.mask] += f"{one.column}: {one.rule} ({one.expected}); "
        self._aside += int(bad.sum())
        self._date(found.columns)
        aside = frame[bad].assign(**{REASONS: reasons[bad].str.rstrip("; ")})
        typed = pd.DataFrame(found.columns, index=frame.index)[~bad]
        return typed.reset_index(drop=True), aside.reset_index(drop=True)

    def _require_label(self) -> None:
        name = self._loop.data.label.column
        if name not in self._names:
            close = difflib.get_close_matches(name, self._names, n=1)
            raise DataError(
                f"the data has no label column {name!r}" + (f" (it has {close[0]!r})" if close else ""),
                expected="the column that `data.label.column` names",
                do="correct loop.yaml, or the source",
            )

    def _date(self, columns: "dict[str, pd.Series[Any]]") -> None:
        timestamp = self._loop.data.timestamp
        latest = columns[timestamp].max() if timestamp in columns else None
        if latest is not None and latest == latest:
            moment: datetime = latest.to_pydatetime()
            self._newest = moment if self._newest is None else max(self._newest, moment)

    def end(self, now: datetime | None = None) -> Outcome:
        """What all rows came to. `now` is the loop's time, by which freshness is judged; without it, it is not."""
        violations, notes = [*self._gone(), *self._blank()], self._notes()
        # In the order in which they are declared, whichever rows came first.
        order = [*self._loop.data.contract, *(rule.title for rule in self._loop.data.rules)]
        for (column, rule), tally in sorted(self._broken.items(), key=lambda item: _place(order, *item[0])):
            retyped = rule == "type" and tally.rows > RETYPED * self._rows
            words = {"missing": "have none", "unique": "repeat a value", "rule": "break it"}
            found = f"{tally.rows:,} of {self._rows:,} rows {words.get(rule, f'break `{rule}`')}"
            if retyped:
                found = f"{tally.rows:,} of {self._rows:,} values are something else"
            policy = "fail" if retyped else tally.policy
            violations.append(
                Violation(column, rule, tally.rows, found, tally.expected, policy == "fail", tally.samples, policy)
            )
        violations += self._whole(now)
        return Outcome(tuple(violations), tuple(notes), self._rows, self._aside, self._newest)

    def _gone(self) -> list[Violation]:
        data, found = self._loop.data, []
        for name in dict.fromkeys([*data.contract, *(one for one in (data.entity, data.timestamp) if one)]):
            if name not in self._names:
                close = difflib.get_close_matches(name, self._names, n=1)
                hint = f"the data has {close[0]!r}" if close else f"the data has {', '.join(self._names[:6])}, ..."
                text = f"the column is gone ({hint})"
                found.append(Violation(name, "column", self._rows, text, "the column to be there", True, (), "fail"))
        return found

    def _blank(self) -> list[Violation]:
        found = []
        for name, count in self._missing.items():
            column, share = self._loop.data.contract[name], count / max(self._rows, 1)
            if share > column.missing:
                text = f"{count:,} of {self._rows:,} values ({share:.2%}) are blank or missing"
                expected = f"at most {column.missing:.2%} (`missing: {column.missing:g}`)"
                found.append(whole(name, "missing", count, text, expected, column.policy))
        return found

    def _notes(self) -> list[str]:
        contract, notes = self._loop.data.contract, []
        for name, count in self._missing.items():
            share = count / max(self._rows, 1)
            if 0 < share <= contract[name].missing:
                notes.append(
                    f"{name}: {count:,} of {self._rows:,} values ({share:.2%}) are blank and read as missing; "
                    f"the contract allows {contract[name].missing:.2%}"
                )
        special = {self._loop.data.label.column, self._loop.data.entity, self._loop.data.timestamp}
        if extra := [name for name in self._names if name not in contract and name not in special]:
            notes.append(f"not in the contract, and not used: {', '.join(extra[:8])}")
        return notes

    def _whole(self, now: datetime | None) -> list[Violation]:
        """The rules about all rows: how many there are, and how old the newest is."""
        data, found = self._loop.data, []
        if data.rows is not None:
            low, high = data.rows.min, data.rows.max
            if self._rows < low or (high is not None and self._rows > high):
                expected = f"at least {low:,}" + (f" and at most {high:,}" if high is not None else "")
                found.append(whole("the data", "rows", self._rows, f"{self._rows:,} rows", expected, data.rows.policy))
        if data.freshness is not None and now is not None:
            age = None if self._newest is None else now - data.label.delay - self._newest
            if age is None or age > data.freshness.max_age:
                text = (
                    "no row has a time"
                    if self._newest is None
                    else f"the newest row is of {self._newest:%Y-%m-%d %H:%M}"
                )
                expected = f"one of the last {format_duration(data.freshness.max_age)}" + (
                    f" before `data.label.delay` ({format_duration(data.label.delay)})" if data.label.delay else ""
                )
                found.append(whole("the data", "freshness", self._rows, text, expected, data.freshness.policy))
        return found


def _place(order: Sequence[str], column: str, rule: str) -> tuple[int, str, int]:
    rules_in_order = ("missing", "type", "time", "values", "min", "max", "pattern", "unique", "rule")
    return (order.index(column) if column in order else len(order), column, rules_in_order.index(rule))


def check(frame: "pd.DataFrame", loop: Loop, now: datetime | None = None) -> Checked:
    """Hold a whole raw frame against the loop's contract and give it its types; see `Check`."""
    under_way = Check(loop)
    valid, aside = under_way.add(frame)
    found = under_way.end(now)
    return Checked(found.violations, found.notes, found.rows, found.aside, found.newest, valid, aside)
