"""Archived events of a window as rows: each once, of the columns that all have, and a sample where they are many."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.archive.layout import Key
from loopwright.errors import DataError
from loopwright.performance.served import served

NINE = datetime(2026, 4, 1, 9, tzinfo=UTC)
WINDOW = (NINE, NINE + timedelta(days=1))


def put(folder, version, ids, hour=0, **columns):
    first = NINE + timedelta(hours=hour)
    times = pa.array([first + timedelta(milliseconds=one) for one in range(len(ids))], pa.timestamp("us", tz="UTC"))
    table = pa.table({"prediction_id": ids, "received_at": times, "prediction": [0.5] * len(ids), **columns})
    path = folder / Key.new("churn", version, first, len(ids)).path
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def ask(folder, version=None, **options):
    return served(f"file://{folder}", "churn", version, *WINDOW, **options)


def test_a_batch_that_was_sent_again_counts_once_and_versions_are_apart(tmp_path):
    put(tmp_path, "1", ["a", "b"], age=[1.0, 2.0])
    put(tmp_path, "1", ["b", "c"], hour=1, age=[3.0, 4.0])
    put(tmp_path, "2", ["a"], age=[5.0], plan=["basic"])
    found = ask(tmp_path)
    assert sorted(zip(found["model_version"], found["prediction_id"], found["age"], strict=True)) == [
        ("1", "a", 1.0), ("1", "b", 3.0), ("1", "c", 4.0), ("2", "a", 5.0),
    ]  # fmt: skip
    # One version does not take it, so it says nothing of all.
    assert "plan" not in found
    assert ask(tmp_path, "2")["plan"].tolist() == ["basic"]


def test_of_many_events_about_so_many_are_drawn_from_the_whole_window(tmp_path):
    for hour in range(4):
        put(tmp_path, "1", [f"{hour}-{number}" for number in range(1000)], hour=hour)
    found = ask(tmp_path, most=400)
    assert 320 < len(found) < 480
    hours = found["prediction_id"].str[0].value_counts()
    assert hours.min() > 60
    assert ask(tmp_path, most=400).equals(found)


def test_a_window_without_events_says_so(tmp_path):
    with pytest.raises(DataError, match=r"no archived events of churn in the window.*loopwright events list"):
        ask(tmp_path)
