"""Deleting archived files whose every row is older than the declared retention.

Every replica's monitor does it, as none can know of the others; deleting what is gone already is as it should be. Only
files that an archive names are touched, whatever else lies in the bucket. Where the monitors are gone, `loopwright
events expire` does the same.
"""

from datetime import date, datetime, timedelta

from loopwright.archive.layout import Key, prefix
from loopwright.archive.store import Store


def expired(store: Store, loop: str, before: datetime) -> list[Key]:
    """The files of a loop all of whose rows were received before a moment. Raises StoreError."""
    found = []
    for version in store.folders(prefix(loop)):
        for day in store.folders(version):
            # Days that are not over yet are not listed.
            if _date(day) <= before.date():
                found += [one.key for one in store.files(day) if one.key.end <= before]
    return found


def expire(store: Store, loop: str, retention: timedelta, now: datetime) -> int:
    """Delete what is older than `retention` at the loop's time `now`; how many files that were. Raises StoreError."""
    keys = expired(store, loop, now - retention)
    store.delete(keys)
    return len(keys)


def _date(folder: str) -> date:
    """The day of a folder; one that names none is never old enough."""
    try:
        return date.fromisoformat(folder.rstrip("/").rpartition("received_date=")[2])
    except ValueError:
        return date.max
