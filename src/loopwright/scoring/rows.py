"""Arrow's columns as the model takes them, held against the contract on the way; no data frame in between.

    record batch -> numbers: float64, NaN for missing | text: distinct values and places -> rows that break a rule

The rules and what they mean are those of `data/rules.py`, which a test holds this against. Two differ, as a row is
judged here by itself: a value that is missing where `missing` is 0 sets its row aside, and `unique` is not looked at.
What is rare (numbers that are not written plainly, values of odd types, rules over columns) goes through that code.
Columns of the contract that the model does not take are judged, too, where the batch has them.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.data.contract import REASONS
from loopwright.data.rules import KINDS
from loopwright.errors import ContractError
from loopwright.loop import Column, Loop
from loopwright.models.coded import Coded
from loopwright.models.columns import Array, Columns, InputSpec
from loopwright.scoring.cells import coded_of, is_whole, numbers_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Rows:
    """The rows of a batch that may be scored, and those that may not."""

    batch: "pa.RecordBatch"
    """The rows to score, as they were read."""
    columns: Columns
    coded: Mapping[str, Coded]
    """The text columns of `columns`, by their distinct values."""
    aside: "pa.RecordBatch | None"
    """The other rows as they were read, with the reasons in a last column; None where there are none."""
    kept: Array
    """Whether each row of the whole batch (n,) is to be scored."""


def beside(loop: Loop, inputs: Sequence[InputSpec]) -> list[str]:
    """The columns of the contract that the model does not take and that a row can have before its label is known."""
    known = {spec.name for spec in inputs} | {loop.data.label.column, loop.data.timestamp}
    return [name for name in loop.data.contract if name not in known]


def unjudged(loop: Loop, inputs: Sequence[InputSpec], there: Collection[str] = ()) -> list[str]:
    """What loop.yaml asks of columns that are not judged, columns and rules; `there` are judged beside the inputs."""
    seen = {spec.name for spec in inputs} | {loop.data.label.column, *there}
    columns = [name for name in loop.data.contract if name not in seen]
    return [*columns, *(rule.title for rule in loop.data.rules if not rule.columns <= seen)]


@dataclass
class Reader:
    """Reads batches for a model; what it counts is about all of them."""

    loop: Loop
    inputs: Sequence[InputSpec]
    broken: Counter[str] = field(default_factory=Counter)
    """Rows by the rule that they break, `column: rule`; those of a rule that only warns, too."""
    missing: Counter[str] = field(default_factory=Counter)
    """Missing values by column, where they are accepted."""

    def __post_init__(self) -> None:
        self._declared = {spec.name: _declared(self.loop, spec) for spec in self.inputs}
        self._beside = beside(self.loop, self.inputs)

    def __call__(self, batch: "pa.RecordBatch") -> Rows:
        """The rows of a batch that has all inputs. Raises ContractError where a rule says that the data is stopped."""
        found = _Found(batch.num_rows)
        columns, coded = Columns(), dict[str, Coded]()
        for spec in self.inputs:
            array, column = batch.column(spec.name), self._declared[spec.name]
            if spec.kind == "number":
                columns[spec.name] = _number_column(found, spec.name, column, array)
            else:
                coded[spec.name] = _text_column(found, spec.name, column, array)
        self._over_columns(found, columns, coded, self._others(found, batch))
        self.missing.update(found.missing)
        if not found.broken:
            columns |= {name: one.array for name, one in coded.items()}
            return Rows(batch, self._ordered(columns), coded, None, np.ones(batch.num_rows, dtype=np.bool_))
        kept = ~self._judged(found)
        columns = {name: values[kept] for name, values in columns.items()}
        coded = {name: one.only(kept) for name, one in coded.items()}
        columns |= {name: one.array for name, one in coded.items()}
        aside = None if kept.all() else found.aside(batch, ~kept)
        return Rows(_filtered(batch, kept), self._ordered(columns), coded, aside, kept)

    def _ordered(self, columns: Columns) -> Columns:
        return {spec.name: columns[spec.name] for spec in self.inputs}

    def _others(self, found: "_Found", batch: "pa.RecordBatch") -> dict[str, Array]:
        """The columns that the model does not take, judged and typed."""
        typed = {}
        for name in self._beside:
            if name in batch.schema.names:
                array, column = batch.column(name), self.loop.data.contract[name]
                typed[name] = (
                    _number_column(found, name, column, array)
                    if column.numeric
                    else _text_column(found, name, column, array).array
                )
        return typed

    def _over_columns(
        self, found: "_Found", columns: Columns, coded: Mapping[str, Coded], others: Mapping[str, Array]
    ) -> None:
        there = columns.keys() | coded.keys() | others.keys()
        if not (rules := [rule for rule in self.loop.data.rules if rule.columns <= there]):
            return
        import pandas as pd

        from loopwright.data import expressions

        known = {**others, **columns}
        needed = set[str]().union(*(rule.columns for rule in rules))
        typed = pd.DataFrame({name: known[name] if name in known else coded[name].array for name in needed})
        for rule in rules:
            mask = expressions.broken(rule.expression, typed).to_numpy()
            found.add(rule.title, "rule", mask, rule.expression, rule.policy)

    def _judged(self, found: "_Found") -> Array:
        bad = np.zeros(found.rows, dtype=np.bool_)
        for one in found.broken:
            self.broken[f"{one.column}: {one.rule}"] += int(one.mask.sum())
            if one.policy == "fail":
                raise ContractError(
                    f"the data breaks its contract: {one.column}: {int(one.mask.sum()):,} rows break `{one.rule}`",
                    expected=f"{one.expected} (its policy is fail)",
                    do="correct the input, or the rule's policy in loop.yaml",
                )
            if one.policy != "warn":
                bad |= one.mask
        return bad


@dataclass(frozen=True)
class _Broken:
    column: str
    rule: str
    mask: Array
    expected: str
    policy: str


@dataclass
class _Found:
    """What is found of one batch."""

    rows: int
    broken: list[_Broken] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)

    def add(self, column: str, rule: str, mask: Array, expected: str, policy: str) -> None:
        if mask.any():
            self.broken.append(_Broken(column, rule, np.asarray(mask, dtype=np.bool_), expected, policy))

    def miss(self, name: str, column: Column, missing: Array) -> None:
        """Missing values are set aside where none is accepted, and counted where some are."""
        if column.missing == 0:
            self.add(name, "missing", missing, "a value in every row", column.policy)
        elif count := int(np.count_nonzero(missing)):
            self.missing[name] = count

    def aside(self, batch: "pa.RecordBatch", bad: Array) -> "pa.RecordBatch":
        import pyarrow as pa

        reasons = np.full(int(bad.sum()), "", dtype=object)
        for one in self.broken:
            if one.policy != "warn":
                reasons[one.mask[bad]] += f"{one.column}: {one.rule} ({one.expected}); "
        told = pa.array([reason.rstrip("; ") for reason in reasons], pa.string())
        return _filtered(batch, bad).append_column(REASONS, told)


def _declared(loop: Loop, spec: InputSpec) -> Column:
    """What the contract says of an input; one that it no longer has, or has as another kind, only has its type."""
    column = loop.data.contract.get(spec.name)
    if column is None or column.numeric != (spec.kind == "number"):
        return Column(type=spec.type, missing=1.0)
    return column


def _filtered(batch: "pa.RecordBatch", kept: Array) -> "pa.RecordBatch":
    import pyarrow as pa

    return batch.filter(pa.array(kept))


def _number_column(found: _Found, name: str, column: Column, array: "pa.Array") -> Array:
    values, missing = numbers_of(column, array)
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    wrong = np.isnan(values) & ~missing
    if np.isinf(low) or np.isinf(high):
        wrong |= np.isinf(values)
    if column.kind in ("integer", "boolean") and not is_whole(array):
        wrong |= (np.rint(values) != values) & ~missing
    if column.kind == "boolean" and not (low >= 0 and high <= 1):
        wrong |= (values < 0) | (values > 1)
    # What cannot be read as the column's type is set aside, whatever the policy: the value is gone.
    policy = "fail" if column.policy == "fail" else "quarantine"
    found.add(name, "type", wrong, KINDS[column.kind], policy)
    if wrong.any():
        values = np.where(wrong, np.nan, values)
    found.miss(name, column, missing)
    if column.values is not None:
        allowed = np.array([float(value) for value in column.values])
        found.add(name, "values", ~missing & ~np.isin(values, allowed), f"one of {_list(column.values)}", column.policy)
    if column.min is not None and not low >= column.min:
        found.add(name, "min", values < column.min, f"at least {column.min:g}", column.policy)
    if column.max is not None and not high <= column.max:
        found.add(name, "max", values > column.max, f"at most {column.max:g}", column.policy)
    return values


def _text_column(found: _Found, name: str, column: Column, array: "pa.Array") -> Coded:
    coded = coded_of(array)
    missing = [value is None for value in coded.values]
    found.miss(name, column, np.array(missing)[coded.places])
    if column.values is not None:
        allowed = {str(value) for value in column.values}
        odd = [value is not None and value not in allowed for value in coded.values]
        if any(odd):
            found.add(name, "values", np.array(odd)[coded.places], f"one of {_list(column.values)}", column.policy)
    if column.pattern is not None:
        fits = re.compile(column.pattern).fullmatch
        odd = [value is not None and fits(value) is None for value in coded.values]
        if any(odd):
            found.add(name, "pattern", np.array(odd)[coded.places], f"text that fits {column.pattern}", column.policy)
    return coded


def _list(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
