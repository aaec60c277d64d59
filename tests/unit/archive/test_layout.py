"""A path says what a file holds, and nothing else is taken for a file of an archive."""

from datetime import UTC, datetime

import pytest

from loopwright.archive.layout import Key, prefix

LAST = datetime(2026, 11, 21, 8, 59, 59, 999_999, tzinfo=UTC)


def test_a_path_is_read_as_it_was_made():
    key = Key.new("churn", "3.1-rc_2", LAST, 1200)
    assert Key.read(key.path) == key
    assert key.path.startswith("loop=churn/model_version=3.1-rc_2/received_date=2026-11-21/received_hour=08/59.999-"), (
        key.path
    )
    assert (key.end - key.hour).total_seconds() == 3600


def test_two_files_of_the_same_moment_are_two():
    assert Key.new("churn", "3", LAST, 5) != Key.new("churn", "3", LAST, 5)


@pytest.mark.parametrize(
    "path",
    [
        "loop=churn/model_version=3/received_date=2026-11-21/received_hour=08/notes.parquet",
        "loop=churn/model_version=3/received_date=2026-11-21/received_hour=08/31.250-5f3a9c21d4e8-12.part",
        "elsewhere/loop=churn/model_version=3/received_date=2026-11-21/received_hour=08/31.250-5f3a9c21d4e8-12.parquet",
        "",
    ],
)
def test_what_the_monitor_did_not_write_is_no_key(path):
    assert Key.read(path) is None


def test_folders_go_from_a_loop_to_a_day():
    assert prefix("churn") == "loop=churn/"
    assert prefix("churn", "3") == "loop=churn/model_version=3/"
    assert prefix("churn", "3", "2026-11-21") == "loop=churn/model_version=3/received_date=2026-11-21/"
