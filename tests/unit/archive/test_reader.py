"""Rows of a window come back, whole files or parts of them, and what cannot be read is an error with its reason."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.dataset
import pytest

from loopwright.archive import read
from loopwright.archive.reader import AHEAD, count, objects
from loopwright.archive.store import Store
from loopwright.errors import DataError

from .conftest import NINE

HOUR = timedelta(hours=1)


def ids(place, start, end, **options):
    batches = read(place.url, loop="churn", start=start, end=end, **options)
    return [one for batch in batches for one in batch.column("prediction_id").to_pylist()]


def test_a_window_begins_with_its_start_and_ends_before_its_end(place):
    place.write(NINE, 60)
    found = ids(place, NINE + timedelta(minutes=10), NINE + timedelta(minutes=13))
    assert found == ["1-200910", "1-200911", "1-200912"]


def test_hours_come_in_their_order_and_other_loops_and_days_do_not(place):
    for first in (NINE + HOUR, NINE, NINE + 30 * HOUR):
        place.write(first, 2)
    place.write(NINE, 2, loop="churn-eu")
    assert ids(place, NINE, NINE + 2 * HOUR) == ["1-200900", "1-200901", "1-201000", "1-201001"]
    assert len(ids(place, NINE, NINE + 40 * HOUR)) == 6


@pytest.mark.parametrize("days", [2, 400])
def test_short_and_long_windows_find_the_same_files(place, days):
    place.write(NINE, 3)
    place.write(NINE, 3, version="2")
    assert len(ids(place, NINE - timedelta(days=days - 1), NINE + timedelta(days=1))) == 6
    assert len(ids(place, NINE - timedelta(days=days - 1), NINE + timedelta(days=1), version="2")) == 3


def test_columns_are_given_in_the_order_asked_for_with_the_version_of_the_path(place):
    place.write(NINE, 2, age=[30.0, 31.0])
    place.write(NINE, 2, version="2")
    start, end = NINE, NINE + timedelta(minutes=1)
    found = read(place.url, loop="churn", start=start, end=end, columns=["age", "model_version", "prediction_id"])
    rows = sorted((batch.to_pylist() for batch in found), key=str)
    assert rows == [
        [{"age": 30.0, "model_version": "1", "prediction_id": "1-200900"}],
        [{"model_version": "2", "prediction_id": "2-200900"}],
    ]


def test_files_that_lie_in_the_window_are_counted_without_being_opened(place):
    place.write(NINE, 60)
    damaged = place.write(NINE + HOUR, 7, version="2")
    (place.folder / damaged.path).write_bytes(b"not Parquet")
    window = {"loop": "churn", "start": NINE + timedelta(minutes=30), "end": NINE + 2 * HOUR}
    assert count(place.store, **window) == {"1": 30, "2": 7}


def test_a_file_that_the_retention_takes_meanwhile_is_left_out(place):
    for hour in range(3):
        place.write(NINE + hour * HOUR, 1)
    found = read(place.url, loop="churn", start=NINE, end=NINE + 20 * HOUR)
    listed = place.store.files("loop=churn/")
    gone = next(one.key for one in listed if one.key.hour == NINE + HOUR)
    original = Store.get

    def get(store, key):
        (place.folder / gone.path).unlink(missing_ok=True)
        return original(store, key)

    with pytest.MonkeyPatch.context() as meanwhile:
        meanwhile.setattr(Store, "get", get)
        assert [batch.column(0)[0].as_py() for batch in found] == ["1-200900", "1-201100"]


def test_only_a_few_files_are_fetched_ahead_of_a_reader_that_stops(place, monkeypatch):
    for minute in range(40):
        place.write(NINE + timedelta(minutes=minute), 1)
    fetched = []
    original = Store.get
    monkeypatch.setattr(Store, "get", lambda store, key: fetched.append(key) or original(store, key))
    found = read(place.url, loop="churn", start=NINE, end=NINE + HOUR)
    assert next(found).num_rows == 1
    found.close()
    assert 1 <= len(fetched) <= AHEAD + 1


def test_a_damaged_file_is_named(place):
    damaged = place.write(NINE, 7)
    (place.folder / damaged.path).write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=rf"{damaged.name} is damaged: .*expected a Parquet file as the monitor"):
        ids(place, NINE, NINE + HOUR)


def test_a_store_that_is_away_says_so_and_shows_no_secret(monkeypatch):
    for name, value in {
        "ENDPOINT_URL": "http://127.0.0.1:1",
        "ACCESS_KEY_ID": "k",
        "SECRET_ACCESS_KEY": "s3cr3t",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(DataError, match=r"the archive at s3://bucket/events cannot be read: .*error sending") as told:
        list(read("s3://bucket/events", loop="churn", start=NINE, end=NINE + HOUR))
    assert "s3cr3t" not in str(told.value)
    with pytest.raises(DataError, match=r"cannot be read: .*nowhere"):
        list(read("nowhere://bucket", loop="churn", start=NINE, end=NINE + HOUR))


def test_reading_makes_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"events cannot be read: .*expected a bucket or a folder"):
        list(read(f"file://{tmp_path}/events", loop="churn", start=NINE, end=NINE + HOUR))
    assert list(tmp_path.iterdir()) == []


def test_a_moment_needs_its_zone(place):
    naive = datetime(2026, 11, 20)
    with pytest.raises(DataError, match="without a time zone"):
        list(objects(place.store, loop="churn", start=naive, end=NINE))


def test_other_tools_read_it_as_one_table_with_its_partitions(place):
    place.write(NINE, 2, hour=[1.0, 2.0])
    place.write(NINE + HOUR, 3, version="2", hour=[3.0, 4.0, 5.0])
    table = pa.dataset.dataset(place.folder, partitioning="hive").to_table()
    assert table.num_rows == 5
    assert set(table["model_version"].to_pylist()) == {1, 2}
    assert table["hour"].to_pylist() == [1.0, 2.0, 3.0, 4.0, 5.0]
