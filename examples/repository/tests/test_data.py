"""Data tests: the contract takes the rows that are meant, and sets those aside that are not."""

import pytest
from conftest import ROOT, loopwright


def test_the_rows_that_are_here_fulfil_the_contract():
    if not (ROOT / "loop" / "data").is_dir():
        pytest.skip("there are no rows in loop/data; the workflow puts them there first")
    done = loopwright("check", ROOT / "loop")
    assert done.code == 0, done.answer


@pytest.mark.parametrize(("column", "value"), [("area", -1), ("district", "centre"), ("rooms", 2.5)])
def test_a_row_that_breaks_the_contract_is_set_aside_by_its_column(loop, frame, column, value):
    broken = frame.astype({column: object})
    broken.loc[0, column] = value
    broken.to_csv(loop / "data" / "rows.csv", index=False)
    done = loopwright("check", loop)
    assert done.answer["set_aside"] == 1
    assert [one["column"] for one in done.answer["violations"]] == [column]


def test_a_column_that_is_missing_ends_the_run(loop, frame):
    frame.drop(columns="area").to_csv(loop / "data" / "rows.csv", index=False)
    done = loopwright("check", loop)
    assert done.code == 3
    assert "area" in str(done.answer)
