"""Part the valid rows into those that train a model and those that judge it."""

from pathlib import Path
from typing import Any

from loopwright.data import splits
from loopwright.loop import Loop


def split(loop: Loop, valid: Path, training: Path, holdout: Path) -> dict[str, Any]:
    """Write training and holdout rows as Parquet. Raises DataError when a part would be too small."""
    import pandas as pd

    parts = splits.split(pd.read_parquet(valid), loop)
    for part, path in zip(parts, (training, holdout), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(path, index=False)
    return {"training": len(parts[0]), "holdout": len(parts[1]), "by": loop.data.holdout.by}
