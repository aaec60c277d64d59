"""Take an immutable copy of the source's rows, named by its content."""

import hashlib
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from loopwright.data import snapshots, sources
from loopwright.errors import DataError
from loopwright.loop import Loop


def snapshot(
    loop: Loop, root: Path, store: Path, rows: Path, now: datetime, wanted: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read the loop's source and write the snapshot into `store` and to the file `rows`.

    `root` is what a relative source is relative to; `now` is the loop's time, by which labels are known. `wanted` is
    what the run's entry says of rows: those since `since`, unless there are fewer than `least`; default all. Raises
    DataError when the source cannot be read, or no row of it may be used.
    """
    source = sources.read(loop.data.source, root)
    frame = snapshots.current(source, loop, now)
    chosen: dict[str, Any] = {}
    if wanted is not None and loop.data.timestamp is not None:
        since = datetime.fromisoformat(wanted["since"])
        newer = frame.loc[snapshots.times(frame, loop.data.timestamp) >= since]
        enough = len(newer) >= wanted["least"]
        chosen = {"since": wanted["since"] if enough else None, "rows_since": len(newer)}
        frame = newer if enough else frame
        if frame.empty:
            raise DataError(
                f"no labelled row came since {since:%Y-%m-%d %H:%M}", do="wait for labels, or use older rows"
            )
    newest = None if loop.data.timestamp is None else snapshots.newest(frame, loop.data.timestamp)
    identity, path = snapshots.write(frame, store)
    rows.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, rows)
    return {
        "id": identity,
        "file_sha256": hashlib.sha256(rows.read_bytes()).hexdigest(),
        "rows": len(frame),
        "left_out": len(source) - len(frame),
        "columns": sorted(map(str, frame.columns)),
        "source": loop.data.source,
        "newest": newest.isoformat() if newest else None,
        **chosen,
    }
