"""What was asked and answered, from the archive: the rows of a window, or a random sample where they are many.

What compares windows row by row needs some tens of thousands of them, not all that a month holds.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from loopwright import archive
from loopwright.archive import reader
from loopwright.archive.layout import ID, VERSION
from loopwright.archive.store import opened
from loopwright.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 100_000
SEED = 7


def of_entities(frame: "pd.DataFrame", entity: str, known: "pd.DataFrame | None") -> "pd.DataFrame":
    """Archived events with the column `entity`, which they do not hold themselves.

    `known` has `prediction_id` and `entity`, as the caller knows them, and a prediction that is not among them has
    none; without `known` the id itself is the entity (`X-Request-Id: C-1042`).
    """
    if known is None:
        return frame.assign(**{entity: frame[ID]})
    known = known.assign(**{ID: known[ID].astype(str)}).drop_duplicates(ID, keep="last")
    return frame.merge(known[[ID, entity]], on=ID, how="left")


def served(
    url: str,
    loop: str,
    version: str | None,
    start: datetime,
    end: datetime,
    columns: Sequence[str] | None = None,
    *,
    most: int = MOST_ROWS,
) -> "pd.DataFrame":
    """Archived events of a window, the newest of each id and version, oldest first; about `most` of them.

    The columns are those that all of its events have: an input that is redacted, or that another version does not
    take, is not among them. Raises DataError when there are no events, or the archive cannot be read.
    """
    import numpy as np
    import pandas as pd

    store = opened(url)
    rows = sum(reader.count(store, loop=loop, version=version, start=start, end=end).values())
    if not rows:
        raise DataError(
            f"there are no archived events of {loop} in the window",
            expected="predictions that were received in it",
            do="see `loopwright events list` for what there is",
        )
    rng, frames = np.random.default_rng(SEED), []
    for batch in archive.read(url, loop=loop, version=version, start=start, end=end, columns=columns):
        frame = batch.to_pandas()
        if rows > most:
            frame = frame[rng.random(len(frame)) < most / rows]
        frames.append(frame)
    found: pd.DataFrame = pd.concat(frames, ignore_index=True, join="inner")
    keys = [name for name in (VERSION, ID) if name in found]
    return found.drop_duplicates(keys, keep="last").reset_index(drop=True) if keys else found
