"""Take an immutable copy of the source's rows, named by its content."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from loopwright.data import joins, revisions, snapshots
from loopwright.loop import Loop
from loopwright.steps.difference import evolution


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
    taken = snapshots.take(joins.batches(loop, root), loop, store, now, since, least)
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
        **({"changes": changes} if any((changes := _changes(parent, made.schema)).values()) else {}),
        "parent": parent["id"] if parent else None,
        "newest": taken.newest.isoformat() if taken.newest else None,
        **({"since": since.isoformat() if taken.only_newer else None, "rows_since": taken.newer} if since else {}),
    }


def _changes(parent: Mapping[str, Any] | None, schema: dict[str, str]) -> dict[str, Any]:
    """Columns that the snapshot before this one had otherwise, or not at all."""
    return evolution(dict(parent["schema"]), schema) if parent and parent.get("schema") else {}
