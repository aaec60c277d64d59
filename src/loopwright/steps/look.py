"""What a run would find in its data, up to the split, on a copy that is thrown away: for who asks before a run does.

    source -> snapshot -> contract -> valid rows, rows set aside -> a sample that split and leakage are tried on

Snapshot and contract are the run's own, batch by batch; a frame is made of the sample alone. A snapshot is in the order
of its rows' hashes, so that its first rows are a sample of all of them.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright.data import joins, snapshots
from loopwright.data.outcome import Outcome
from loopwright.loop import Loop
from loopwright.steps.validate import gone_through

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 100_000
"""Rows that split, leakage and feature code are tried on, at most: about 150 MB as a frame of 20 columns."""


@dataclass(frozen=True)
class Looked:
    """What the contract said, and the files of the rows, in the folder that was given."""

    outcome: Outcome
    valid: Path
    set_aside: Path

    def sample(self) -> "pd.DataFrame":
        """The valid rows with the contract's types, or some of them at random where there are more than `SAMPLE`."""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        opened = pq.ParquetFile(self.valid, pre_buffer=False)
        if opened.metadata.num_rows <= SAMPLE:
            return pd.read_parquet(self.valid)
        parts, rows = [], 0
        for batch in opened.iter_batches(use_threads=False):
            parts.append(batch.slice(0, SAMPLE - rows))
            rows += parts[-1].num_rows
            if rows == SAMPLE:
                break
        frame: pd.DataFrame = pa.Table.from_batches(parts).to_pandas()
        return frame


def look(loop: Loop, root: Path, folder: Path, now: datetime) -> Looked:
    """Read the source and hold it against the contract, in files of `folder`. Raises DataError as a run would."""
    valid, aside = folder / "valid.parquet", folder / "set_aside.parquet"
    taken = snapshots.take(joins.batches(loop, root), loop, folder / "snapshot", now)
    outcome = gone_through(loop, taken.snapshot.path, valid, aside, now)
    return Looked(outcome, valid, aside)
