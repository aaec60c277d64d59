"""What is older than the retention goes, and nothing else."""

from datetime import timedelta

from loopwright.archive.retention import expire, expired

from .conftest import NINE

HOUR = timedelta(hours=1)


def left(place):
    return sorted(path.name for path in place.folder.rglob("*") if path.is_file())


def test_a_file_goes_when_its_whole_hour_is_too_old(place):
    old, kept = place.write(NINE, 2), place.write(NINE + HOUR, 2)
    assert expire(place.store, "churn", timedelta(days=1), NINE + timedelta(days=1) + HOUR - timedelta(seconds=1)) == 0
    assert expire(place.store, "churn", timedelta(days=1), NINE + timedelta(days=1) + HOUR) == 1
    assert left(place) == [kept.name]
    assert old.name not in left(place)


def test_other_loops_and_what_is_no_file_of_the_archive_stay(place):
    key = place.write(NINE, 2)
    other = place.write(NINE, 2, loop="demand")
    notes = (place.folder / key.path).with_name("notes.txt")
    notes.write_text("mine")
    (place.folder / "loop=churn" / "model_version=1" / "received_date=never").mkdir()
    assert expire(place.store, "churn", HOUR, NINE + timedelta(days=9)) == 1
    assert left(place) == sorted([other.name, "notes.txt"])


def test_a_file_that_another_replica_deleted_is_as_it_should_be(place):
    key = place.write(NINE, 2)
    store, keys = place.store, expired(place.store, "churn", NINE + timedelta(days=9))
    (place.folder / key.path).unlink()
    store.delete(keys)


def test_an_archive_without_files_has_nothing_to_delete(place):
    assert expire(place.store, "churn", HOUR, NINE) == 0
