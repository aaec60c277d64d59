"""Immutable copies of data sets, each named by the SHA-256 of its content.

The order of rows and of columns, and how a source was cut into files, do not change the name: the same data has one
snapshot. A snapshot is written once and never changed; `verify` reads it again and compares.
"""

import hashlib
import json
import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.durations import format_duration
from loopwright.errors import DataError
from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd


def identify(frame: "pd.DataFrame") -> tuple[str, "pd.DataFrame"]:
    """The SHA-256 of the frame's content, and the frame in its canonical order of columns and rows."""
    columns = sorted(map(str, frame.columns))
    frame = frame.rename(columns=str)[columns]
    text = frame.astype("string").fillna("\0")
    canonical = text.sort_values(columns, kind="stable")
    digest = hashlib.sha256()
    for column in columns:
        digest.update(repr(column).encode() + b"\n")
        # JSON says where a value ends, whatever is in it.
        digest.update(json.dumps(canonical[column].tolist()).encode() + b"\n")
    return digest.hexdigest(), frame.loc[canonical.index].reset_index(drop=True)


def write(frame: "pd.DataFrame", store: Path) -> tuple[str, Path]:
    """Write a snapshot into the folder `store` unless it is there; return its id and file.

    The file appears whole or not at all. Raises DataError when it cannot be written.
    """
    identity, canonical = identify(frame)
    path = store / f"{identity}.parquet"
    if path.exists():
        return identity, path
    part = path.with_name(f".{identity}.{os.getpid()}.part")
    try:
        store.mkdir(parents=True, exist_ok=True)
        canonical.to_parquet(part, index=False)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise DataError(
            f"the snapshot {path} cannot be written: {error.strerror or error}",
            expected="free space in a folder that this user may write",
            do="free space, or name another state folder with LOOPWRIGHT_STATE",
        ) from error
    return identity, path


def verify(path: Path) -> None:
    """Raise DataError when a snapshot's content is not what its name says."""
    import pandas as pd

    found, _ = identify(pd.read_parquet(path))
    if found != path.name.removesuffix(".parquet"):
        raise DataError(
            f"the snapshot {path} was changed: its content has the id {found[:12]}",
            expected=path.stem[:12],
            do="restore it from a backup, or run the pipeline again on a new snapshot",
        )


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
        until, delay = now - loop.data.label.delay, format_duration(loop.data.label.delay)
        raise DataError(
            f"none of the {len(frame):,} rows may be used: all are dated after {until:%Y-%m-%d %H:%M}",
            expected=f"rows whose label is known (`data.label.delay` is {delay})",
            do="wait for labels, or correct the dates or the delay",
        )
    return found


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
