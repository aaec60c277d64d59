"""Simulated rows and their loop: half numbers, half categories, and a label that follows from both."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from loopwright import declaration
from loopwright.loop import Loop

if TYPE_CHECKING:
    import pandas as pd

PLANS = np.array(["basic", "plus", "premium", "trial"], dtype=object)
SEED = 20_266


def names(features: int) -> list[str]:
    """n0, c1, n2, c3, ...: numbers and categories in turn."""
    return [f"{'nc'[number % 2]}{number}" for number in range(features)]


def columns(rng: np.random.Generator, rows: int, features: int) -> dict[str, Any]:
    """Every column, (rows,)."""
    return {name: rng.normal(size=rows) if name[0] == "n" else rng.choice(PLANS, rows) for name in names(features)}


def frame(rows: int, features: int) -> "pd.DataFrame":
    """The training data: an id, the features and the label."""
    import pandas as pd

    rng = np.random.default_rng([SEED, rows, features])
    found = columns(rng, rows, features)
    known = list(found)[:6]
    score = sum(found[name] if name[0] == "n" else 0.8 * (found[name] == "plus").astype(np.float64) for name in known)
    label = np.where(rng.random(rows) < 1 / (1 + np.exp(-score)), "yes", "no")
    return pd.DataFrame({"id": [f"c{number}" for number in range(rows)], **found, "label": label})


def loop(features: int, folder: Path | None = None, name: str = "scale") -> Loop:
    """The declaration; written into the folder, where one is given."""
    contract = {name: {"type": "number"} if name[0] == "n" else {"values": PLANS.tolist()} for name in names(features)}
    content = {
        "apiVersion": "loopwright/v1",
        "kind": "Loop",
        "metadata": {"name": name},
        "data": {"source": "rows.parquet", "entity": "id", "label": {"column": "label"}, "contract": contract},
        "model": {"task": "classification"},
        "monitor": {"window": "1h"},
        "retrain": {"on": ["drift"]},
    }
    text = yaml.safe_dump(content, sort_keys=False)
    if folder is not None:
        (folder / "loop.yaml").write_text(text)
    return declaration.parse(text)
