import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from loopwright.data import sources, sql
from loopwright.errors import DataError
from loopwright.loop.source import Source


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with closing(sqlite3.connect(tmp_path / "rows.db")) as connection, connection:
        connection.execute("CREATE TABLE customers (id INTEGER, name TEXT, spend REAL)")
        values = [(number, f"c{number}", None if number == 3 else number / 2) for number in range(50_000)]
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", values)
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{tmp_path / 'rows.db'}")
    return "WAREHOUSE_URL"


def test_a_query_is_read_in_batches_and_asked_for_the_wanted_columns_only(database: str, tmp_path: Path) -> None:
    source = Source(sql="SELECT *, '10:30' AS clock, 5 % 3 AS rest FROM customers ORDER BY id;", url_env=database)
    parts = list(sources.batches(source, tmp_path))
    assert [len(part) for part in parts] == [20_000, 20_000, 10_000]
    frame = sources.read(source, tmp_path)
    assert frame["spend"].isna().sum() == 1
    assert frame["clock"].unique().tolist() == ["10:30"]
    assert list(sources.read(source, tmp_path, ["spend", "id"]).columns) == ["spend", "id"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM customer", "no such table: customer"),
        ("SELECT id, id FROM customers", "gives the column 'id' more than once"),
        ("SELECT * FROM customers WHERE id < 0", "has no rows"),
    ],
)
def test_a_query_that_gives_no_rows_is_told(database: str, tmp_path: Path, query: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sources.read(Source(sql=query, url_env=database), tmp_path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "WAREHOUSE_URL is not set"),
        ("postgresql+pg8000://u:s3cret@127.0.0.1:1/x", "failed: .*onnect"),
        ("nosuch://u:s3cret@h/x", "the database's URL is of no use"),
        ("mysql+nodriver://u:s3cret@h/x", "the database's URL is of no use"),
        ("u:s3cret@h", "the database's URL is of no use"),
    ],
)
def test_a_database_that_cannot_be_asked_is_told_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", url)
    with pytest.raises(DataError, match=message) as caught:
        sources.read(Source(sql="SELECT 1", url_env="WAREHOUSE_URL"), tmp_path)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_option_that_the_driver_does_not_know_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql+pg8000://ada:hunter2@localhost:1/rows?sslmode=require")
    with pytest.raises(DataError, match="unexpected keyword argument 'sslmode'") as told:
        sources.read(Source(sql="SELECT 1", url_env="WAREHOUSE_URL"), tmp_path)
    assert "hunter2" not in str(told.value)


def test_what_is_no_number_and_what_is_infinite_of_a_databases_numerics_is_read() -> None:
    assert sql._column([Decimal(7), Decimal("NaN"), None]).to_pylist() == [7, None, None]
    assert sql._column([Decimal(7), Decimal("-Infinity")]).to_pylist() == [7.0, float("-inf")]
