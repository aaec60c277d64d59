"""One LightGBM model in every form that a server wants, with the rows that it is asked for.

It is written once into a work folder; the seed is fixed, so that a run that is continued has the same.
"""

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

TREES, FEATURES, LEAVES, TRAINING_ROWS = 100, 20, 31, 20_000
NAMES = [f"f{at:02}" for at in range(FEATURES)]
NAME = "bench"
# One row, and what a batch job sends at a time.
SIZES = (1, 1000)
_POOL = {1: 64, 1000: 4}


@dataclass(frozen=True)
class Made:
    """The folder with the model's forms; matrices by rows a request, (requests, rows, features); their predictions."""

    folder: Path
    matrices: dict[int, Any]
    expected: dict[int, Any]


def make(folder: Path) -> Made:
    """Train the model unless the folder has it, and say what it predicts for the requests' rows."""
    import lightgbm

    if not (folder / "made").exists():
        _train(folder)
    booster = lightgbm.Booster(model_file=str(folder / "kserve" / "model.bst"))
    random = np.random.default_rng(11)
    matrices = {rows: random.normal(size=(count, rows, FEATURES)).round(6) for rows, count in _POOL.items()}
    expected = {
        rows: np.stack([booster.predict(one, num_threads=1) for one in many]) for rows, many in matrices.items()
    }
    return Made(folder, matrices, expected)


def _train(folder: Path) -> None:
    import lightgbm

    random = np.random.default_rng(7)
    matrix = random.normal(size=(TRAINING_ROWS, FEATURES))
    score = matrix @ random.normal(size=FEATURES) + matrix[:, 0] * matrix[:, 1]
    label = (score + random.normal(size=TRAINING_ROWS) > 0).astype(float)
    parameters = {"objective": "binary", "num_leaves": LEAVES, "seed": 7, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, label), num_boost_round=TREES)
    text = booster.model_to_string()
    for server in ("kserve", "mlserver", "bentoml"):
        (folder / server).mkdir(parents=True, exist_ok=True)
        (folder / server / "model.bst").write_text(text)
    _for_mlserver(folder / "mlserver")
    _for_mlflow(folder / "mlflow", booster)
    _for_loopwright(folder / "loopwright", text, matrix, booster.predict(matrix))
    (folder / "made").touch()


def _for_mlserver(folder: Path) -> None:
    settings = {
        "name": NAME,
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": "./model.bst", "version": "1"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))


def _for_mlflow(folder: Path, booster: Any) -> None:
    """A model as `mlflow.lightgbm.save_model` writes it, in a folder that is not there yet."""
    import mlflow.lightgbm

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.lightgbm.save_model(booster, str(folder), pip_requirements=["lightgbm"])


def _for_loopwright(folder: Path, text: str, matrix: Any, predictions: Any) -> None:
    """A bundle, and the declaration as JSON that the monitor reads."""
    from loopwright import declaration
    from loopwright.models import bundle, columns, features
    from loopwright.statistics.profile import Profile

    loop = declaration.parse(
        yaml.safe_dump(
            {
                "apiVersion": "loopwright/v1",
                "kind": "Loop",
                "metadata": {"name": NAME},
                "data": {
                    "source": "rows.csv",
                    "label": {"column": "label"},
                    "contract": {name: {"type": "number"} for name in NAMES},
                },
                "model": {"task": "classification"},
            }
        )
    )
    raw = dict(zip(NAMES, matrix.T, strict=True))
    inputs = columns.specs(loop.inputs)
    kinds = {spec.name: spec.kind for spec in inputs}
    manifest = bundle.Manifest(
        loop=NAME,
        task="classification",
        estimator="lightgbm",
        classes=("No", "Yes"),
        inputs=inputs,
        features=features.fit_spec(raw),
    )
    profile = Profile.build(NAME, "classification", ["No", "Yes"], raw, kinds, predictions).to_json()
    digest = bundle.write(
        folder / "bundle", manifest, {bundle.LIGHTGBM: text.encode(), bundle.PROFILE: profile.encode()}
    )
    (folder / "digest").write_text(digest)
    (folder / "loop.json").write_text(loop.to_json())


if __name__ == "__main__":
    make(Path(sys.argv[1]))
