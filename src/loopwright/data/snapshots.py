"""Which rows of a source a run may use, and the immutable copy that is made of them.

    batches -> those whose label is known -> kept by their hashes -> history, newer rows -> store

Rows are gone through batch by batch; what is held does not grow with their number.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.data.spool import Spool
from loopwright.data.store import Snapshot, identify, put, unwritable, verify, write
from loopwright.durations import format_duration
from loopwright.errors import DataError
from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "Snapshot", "Taken", "current", "identify", "newest", "recent", "take", "times", "usable", "verify", "write"
]  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """What of a source went into a snapshot."""

    snapshot: Snapshot
    read: int
    """The source's rows, used or not."""
    newest: datetime | None
    """When the newest row was observed."""
    newer: int | None = None
    """With a moment asked for: how many rows were observed since then."""
    only_newer: bool = False
    """Whether the snapshot has those alone."""


def take(
    batches: "Iterable[pa.Table]",
    loop: Loop,
    store: Path,
    now: datetime,
    since: datetime | None = None,
    least: int = 0,
) -> Taken:
    """Write the usable rows of a source as a snapshot, with memory for a batch or two and not for all of them.

    With `since` only rows observed then or later, unless there are fewer than `least`. Raises DataError when no row
    may be used or the snapshot cannot be written; then there is nothing of it in the store.
    """
    data = loop.data
    read, newest_row = 0, None
    try:
        with Spool(store) as kept:
            for table in batches:
                read += len(table)
                found, moments = _known(table, loop, now)
                kept.add(found, moments)
                top = None if moments is None or not len(moments) else _latest(moments)
                newest_row = max(filter(None, (newest_row, top)), default=None)
            if not kept.rows:
                raise _none(read, loop, now)
            oldest = newest_row - data.history if data.history is not None and newest_row is not None else None
            if since is None:
                return Taken(put(kept.parts(oldest), kept.schema, store), read, newest_row)
            from_then = max(since, oldest) if oldest else since
            newer = kept.count(from_then)
            if newer == least == 0:
                raise DataError(
                    f"no labelled row came since {since:%Y-%m-%d %H:%M}", do="wait for labels, or use older rows"
                )
            only = newer >= least
            parts = kept.parts(from_then, unknown=False) if only else kept.parts(oldest)
            return Taken(put(parts, kept.schema, store), read, newest_row, newer, only)
    except OSError as error:
        raise unwritable(store, error) from error


def _known(table: "pa.Table", loop: Loop, now: datetime) -> tuple["pa.Table", "pa.Array | None"]:
    """The rows whose label is known by `now`, and when each was observed."""
    import pyarrow as pa

    timestamp = loop.data.timestamp
    if timestamp is None:
        return table, None
    moments = times(table.select([timestamp] if timestamp in table.column_names else []).to_pandas(), timestamp)
    known = (moments.isna() | (moments <= now - loop.data.label.delay)).to_numpy()
    kept = pa.array(moments[known].dt.as_unit("us"), pa.timestamp("us", "UTC"), from_pandas=True)
    return table.filter(pa.array(known)), kept


def _latest(moments: "pa.Array") -> datetime | None:
    """The latest of them."""
    import pyarrow.compute as pc

    latest: datetime | None = pc.max(moments).as_py()
    return latest


def recent(frame: "pd.DataFrame", timestamp: str, history: timedelta) -> "pd.DataFrame":
    """The rows at most `history` older than the newest. A row without a readable time is kept for the contract."""
    import pandas as pd

    moments = times(frame, timestamp)
    newest = moments.max()
    keep = moments.isna() | (moments >= newest - history)
    kept: pd.DataFrame = frame.loc[keep]
    return kept


def usable(frame: "pd.DataFrame", loop: Loop, now: datetime) -> "pd.DataFrame":
    """The rows that a run may use: with a label that is known by `now`, and within the loop's history.

    A row that was observed less than `data.label.delay` ago may yet get another label, and one that is dated in the
    future is in error; neither is used, and neither makes older rows history.
    """
    import pandas as pd

    data = loop.data
    if data.timestamp is None:
        return frame
    moments = times(frame, data.timestamp)
    known: pd.DataFrame = frame.loc[moments.isna() | (moments <= now - data.label.delay)]
    return known if data.history is None or known.empty else recent(known, data.timestamp, data.history)


def current(frame: "pd.DataFrame", loop: Loop, now: datetime) -> "pd.DataFrame":
    """The usable rows. Raises DataError when there is none."""
    found = usable(frame, loop, now)
    if found.empty:
        raise _none(len(frame), loop, now)
    return found


def _none(read: int, loop: Loop, now: datetime) -> DataError:
    until, delay = now - loop.data.label.delay, format_duration(loop.data.label.delay)
    return DataError(
        f"none of the {read:,} rows may be used: all are dated after {until:%Y-%m-%d %H:%M}",
        expected=f"rows whose label is known (`data.label.delay` is {delay})",
        do="wait for labels, or correct the dates or the delay",
    )


def times(frame: "pd.DataFrame", timestamp: str) -> "pd.Series[Any]":
    """The timestamp column as UTC moments, NaT where it cannot be read."""
    import pandas as pd

    if timestamp not in frame.columns:
        raise DataError(
            f"the data has no column {timestamp!r}",
            expected="the column that `data.timestamp` names",
            do="correct loop.yaml, or the source",
        )
    column = frame[timestamp]
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.to_datetime(column, utc=True)
    return pd.to_datetime(column.astype("string"), utc=True, format="mixed", errors="coerce")


def newest(frame: "pd.DataFrame", timestamp: str) -> datetime | None:
    """The newest moment in the timestamp column, or None when none can be read."""
    moment = times(frame, timestamp).max()
    return None if moment is None or moment != moment else moment.to_pydatetime()
