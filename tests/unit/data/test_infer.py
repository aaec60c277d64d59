import pandas as pd
import pytest
import yaml

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


def test_a_form_and_an_order_that_all_rows_keep_are_rules_that_tell_of_what_does_not_keep_them() -> None:
    number = pd.Series(range(ROWS))
    rows = frame().assign(
        shop=[f"DE-{one % 60:04d}" for one in number],
        min_price=(number % 50).astype(str),
        max_price=(number % 50 + number % 7).astype(str),
    )
    text, loop = declared(rows=rows)
    assert loop.data.contract["customerID"].pattern == "k[0-9]{4,}"
    assert not loop.data.contract["customerID"].unique
    assert "customerID" not in loop.inputs
    assert loop.data.contract["shop"].pattern == "[A-Z]{2}-[0-9]{4,}"
    assert [rule.expression for rule in loop.data.rules] == ["min_price <= max_price"]
    assert "in all 300 rows that have both" in text
    assert len(contract.check(rows, loop).valid) == ROWS
    rows.loc[0, ["shop", "min_price"]] = ["DE-17", "49"]
    checked = contract.check(rows, loop)
    assert len(checked.valid) == ROWS
    told = {(one.column, one.rule): (one.rows, one.policy) for one in checked.violations}
    assert told == {("shop", "pattern"): (1, "warn"), ("min_price to max_price", "rule"): (1, "warn")}
    assert "`policy: warn` keeps such a row" in text
    assert loop.data.contract["contract"].policy == "quarantine"
    # Without times each customer has one row, and so it stays.
    _, once = declared(rows=frame().drop(columns="when"))
    assert once.data.contract["customerID"].unique


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("name", [f"Anna the {one}" for one in range(ROWS)]),
        ("paid", list(range(100, 100 + ROWS))),
        ("PAID", list(range(100, 100 + ROWS))),
        ("grid", [f"k{one:04d}" for one in range(ROWS)]),
    ],
)
def test_what_does_not_repeat_by_chance_is_not_declared_to_be_unique(name, values) -> None:
    text, loop = declared(rows=frame().drop(columns=["when", "customerID", "note"]).assign(**{name: values}))
    assert "unique" not in text
    assert (loop.data.entity == name) == (name in ("name", "grid"))


@pytest.mark.parametrize("name", ["customerId", "order_id", "ID", "Customer Key", "uuid"])
def test_the_entity_is_the_column_that_is_named_so_and_unique_where_rows_have_no_time(name) -> None:
    rows = frame().drop(columns=["when", "customerID"]).assign(**{name: range(1000, 1000 + ROWS)})
    _, loop = declared(rows=rows)
    assert loop.data.entity == name
    assert loop.data.contract[name].unique
    assert loop.data.contract[name].policy == "warn"


@pytest.mark.parametrize("odd", ["a\nB1", "a\x85b", "\x07bell", "\u2028", 'it\'s "so" \\', "\u00e4 \U0001f600"])
def test_text_of_any_characters_makes_a_contract_that_its_own_data_keeps(odd) -> None:
    rows = frame().assign(
        contract=[f"{odd}{one % 3}x" for one in range(ROWS)],
        shop=[f"s{one % 60}{odd}1" for one in range(ROWS)],
    )
    _, loop = declared(rows=rows)
    assert set(loop.data.contract["contract"].values) == set(rows["contract"].str.strip())
    assert contract.check(rows, loop).violations == ()
    assert yaml.safe_load(infer.quoted(odd)) == odd


def test_dates_that_keep_an_order_are_a_rule_but_for_the_one_that_is_the_rows_time() -> None:
    days = pd.Series(pd.date_range("2026-01-01", periods=ROWS // 2).repeat(2))
    dated = {
        name: (days + pd.Timedelta(days=later)).dt.date.astype(str).tolist()
        for name, later in (("start_date", 1), ("end_date", 9))
    }
    _, loop = declared(rows=frame().assign(**dated))
    assert loop.data.timestamp == "when"
    assert [rule.expression for rule in loop.data.rules] == ["start_date <= end_date"]
    _, loop = declared(rows=frame().drop(columns="when").assign(**dated))
    assert (loop.data.timestamp, loop.data.rules) == ("start_date", ())


def test_a_column_that_names_rows_is_left_out_with_the_form_to_check_it_by() -> None:
    rows = frame().assign(note=[f"u{one}@example.org" for one in range(ROWS)])
    text, loop = declared(rows=rows)
    assert "note" not in loop.data.contract
    assert r"all are an e-mail address: {pattern: '[^@\s]+@[^@\s]+\.[^@\s]+'}" in text
    assert "u17@" not in text
