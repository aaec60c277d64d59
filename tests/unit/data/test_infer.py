import pandas as pd
import pytest

from loopwright import declaration
from loopwright.data import contract, infer, written
from loopwright.errors import DataError
from loopwright.loop import Loop

ROWS = 300


def frame() -> pd.DataFrame:
    number = pd.Series(range(ROWS))
    return pd.DataFrame(
        {
            "customerID": [f"k{one:04d}" for one in number],
            "when": pd.date_range("2026-01-01", periods=ROWS, freq="D").astype(str),
            "tenure": (number % 73).astype(str),
            "charges": [str(18.25 + one / 3) if one % 50 else " " for one in number],
            "contract": ["Month-to-month" if one % 3 else "No" for one in number],
            "active": ["true" if one % 2 else "false" for one in number],
            "same": "x",
            "note": [f"free text {one}" for one in number],
            "left": ["Yes" if one % 4 == 0 else "No" for one in number],
        }
    )


def declared(label: str = "left", rows: pd.DataFrame | None = None) -> tuple[str, Loop]:
    rows = frame() if rows is None else rows
    text = written.declaration("inferred", "rows.csv", label, infer.infer(rows, label))
    return text, declaration.parse(text)


def test_what_is_inferred_is_valid_and_accepts_the_data_it_was_inferred_from() -> None:
    text, loop = declared()
    checked = contract.check(frame(), loop)
    checked.require(loop)
    assert len(checked.valid) == ROWS
    assert loop.data.entity == "customerID"
    assert loop.data.timestamp == "when"
    assert loop.data.holdout.by == "time"
    _, timeless = declared(rows=frame().drop(columns="when"))
    assert timeless.data.holdout.by == "entity"
    assert loop.model.task == "classification"
    assert text.count("#") > 10


def test_types_ranges_and_sets_are_inferred_wider_than_seen() -> None:
    _, loop = declared()
    columns = loop.inputs
    assert columns["tenure"].kind == "integer"
    assert columns["tenure"].min == 0
    assert (columns["tenure"].max or 0) > 72
    assert columns["charges"].kind == "number"
    assert columns["charges"].missing == 0.04
    assert columns["contract"].values == ("Month-to-month", "No")
    assert columns["active"].kind == "boolean"


def test_columns_that_cannot_be_learnt_from_are_left_out_with_the_reason() -> None:
    text, loop = declared()
    assert "same" not in loop.inputs
    assert "note" not in loop.inputs
    assert "# same: not used: it is always 'x'" in text
    assert "# note: not used: 300 different texts in 300 rows" in text


def test_a_label_of_many_numbers_is_a_regression() -> None:
    _, loop = declared("charges", frame().query("charges != ' '"))
    assert loop.model.task == "regression"
    assert loop.gates.minimum == {"r2": 0.1}


def test_a_label_that_is_not_there_or_constant_is_refused() -> None:
    with pytest.raises(DataError, match="no column 'churn'; expected one of customerID, when"):
        infer.infer(frame(), "churn")
    with pytest.raises(DataError, match=r"the label same has 1 value\(s\)"):
        infer.infer(frame(), "same")


def test_whole_numbers_that_may_be_classes_are_named_as_clients_say_them() -> None:
    rows = frame().assign(left=[["1.0", "2.0", "10.0", "1"][number % 4] for number in range(ROWS)])
    assert infer.infer(rows, "left").classes == ("1", "2", "10")
    assert infer.infer(rows.assign(left=rows["left"].replace("2.0", "v2.0")), "left").classes == ("1", "10.0", "v2.0")


def test_a_form_and_an_order_that_all_rows_keep_are_rules_and_break_on_what_does_not_keep_them() -> None:
    number = pd.Series(range(ROWS))
    rows = frame().assign(
        shop=[f"DE-{one % 60:04d}" for one in number],
        min_price=(number % 50).astype(str),
        max_price=(number % 50 + number % 7).astype(str),
    )
    text, loop = declared(rows=rows)
    assert loop.data.contract["customerID"].pattern == "k[0-9]{4}"
    assert not loop.data.contract["customerID"].unique
    assert "customerID" not in loop.inputs
    assert loop.data.contract["shop"].pattern == "DE-[0-9]{4}"
    assert [rule.expression for rule in loop.data.rules] == ["min_price <= max_price"]
    assert "in all 300 rows that have both" in text
    assert len(contract.check(rows, loop).valid) == ROWS
    rows.loc[0, ["shop", "min_price"]] = ["DE-17", "49"]
    assert len(contract.check(rows, loop).valid) == ROWS - 1
    # Without times each customer has one row, and so it stays.
    _, once = declared(rows=frame().drop(columns="when"))
    assert once.data.contract["customerID"].unique


def test_a_column_that_names_rows_is_left_out_with_the_form_to_check_it_by() -> None:
    rows = frame().assign(note=[f"u{one}@example.org" for one in range(ROWS)])
    text, loop = declared(rows=rows)
    assert "note" not in loop.data.contract
    assert r"all are an e-mail address: {pattern: '[^@\s]+@[^@\s]+\.[^@\s]+'}" in text
    assert "u17@" not in text
