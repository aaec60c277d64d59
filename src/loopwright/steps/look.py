"""What a run would find in its data, up to the split, on a copy that is thrown away: for who asks before a run does.

    source -> snapshot -> contract -> valid rows, rows set aside -> the run's own split and its signs of leakage

Snapshot and contract are the run's own, batch by batch, and so is the split, of whose columns one is held at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from loopwright.data import joins, parting, snapshots
from loopwright.data.outcome import Outcome
from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.scale import parts
from loopwright.steps.validate import gone_through

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Looked:
    """What the contract said, and the files of the rows, in the folder that was given."""

    outcome: Outcome
    valid: Path
    set_aside: Path

    def some(self, loop: Loop, rows: int) -> "pd.DataFrame":
        """So many valid rows with the contract's types: the first of each class, or of all in a regression."""
        import numpy as np
        import pandas as pd

        label, file = loop.data.label.column, parts.parts(self.valid)
        labels = parting.column(self.valid, label).to_frame()
        first = labels if loop.model.task == "regression" else labels.groupby(label)
        places = np.sort(first.head(rows).index.to_numpy())
        return pd.concat([frame for _, frame in parts.at(file, places)], ignore_index=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for `look` that is gone afterwards. Raises DataError when none can be made."""
    try:
        made = TemporaryDirectory(prefix="loopwright-check-")
    except OSError as error:
        raise _no_room(error) from error
    with made as folder:
        yield Path(folder)


def look(loop: Loop, root: Path, folder: Path, now: datetime) -> Looked:
    """Read the source and hold it against the contract, in files of `folder`.

    Raises DataError as a run would, and where the folder has no room for them.
    """
    valid, aside = folder / "valid.parquet", folder / "set_aside.parquet"
    try:
        taken = snapshots.take(joins.batches(loop, root), loop, folder / "snapshot", now)
        outcome = gone_through(loop, taken.snapshot.path, valid, aside, now)
    except DataError as error:
        # A run's own words for it name the state folder.
        if isinstance(error.__cause__, OSError) and str(folder) in error.found:
            raise _no_room(error.__cause__) from error
        raise
    except OSError as error:
        raise _no_room(error) from error
    return Looked(outcome, valid, aside)


def _no_room(error: OSError) -> DataError:
    return DataError(
        f"the rows cannot be written to a temporary folder: {error.strerror or error}",
        expected="room for about 3 copies of the data in TMPDIR",
        do="set TMPDIR to a folder with room",
    )
