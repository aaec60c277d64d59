from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from loopwright.data import contract
from loopwright.errors import ContractError
from loopwright.loop import Loop


def declared(loop: Loop, column: dict[str, Any] | None = None, **data: Any) -> Loop:
    """The small loop with more declared of its data, and of the column `plan`."""
    content = loop.model_dump(mode="json")
    content["data"] |= {"set_aside": 1.0, **data}
    content["data"]["contract"]["plan"] |= column or {}
    return Loop.model_validate(content)


def found(checked: contract.Outcome) -> list[tuple[str, str, int, str]]:
    return [(one.column, one.rule, one.rows, one.policy) for one in checked.violations]


def test_a_pattern_is_for_the_whole_text(small: Loop, small_rows: pd.DataFrame) -> None:
    loop = declared(small, {"values": None, "pattern": "basic|prem"})
    checked = contract.check(small_rows, loop)
    assert found(checked) == [("plan", "pattern", int((small_rows["plan"] == "premium").sum()), "quarantine")]


def test_a_policy_says_what_becomes_of_the_rows(small: Loop, small_rows: pd.DataFrame) -> None:
    rows = small_rows.copy()
    rows.loc[:2, "plan"] = "gold"
    warned = contract.check(rows, declared(small, {"policy": "warn"}))
    warned.require(small)
    assert found(warned) == [("plan", "values", 3, "warn")]
    assert len(warned.valid) == len(rows)
    assert warned.set_aside.empty
    with pytest.raises(ContractError, match="plan: 3 of 800 rows break `values`"):
        contract.check(rows, declared(small, {"policy": "fail"})).require(small)


def test_a_rule_over_columns_sets_its_rows_aside_by_its_name(small: Loop, small_rows: pd.DataFrame) -> None:
    rule = {"name": "old enough", "expression": "age >= 20 or plan == 'basic'"}
    checked = contract.check(small_rows, declared(small, rules=[rule]))
    young = (small_rows["age"].astype(int) < 20) & (small_rows["plan"] == "premium")
    assert found(checked) == [("old enough", "rule", int(young.sum()), "quarantine")]
    assert checked.set_aside["loopwright_reasons"].unique().tolist() == [
        "old enough: rule (age >= 20 or plan == 'basic')"
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [({"min": 801}, "800 rows; expected at least 801"), ({"max": 10}, "at least 0 and at most 10")],
)
def test_too_few_or_too_many_rows_stop_the_data(
    small: Loop, small_rows: pd.DataFrame, rows: dict[str, int], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        contract.check(small_rows, declared(small, rows=rows)).require(small)
    contract.check(small_rows, declared(small, rows={**rows, "policy": "warn"})).require(small)


def test_data_that_is_too_old_is_stopped_and_labels_may_take_their_time(small: Loop, small_rows: pd.DataFrame) -> None:
    newest = datetime(2026, 2, 3, 7, tzinfo=UTC)
    loop = declared(small, freshness={"max_age": "2d"}, label={"column": "left", "delay": "7d"})
    contract.check(small_rows, loop, newest + timedelta(days=9)).require(loop)
    late = contract.check(small_rows, loop, newest + timedelta(days=9, hours=1))
    with pytest.raises(
        ContractError, match="the newest row is of 2026-02-03 07:00; expected one of the last 2d before"
    ):
        late.require(loop)


def test_batches_come_to_the_same_as_all_rows_at_once(small: Loop, small_rows: pd.DataFrame) -> None:
    rows = small_rows.copy()
    rows.loc[[5, 500, 790], "age"] = ["17", "forty", ""]
    rows.loc[[700, 20], "customer"] = ["c3", "c3"]
    loop = declared(small, contract={
        **small.model_dump(mode="json")["data"]["contract"], "customer": {"type": "string", "unique": True},
    })  # fmt: skip
    whole = contract.check(rows, loop)
    under_way = contract.Check(loop)
    parts = [under_way.add(rows.iloc[begin : begin + 93]) for begin in range(0, len(rows), 93)]
    ended = under_way.end()
    assert (ended.violations, ended.notes, ended.rows, ended.aside) == (
        whole.violations, whole.notes, whole.rows, whole.aside
    )  # fmt: skip
    assert ("customer", "unique", 2, "quarantine") in found(ended)
    valid, aside = (pd.concat(some, ignore_index=True) for some in zip(*parts, strict=True))
    pd.testing.assert_frame_equal(valid, whole.valid)
    pd.testing.assert_frame_equal(aside, whole.set_aside)


@pytest.mark.parametrize(("policy", "kept"), [("quarantine", True), ("warn", False)])
def test_a_row_that_one_column_sets_aside_makes_no_repetition_in_the_next(
    small: Loop, small_rows: pd.DataFrame, policy: str, kept: bool
) -> None:
    rows = small_rows.assign(
        first=[str(one) for one in range(len(small_rows))], second=[str(one) for one in range(len(small_rows))]
    )
    rows.loc[10, "first"] = "0"
    rows.loc[[10, 20], "second"] = "once"
    contract_of = small.model_dump(mode="json")["data"]["contract"]
    once = {"type": "string", "unique": True}
    loop = declared(small, contract={**contract_of, "first": {**once, "policy": policy}, "second": once})
    checked = contract.check(rows, loop)
    assert ("first", "unique", 1, policy) in found(checked)
    # Where the first column only warns, row 10 is there, and row 20 repeats it.
    assert (("second", "unique", 1, "quarantine") not in found(checked)) == kept


@pytest.mark.parametrize(
    ("classes", "column"),
    [
        ([1, 2, 3], ["1.0", "2.0", "3.0"]),
        (["1.0", "2.0", "3.0"], [1, 2, 3]),
        ([1, 2, 3], [1.0, 2.0, 3.0]),
        ([True, False, "x"], ["true", "false", "x"]),
        (["true", "false", "x"], ["TRUE", "FALSE", "x"]),
    ],
)
def test_a_class_is_known_however_the_data_spell_it(
    small: Loop, small_rows: pd.DataFrame, classes: list[Any], column: list[Any]
) -> None:
    rows = small_rows.assign(left=[column[number % 3] for number in range(len(small_rows))])
    ungated = small.model_copy(update={"gates": small.gates.model_copy(update={"minimum": {}, "champion": {}})})
    loop = declared(ungated, label={"column": "left", "classes": classes})
    checked = contract.check(rows, loop)
    assert "left" not in {one.column for one in checked.violations}
    assert sorted(checked.valid["left"].unique()) == sorted(map(str, classes))
    odd = rows.assign(left=rows["left"].astype(object).where(rows.index != 4, "4.5").where(rows.index != 5, ""))
    again = contract.check(odd, loop)
    assert [one for one in found(again) if one[0] == "left"] == [
        ("left", "missing", 1, "quarantine"), ("left", "values", 1, "quarantine"),
    ]  # fmt: skip
