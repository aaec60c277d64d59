from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loopwright.data import joins, snapshots
from loopwright.errors import DataError
from loopwright.loop import Loop

ROWS = """customer,seen,age,spend,plan,left
7,2026-01-10,40,1,basic,Yes
7,2026-01-20,40,1,basic,No
8,2026-01-10,40,1,basic,No
,2026-01-10,40,1,basic,No
7,someday,40,1,basic,No
7,2026-01-10T00:00:00Z,41,1,basic,No
"""
LOGINS = """id,day,logins,country,plan
7,2026-01-15,15,at,x
7,2026-01-10,10,de,x
7,2026-01-10T00:00:01Z,11,de,x
8,2026-02-01,99,ch,x
"""


def declared(small: Loop, **join: Any) -> Loop:
    content = small.model_dump(mode="json")
    content["data"]["joins"] = [
        {"source": "logins.csv", "by": "id", "at": "day", "columns": ["logins", "country"], **join}
    ]
    content["data"]["contract"]["logins"] = {"type": "integer", "missing": 1}
    return Loop.model_validate(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "logins.csv").write_text(LOGINS)
    return tmp_path


def logins(loop: Loop, folder: Path) -> list[str | None]:
    return [None if value is None or value != value else value for value in joins.read(loop, folder)["logins"].tolist()]


def test_a_row_has_the_newest_value_that_was_known_by_its_time(small: Loop, folder: Path) -> None:
    assert logins(declared(small), folder) == ["10", "15", None, None, None, "10"]
    assert joins.read(declared(small), folder)["country"].tolist()[:2] == ["de", "at"]


def test_a_value_is_not_taken_before_it_can_be_read_nor_when_it_is_old(small: Loop, folder: Path) -> None:
    assert logins(declared(small, delay="5d"), folder) == [None, "15", None, None, None, None]
    assert logins(declared(small, max_age="1d"), folder) == ["10", None, None, None, None, "10"]
    # The age is that at the row's time, whenever the value was there to be read.
    assert logins(declared(small, delay="2d", max_age="4d"), folder) == [None] * 6
    assert logins(declared(small, delay="2d", max_age="5d"), folder)[1] == "15"
    with pytest.raises(ValueError, match="max_age is below delay"):
        declared(small, delay="2d", max_age="1d")


def test_no_value_of_the_future_is_taken_whatever_the_order_of_rows(small: Loop, folder: Path) -> None:
    days = pd.date_range("2026-01-01", periods=60, tz="UTC")
    table = pd.DataFrame({"id": 7, "day": days, "logins": range(60)}).sample(frac=1, random_state=2)
    rows = pd.DataFrame(
        {"customer": 7, "seen": days + pd.Timedelta("1h"), "age": 1, "spend": 1, "plan": "basic", "left": "No"}
    )
    table.assign(country="de").to_parquet(folder / "logins.parquet")
    rows.sample(frac=1, random_state=3).to_parquet(folder / "rows.parquet")
    loop = declared(small, source="logins.parquet", delay="2h")
    loop = loop.model_copy(update={"data": loop.data.model_copy(update={"source": "rows.parquet"})})
    found = joins.read(loop, folder).sort_values("seen")
    assert found["logins"].tolist()[1:] == list(range(59))


def test_the_joined_columns_are_in_the_snapshot(small: Loop, folder: Path) -> None:
    loop = declared(small)
    taken = snapshots.take(joins.batches(loop, folder), loop, folder / "store", datetime(2026, 3, 1, tzinfo=UTC))
    assert {"logins", "country"} <= taken.snapshot.schema.keys()


@pytest.mark.parametrize(
    ("join", "message"),
    [
        ({"at": "when"}, "has no column when"),
        ({"by": "who"}, "has no column who"),
        ({"at": "country"}, "4 of 4 rows of logins.csv have no readable time in country"),
        ({"source": "gone.csv"}, "there is no data at"),
        ({"columns": ["logins", "plan"]}, "the rows have a column 'plan' already"),
    ],
)
def test_a_table_that_cannot_be_joined_is_told(small: Loop, folder: Path, join: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        joins.read(declared(small, **join), folder)
