"""Part the valid rows into those that train a model and those that judge it."""

from pathlib import Path
from typing import Any

from loopwright.data import splits
from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.steps import leakage


def split(loop: Loop, valid: Path, training: Path, holdout: Path) -> dict[str, Any]:
    """Write training and holdout rows as Parquet. Raises DataError when a part would be too small, or
    where `data.leakage` says so when the rows tell what the model will not know.
    """
    import pandas as pd

    rows = pd.read_parquet(valid)
    parts = splits.split(rows, loop)
    found = leakage.leaks(loop, *parts, splits.classes(rows, loop))
    if found and loop.data.leakage.policy == "fail":
        raise DataError("the data leaks: " + "; ".join(map(str, found)))
    for part, path in zip(parts, (training, holdout), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(path, index=False)
    told = {"leaks": leakage.facts(found)} if found else {}
    return {"training": len(parts[0]), "holdout": len(parts[1]), "by": loop.data.holdout.by, **told}
