"""Part the valid rows into those that train a model and those that judge it.

Held are a byte a row, and of the columns one at a time; rows are written batch by batch.
"""

from pathlib import Path
from typing import Any

from loopwright.data import parting, splits
from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.steps import leakage


def split(loop: Loop, valid: Path, training: Path, holdout: Path) -> dict[str, Any]:
    """Write training and holdout rows as Parquet. Raises DataError when a part would be too small, or
    where `data.leakage` says so when the rows tell what the model will not know.
    """
    import pyarrow.parquet as pq

    judged = parting.judging(valid, loop)
    parts = parting.Rows(valid, ~judged), parting.Rows(valid, judged)
    labels = pq.read_table(valid, columns=[loop.data.label.column]).to_pandas(ignore_metadata=True)
    found = leakage.leaks(loop, *parts, splits.classes(labels, loop))
    if found and loop.data.leakage.policy == "fail":
        raise DataError("the data leaks: " + "; ".join(map(str, found)))
    parting.write(valid, judged, training, holdout)
    told = {"leaks": leakage.facts(found)} if found else {}
    return {"training": len(parts[0]), "holdout": len(parts[1]), "by": loop.data.holdout.by, **told}
