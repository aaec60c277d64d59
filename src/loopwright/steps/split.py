"""Part the valid rows into those that train a model and those that judge it.

Held are a byte a row, and of the columns one at a time; rows are written batch by batch.
"""

from pathlib import Path
from typing import Any

from loopwright.data import parting, splits
from loopwright.loop import Loop
from loopwright.steps import leakage


def split(loop: Loop, valid: Path, training: Path, holdout: Path) -> dict[str, Any]:
    """Write training and holdout rows as Parquet. Raises DataError when a part would be too small, or
    where `data.leakage` says so when the rows tell what the model will not know.
    """
    judged, found = parted(loop, valid)
    leakage.require_allowed(found, loop)
    parting.write(valid, judged, training, holdout)
    told = {"leaks": leakage.facts(found)} if found else {}
    return {"training": int((~judged).sum()), "holdout": int(judged.sum()), "by": loop.data.holdout.by, **told}


def parted(loop: Loop, valid: Path) -> tuple[parting.Mask, list[leakage.Leak]]:
    """Which of the valid rows judge (n,), and the signs of leakage between the two parts.

    Raises DataError when a part would be too small.
    """
    judged = parting.judging(valid, loop)
    with parting.opened(valid) as table:
        parts = parting.Rows(table, ~judged), parting.Rows(table, judged)
        labels = table[loop.data.label.column].to_frame()
        return judged, leakage.leaks(loop, *parts, splits.classes(labels, loop))
