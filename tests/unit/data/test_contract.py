import pandas as pd
import pytest

from loopwright.data import contract
from loopwright.errors import ContractError, DataError
from loopwright.loop import Loop


def test_good_rows_pass_and_get_the_contracts_types(small: Loop, small_rows: pd.DataFrame) -> None:
    checked = contract.check(small_rows, small)
    checked.require(small)
    assert checked.violations == ()
    assert len(checked.valid) == len(small_rows)
    assert checked.valid["age"].dtype == "float64"
    assert checked.valid["plan"].tolist() == small_rows["plan"].tolist()
    assert checked.notes == (
        f"spend: {small_rows['spend'].isna().sum()} of 800 values "
        f"({small_rows['spend'].isna().mean():.2%}) are blank and read as missing; the contract allows 10.00%",
    )


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("age", "17", "min"),
        ("age", "91", "max"),
        ("age", "40.5", "type"),
        ("age", "forty", "type"),
        ("spend", "inf", "type"),
        ("plan", "gold", "values"),
        ("left", "", "missing"),
        ("customer", "", "missing"),
        ("seen", "someday", "time"),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_the_reason(
    small: Loop, small_rows: pd.DataFrame, column: str, value: str, rule: str
) -> None:
    rows = small_rows.copy()
    rows.loc[5, column] = value
    checked = contract.check(rows, small)
    checked.require(small)
    assert [(violation.column, violation.rule, violation.rows) for violation in checked.violations] == [
        (column, rule, 1)
    ]
    assert len(checked.valid) == len(rows) - 1
    assert checked.set_aside["customer"].tolist() == [rows.loc[5, "customer"]]
    assert checked.set_aside["loopwright_reasons"][0].startswith(f"{column}: {rule}")


def test_white_space_is_missing_and_names_the_column_when_too_much_of_it(small: Loop, small_rows: pd.DataFrame) -> None:
    rows = small_rows.copy()
    rows.loc[:200, "spend"] = "  "
    with pytest.raises(ContractError, match=r"spend: \d+ of 800 values \(\d+\.\d+%\) are blank or missing.*10\.00%"):
        contract.check(rows, small).require(small)


def test_a_column_that_is_gone_is_named_with_the_one_that_was_meant(small: Loop, small_rows: pd.DataFrame) -> None:
    with pytest.raises(ContractError, match=r"spend: the column is gone \(the data has 'spent'\)"):
        contract.check(small_rows.rename(columns={"spend": "spent"}), small).require(small)


def test_a_column_of_another_type_stops_the_data(small: Loop, small_rows: pd.DataFrame) -> None:
    with pytest.raises(ContractError, match=r"age: 800 of 800 values are something else.*whole numbers"):
        contract.check(small_rows.assign(age="old"), small).require(small)


def test_data_of_which_too_many_rows_break_the_contract_is_stopped_with_the_worst_rule(
    small: Loop, small_rows: pd.DataFrame
) -> None:
    checked = contract.check(small_rows.assign(plan="gold"), small)
    assert checked.valid.empty
    with pytest.raises(
        ContractError,
        match=r"800 of 800 rows \(100\.0%\) break the contract: plan.*at most 5\.0% \(`data\.set_aside`\)",
    ):
        checked.require(small)


def test_without_the_label_nothing_can_be_checked(small: Loop, small_rows: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"no label column 'left' \(it has 'Left'\)"):
        contract.check(small_rows.rename(columns={"left": "Left"}), small)


def test_a_row_that_is_set_aside_anyway_does_not_make_another_a_repetition(
    small: Loop, small_rows: pd.DataFrame
) -> None:
    column = small.data.contract["age"].model_copy(update={"unique": True})
    data = small.data.model_copy(update={"contract": {**small.data.contract, "age": column}})
    loop, once = small.model_copy(update={"data": data}), small_rows.drop_duplicates("age")
    wrong = once.head(1).assign(plan="no such plan")
    checked = contract.check(pd.concat([wrong, once], ignore_index=True), loop)
    assert len(checked.valid) == len(once)
    assert "plan: values" in checked.set_aside["loopwright_reasons"].item()


def test_unique_sets_the_repeated_rows_aside(small: Loop, small_rows: pd.DataFrame) -> None:
    column = small.data.contract["age"].model_copy(update={"unique": True})
    data = small.data.model_copy(update={"contract": {**small.data.contract, "age": column}, "set_aside": 1.0})
    checked = contract.check(small_rows, small.model_copy(update={"data": data}))
    assert checked.valid["age"].is_unique
    assert len(checked.valid) == small_rows["age"].nunique()


def test_columns_outside_the_contract_are_noted_and_left_out(small: Loop, small_rows: pd.DataFrame) -> None:
    checked = contract.check(small_rows.assign(extra=1), small)
    assert "extra" not in checked.valid.columns
    assert "not in the contract, and not used: extra" in checked.notes


def test_values_are_shown_to_who_asks_and_kept_out_of_messages(small: Loop, small_rows: pd.DataFrame) -> None:
    checked = contract.check(small_rows.assign(plan="ann@example.org"), small)
    assert checked.violations[0].samples == ("ann@example.org",)
    with pytest.raises(ContractError) as caught:
        checked.require(small)
    assert "ann@" not in str(caught.value)
