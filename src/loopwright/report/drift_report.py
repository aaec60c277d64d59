"""The rows of an alarm's window beside the reference, as a page of Evidently: what a data scientist looks into.

The alarm itself is the monitor's, from counts (docs/drift.md). This page shows the rows behind it, feature by feature.
It is made by Evidently (https://docs.evidentlyai.com, Apache-2.0) in a process of its own: its import takes seconds and
changes NumPy's inside.
"""

import os
import warnings
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright.data import joins, snapshots, typed
from loopwright.errors import DataError, StateError
from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd

# Rows of each side that are shown. The page draws densities, and more of them look the same and take longer.
MOST_ROWS = 20_000


def reference(loop: Loop, snapshot: Path) -> "pd.DataFrame":
    """The inputs of the rows that a version was made from, or of the newest that are its profile's reference.

    Raises DataError when the snapshot is not here.
    """
    import pandas as pd

    if not snapshot.exists():
        raise DataError(f"the snapshot {snapshot} is not here", do="restore it, or report where it was taken")
    frame = pd.read_parquet(snapshot)
    if loop.monitor.reference is not None and loop.data.timestamp is not None:
        frame = snapshots.recent(frame, loop.data.timestamp, loop.monitor.reference)
    return typed.inputs(loop, frame)


def from_source(loop: Loop, folder: Path, start: datetime, end: datetime) -> "pd.DataFrame":
    """The inputs of the source's rows that were observed after `start` and until `end`, labelled or not.

    Raises DataError when the rows have no time, or there are none in the window.
    """
    if loop.data.timestamp is None:
        raise DataError(
            "the window's rows cannot be told from others",
            expected="`data.timestamp`, or events that are kept (`monitor.archive`)",
        )
    frame = joins.read(loop, folder)
    moments = snapshots.times(frame, loop.data.timestamp)
    return checked(typed.inputs(loop, frame.loc[(moments > start) & (moments <= end)]), start, end)


def checked(frame: "pd.DataFrame", start: datetime, end: datetime) -> "pd.DataFrame":
    """The rows themselves. Raises DataError when there are none."""
    if frame.empty:
        raise DataError(f"there are no rows from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}")
    return frame


def write(loop: Loop, before: "pd.DataFrame", now: "pd.DataFrame", path: Path) -> None:
    """Write the page that holds the rows `now` against those of `before`; it needs no other file.

    Raises StateError when Evidently is not installed or the page cannot be written, DataError when it cannot be drawn.
    """
    from loopwright import files

    before, now = _sample(before), _sample(now)
    text = _render(loop, before, now)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, text)
    except OSError as error:
        raise StateError(f"the report cannot be written to {path}: {error.strerror or error}") from error


def _render(loop: Loop, before: "pd.DataFrame", now: "pd.DataFrame") -> str:
    # It would otherwise tell its makers of each use.
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from evidently import DataDefinition, Dataset, Report
            from evidently.presets import DataDriftPreset, DataSummaryPreset
        except ImportError as error:
            raise StateError(
                "Evidently is not installed", expected="the extra `reports`", do="pip install 'loopwright[reports]'"
            ) from error
        numbers = [name for name, column in loop.inputs.items() if column.numeric]
        # A column without any value has no distribution that could be drawn; the summary would stop at it.
        empty = [name for name in loop.inputs if before[name].isna().all() or now[name].isna().all()]
        definition = DataDefinition(
            numerical_columns=[name for name in numbers if name not in empty],
            categorical_columns=[name for name in loop.inputs if name not in numbers and name not in empty],
        )
        sides = [Dataset.from_pandas(side.drop(columns=empty), data_definition=definition) for side in (now, before)]
        # Its verdict on all columns together would contradict the alarm: by default half of them have to have drifted.
        presets = [DataDriftPreset(drift_share=1 / len(loop.inputs)), DataSummaryPreset()]
        try:
            return str(Report(presets).run(*sides).get_html_str(as_iframe=False))
        except Exception as error:  # Whatever it cannot draw, in many ways.
            raise DataError(f"Evidently cannot draw these rows: {type(error).__name__}: {error}") from error


def _sample(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame.sample(MOST_ROWS, random_state=7) if len(frame) > MOST_ROWS else frame
