"""report --alarm: the rows of an alarm's window beside the reference, as a page that the ledger names.

A trigger makes one for each alarm, by a process of its own: `python -m loopwright.cli.alarm_report LOOP N PARENT`.

The window is the one in which the alarm was raised: of archived events where they are kept and already written, or
else of the source's rows by their time. The reference is the snapshot that the alarm's version was trained on.
"""

import logging
import os
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright import processes
from loopwright.cli.context import Context
from loopwright.errors import DataError, LedgerError, LoopwrightError

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.ledger import Entry

log = logging.getLogger("loopwright.reports")

FOLDER = "reports"


def place(context: Context, alarm: int) -> Path:
    """Where the page of an alarm is kept."""
    return context.settings.state / FOLDER / f"alarm-{alarm}.html"


def write(context: Context, number: int, path: Path | None = None) -> Path:
    """Write the page of the alarm with this number and return where it is; the first that is kept is in the ledger.

    Raises LedgerError when the entry is no alarm of the loop, DataError when its rows are not to be had.
    """
    from loopwright.ledger import DuplicateEntry
    from loopwright.report import drift_report

    alarm = context.ledger.get(number)
    if alarm.kind != "alarm" or alarm.loop != context.loop.name:
        raise LedgerError(
            f"entry {number} is no alarm of {context.loop.name}", do="see `loopwright history` for its number"
        )
    end = datetime.fromisoformat(alarm.facts["starts_at"])
    length = alarm.facts.get("window_seconds")
    start = end - (timedelta(seconds=length) if length else context.loop.monitor.window)
    before = drift_report.reference(context.loop, snapshot(context, alarm.facts.get("version")))
    archived = _archived(context, alarm, start, end)
    now = drift_report.from_source(context.loop, context.folder, start, end) if archived is None else archived
    page = path or place(context, number)
    drift_report.write(context.loop, before, drift_report.checked(now, start, end), page)
    if path is None:
        facts = {
            "report": str(page.relative_to(context.settings.state)),
            "version": alarm.facts.get("version"),
            "rows": len(now),
            "reference_rows": len(before),
            "of": "source" if archived is None else "archive",
            "start": start.isoformat(),
            "end": end.isoformat(),
        }
        name = context.loop.name
        with suppress(DuplicateEntry):
            context.ledger.append(name, "reported", facts, cause=number, key=f"{name}/reported/{number}")
    return page


def snapshot(context: Context, version: str | None) -> Path:
    """The snapshot that a version was made from. Raises DataError when the ledger does not say."""
    registered = context.ledger.entries(context.loop.name, kind="registered")
    found = next((entry for entry in reversed(registered) if str(entry.facts["version"]) == version), None)
    if found is None:
        raise DataError(f"the ledger does not say what version {version} of {context.loop.name} was trained on")
    return context.settings.snapshots / f"{found.facts['snapshot']}.parquet"


def _archived(context: Context, alarm: "Entry", start: datetime, end: datetime) -> "pd.DataFrame | None":
    """The window's archived events, or None where none are kept, are written yet, or can be read."""
    import pandas as pd

    from loopwright.archive import read
    from loopwright.archive.store import resolve
    from loopwright.data import typed

    declared = context.loop.monitor.archive
    if declared is None:
        return None
    url = resolve(declared.url, context.settings.state)
    try:
        batches = read(url, loop=context.loop.name, version=alarm.facts.get("version"), start=start, end=end)
        frames = [batch.to_pandas() for batch in batches]
    except DataError as error:
        log.warning("the source's rows are shown instead of the events: %s", error)
        return None
    return typed.inputs(context.loop, pd.concat(frames, ignore_index=True)) if frames else None


def main(loop: str, alarm: int, parent: int) -> int:
    """Make the page of one alarm, after whatever else wants the machine, and end with the trigger that asked for it."""
    processes.end_with_parent(parent)
    os.nice(10)
    try:
        write(Context.of(loop), alarm)
    except LoopwrightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
