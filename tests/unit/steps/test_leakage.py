from typing import Any

import numpy as np
import pandas as pd
import pytest

from loopwright.data import contract, splits
from loopwright.loop import Loop
from loopwright.steps import leakage


def signs(
    small: Loop, rows: pd.DataFrame, contract_of: dict[str, Any] | None = None, **data: Any
) -> list[tuple[str, str]]:
    content = small.model_dump(mode="json")
    content["data"] |= {"set_aside": 1.0, **data}
    content["data"]["contract"] |= contract_of or {}
    loop = Loop.model_validate(content)
    valid = contract.check(rows, loop).valid
    found = leakage.leaks(loop, *splits.split(valid, loop), splits.classes(valid, loop))
    assert [one["found"] for one in leakage.facts(found)] == [one.found for one in found]
    return [(one.kind, one.column) for one in found]


def test_honest_rows_have_no_sign(small: Loop, small_rows: pd.DataFrame) -> None:
    assert signs(small, small_rows) == []


@pytest.mark.parametrize("numeric", [True, False])
def test_an_input_made_from_the_label_is_named(small: Loop, small_rows: pd.DataFrame, numeric: bool) -> None:
    left = small_rows["left"] == "Yes"
    number = pd.Series(np.where(left, 30.0, 0.0) + np.arange(len(left)) % 7, index=left.index).astype(str)
    rows = small_rows.assign(refund=number if numeric else left.map({True: "closed", False: "open"}))
    column = {"refund": {"type": "number" if numeric else "string"}}
    assert signs(small, rows, column) == [("label", "refund")]
    assert signs(small, rows, column, leakage={"policy": "off"}) == []
    # That a value is missing may tell the label too.
    gone = rows.assign(refund=rows["refund"].where(left))
    assert signs(small, gone, {"refund": {**column["refund"], "missing": 1}}) == [("label", "refund")]


def test_an_input_that_gives_a_number_is_named(small: Loop, small_rows: pd.DataFrame) -> None:
    content = small.model_dump(mode="json")
    content["model"]["task"], content["gates"], content["data"]["label"]["column"] = "regression", {}, "spend"
    content["data"]["contract"].pop("spend")
    rows = small_rows.assign(gross=pd.to_numeric(small_rows["spend"]) * 1.19).dropna(subset="spend")
    regression = Loop.model_validate(content)
    assert signs(regression, rows, {"gross": {"type": "number"}}) == [("label", "gross")]
    assert signs(regression, rows) == []


def test_entities_on_both_sides_are_counted_where_the_split_is_not_by_them(
    small: Loop, small_rows: pd.DataFrame
) -> None:
    rows = small_rows.assign(customer=[f"c{number % 40}" for number in range(len(small_rows))])
    assert signs(small, rows) == []
    assert signs(small, rows, holdout={"by": "random"}) == [("entities", "customer")]
    assert signs(small, small_rows, holdout={"by": "random"}) == []


def test_dates_after_the_row_and_labels_not_known_yet_are_time_travel(small: Loop, small_rows: pd.DataFrame) -> None:
    seen = pd.to_datetime(small_rows["seen"])
    column = {"closed": {"type": "string"}}
    later = small_rows.assign(closed=(seen + pd.Timedelta("1h")).astype(str))
    earlier = small_rows.assign(closed=(seen - pd.Timedelta("1h")).astype(str))
    assert signs(small, later, column) == [("time", "closed")]
    assert signs(small, earlier, column) == []
    by_time = {"holdout": {"by": "time"}}
    assert signs(small, small_rows, **by_time) == []
    assert signs(small, small_rows, **by_time, label={"column": "left", "delay": "1d"}) == [("time", "seen")]


def test_an_input_that_gives_one_of_several_classes_away_is_named_with_it() -> None:
    random = np.random.default_rng(0)
    place = random.integers(0, 6, 1500)
    names = [f"k{number}" for number in range(6)]
    rows = pd.DataFrame(
        {
            "weak": random.normal(size=1500) + 0.3 * place,
            "leak": (place == 5) + random.normal(0, 0.001, 1500),
            "y": np.array(names)[place],
        }
    )
    loop = Loop.model_validate(
        {
            "apiVersion": "loopwright/v1", "kind": "Loop", "metadata": {"name": "six"},
            "data": {
                "source": "rows.csv", "label": {"column": "y", "classes": names},
                "contract": {"weak": {"type": "number"}, "leak": {"type": "number"}},
            },
            "model": {"task": "classification"},
        }
    )  # fmt: skip
    (one,) = leakage.leaks(loop, rows[:1200], rows[1200:], names)
    assert one.column == "leak"
    assert one.found.startswith("it alone predicts the held-out y = k5 against the rest with an area")
