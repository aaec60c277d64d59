from pathlib import Path

import pandas as pd
import pytest

from loopwright.errors import DataError
from loopwright.steps.difference import difference, evolution


def written(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    frame.to_parquet(folder / name, index=False)
    return folder / name


def test_columns_that_came_went_and_changed_their_type_are_named() -> None:
    before = {"a": "integer", "b": "string", "c": "number"}
    assert evolution(before, {"a": "integer", "c": "string", "d": "time"}) == {
        "added": ["d"], "removed": ["b"], "retyped": {"c": ["number", "string"]},
    }  # fmt: skip


def test_rows_and_distributions_that_changed_are_told_the_farthest_first(
    tmp_path: Path, small_rows: pd.DataFrame
) -> None:
    one = written(tmp_path, "1.parquet", small_rows)
    moved = small_rows.iloc[100:].assign(plan=["premium"] * 650 + ["basic"] * 50)
    moved.loc[small_rows.index[100:200], "age"] = ""
    found = difference(one, written(tmp_path, "2.parquet", moved))
    assert found["schema"] == {"added": [], "removed": [], "retyped": {}}
    rows = found["rows"]
    assert (rows["before"], rows["after"], rows["went"] - rows["came"]) == (800, 700, 100)
    by_name = {one["column"]: one for one in found["columns"]}
    assert found["columns"][0]["column"] == "plan"
    assert by_name["plan"]["distance"] > 0.3
    assert by_name["spend"]["distance"] < 0.05
    assert by_name["age"]["missing"] == [0.0, 100 / 700]
    assert by_name["age"]["median"][0] == pd.to_numeric(small_rows["age"]).median()
    assert "median" not in by_name["plan"]


def test_the_same_rows_in_another_order_differ_in_nothing(tmp_path: Path, small_rows: pd.DataFrame) -> None:
    one = written(tmp_path, "1.parquet", small_rows)
    found = difference(one, written(tmp_path, "2.parquet", small_rows.sample(frac=1, random_state=1)))
    assert found["rows"] == {"before": 800, "after": 800, "common": 800, "came": 0, "went": 0}
    assert {one["distance"] for one in found["columns"]} == {0.0}


def test_with_other_columns_rows_are_not_told_apart(tmp_path: Path, small_rows: pd.DataFrame) -> None:
    one = written(tmp_path, "1.parquet", small_rows)
    found = difference(one, written(tmp_path, "2.parquet", small_rows.assign(age=small_rows["age"].astype(int))))
    assert found["schema"]["retyped"] == {"age": ["string", "integer"]}
    assert found["rows"] == {"before": 800, "after": 800}
    (tmp_path / "3.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match=r"3\.parquet cannot be read"):
        difference(one, tmp_path / "3.parquet")
