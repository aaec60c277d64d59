"""A window as one file of a person's own: whole or not at all."""

from datetime import timedelta

import pandas as pd
import pytest

from loopwright.archive import read
from loopwright.archive.export import write
from loopwright.errors import DataError

from .conftest import NINE

HOUR = timedelta(hours=1)


def window(place, **options):
    return read(place.url, loop="churn", start=NINE, end=NINE + 9 * HOUR, **options)


@pytest.mark.parametrize("name", ["events.parquet", "events.csv"])
def test_all_rows_are_in_the_file(place, tmp_path, name):
    place.write(NINE, 3)
    place.write(NINE + HOUR, 4)
    path = tmp_path / name
    assert write(window(place), path) == 7
    frame = pd.read_parquet(path) if name.endswith("parquet") else pd.read_csv(path)
    assert frame["prediction_id"].tolist()[-1] == "1-201003"
    assert frame["model_version"].astype(str).unique().tolist() == ["1"]
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [name]


def test_versions_with_other_inputs_are_not_mixed_and_leave_no_file(place, tmp_path):
    place.write(NINE, 3)
    place.write(NINE + HOUR, 3, version="2", age=[1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=r"differ in age; .*--version"):
        write(window(place), tmp_path / "events.parquet")
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == []
    assert write(window(place, columns=["prediction_id"]), tmp_path / "events.parquet") == 6


@pytest.mark.parametrize(
    ("name", "columns", "text"),
    [
        ("events.xlsx", None, "expected a name that ends in"),
        ("events.csv", ["age"], "no column age"),
        ("absent/events.csv", None, "cannot be written: .*No such file"),
    ],
)
def test_what_cannot_be_written_says_why(place, tmp_path, name, columns, text):
    place.write(NINE, 3)
    with pytest.raises(DataError, match=text):
        write(window(place, columns=columns), tmp_path / name, columns)


def test_a_window_without_events_is_said(place, tmp_path):
    with pytest.raises(DataError, match="no events in the window"):
        write(window(place), tmp_path / "events.csv")
