"""Which rows a profile is made of, and the season of each."""

from typing import TYPE_CHECKING

from loopwright.data import snapshots
from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.statistics.profile import Counts
    from loopwright.statistics.seasons import Seasonality

# Fewer reference rows than this make a profile too coarse to compare with; then the newest so many are the reference.
LEAST_REFERENCE = 500


def newest_rows(loop: Loop, rows: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of `monitor.reference`, but so many at least; all of them where it is not declared."""
    if loop.monitor.reference is None or loop.data.timestamp is None:
        return rows
    recent = snapshots.recent(rows, loop.data.timestamp, loop.monitor.reference)
    if len(recent) >= LEAST_REFERENCE:
        return recent
    return rows.sort_values(loop.data.timestamp, kind="stable").tail(LEAST_REFERENCE)


def seasons_of(loop: Loop, rows: "pd.DataFrame", seasonality: "Seasonality") -> "Counts":
    """The season of each row, -1 where it has no time."""
    import numpy as np

    assert loop.data.timestamp is not None, "the declaration asks for it with a seasonality"
    local = snapshots.times(rows, loop.data.timestamp).dt.tz_convert(seasonality.zone)
    known = local.notna().to_numpy()
    moments = local.dt.weekday.to_numpy(), local.dt.hour.to_numpy(), local.dt.month.to_numpy()
    weekday, hour, month = (np.where(known, part, 1).astype(np.int64) for part in moments)
    return np.where(known, seasonality.of(weekday, hour, month), -1)
