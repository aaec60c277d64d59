"""Take an immutable copy of the source's rows, named by its content."""

import shutil
from pathlib import Path
from typing import Any

from loopwright.data import snapshots, sources
from loopwright.loop import Loop


def snapshot(loop: Loop, root: Path, store: Path, rows: Path) -> dict[str, Any]:
    """Read the loop's source and write the snapshot into `store` and to the file `rows`.

    `root` is what a relative source is relative to. Raises DataError when the source cannot be read.
    """
    frame = sources.read(loop.data.source, root)
    newest = None
    if loop.data.timestamp is not None:
        if loop.data.history is not None:
            frame = snapshots.recent(frame, loop.data.timestamp, loop.data.history)
        newest = snapshots.newest(frame, loop.data.timestamp)
    identity, path = snapshots.write(frame, store)
    rows.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, rows)
    return {
        "id": identity,
        "rows": len(frame),
        "columns": sorted(map(str, frame.columns)),
        "source": loop.data.source,
        "newest": newest.isoformat() if newest else None,
    }
