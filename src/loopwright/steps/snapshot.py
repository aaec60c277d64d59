"""Take an immutable copy of the source's rows, named by its content."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from loopwright.data import revisions, snapshots, sources
from loopwright.loop import Loop


def snapshot(
    loop: Loop,
    root: Path,
    store: Path,
    rows: Path,
    now: datetime,
    wanted: Mapping[str, Any] | None = None,
    parent: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read the loop's source and write the snapshot into `store` and to the file `rows`.

    `root` is what a relative source is relative to; `now` is the loop's time, by which labels are known. `wanted` is
    what the run's entry says of rows: those since `since`, unless there are fewer than `least`; default all. `parent`
    is what the loop's snapshot before this one said. Raises DataError when the source cannot be read, or no row of it
    may be used.
    """
    asked = wanted is not None and loop.data.timestamp is not None
    since, least = (datetime.fromisoformat(wanted["since"]), int(wanted["least"])) if wanted and asked else (None, 0)
    revision = revisions.of(loop.data.source, root)
    taken = snapshots.take(sources.batches(loop.data.source, root), loop, store, now, since, least)
    made = taken.snapshot
    rows.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made.path, rows)
    return {
        "id": made.id,
        "rows": made.rows,
        "left_out": taken.read - made.rows,
        "columns": list(made.schema),
        "schema": made.schema,
        "file_sha256": made.file,
        "source": str(loop.data.source),
        "revision": revision,
        "parent": parent["id"] if parent else None,
        "newest": taken.newest.isoformat() if taken.newest else None,
        **({"since": since.isoformat() if taken.only_newer else None, "rows_since": taken.newer} if since else {}),
    }
