"""A small table with every kind of column, and models trained on it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopwright.loop import Column
from loopwright.models import bundle, columns, features, fit

FEATURES = """
import numpy as np

def features(columns):
    tenure = columns["tenure"]
    return {**columns, "per_month": columns["charges"] / np.maximum(tenure, 1.0)}
"""
CONTRACT = {
    "plan": Column(type="string"),
    "tenure": Column(type="integer"),
    "charges": Column(type="number", missing=0.1),
    "senior": Column(type="boolean"),
}


@pytest.fixture(scope="session")
def inputs() -> tuple[columns.InputSpec, ...]:
    return columns.specs(CONTRACT)


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(3)
    rows = 600
    frame = pd.DataFrame(
        {
            "customer": [f"c{row}" for row in range(rows)],
            "plan": random.choice(["basic", "plus", "pro"], rows),
            "tenure": random.integers(0, 72, rows),
            "charges": random.normal(60, 20, rows),
            "senior": random.random(rows) < 0.2,
        }
    )
    score = (frame["plan"] == "basic") * 2 - frame["tenure"] / 30 + random.normal(0, 0.5, rows)
    frame["churned"] = np.where(score > 0, "Yes", "No")
    frame.loc[random.random(rows) < 0.05, "charges"] = np.nan
    frame.loc[random.random(rows) < 0.05, "plan"] = None
    return frame


@pytest.fixture(scope="session")
def raw(frame: pd.DataFrame, inputs: tuple[columns.InputSpec, ...]) -> columns.Columns:
    return columns.from_frame(inputs, frame, ignored=("customer", "churned"))


@pytest.fixture(scope="session")
def make_bundle(
    tmp_path_factory: pytest.TempPathFactory,
    frame: pd.DataFrame,
    raw: columns.Columns,
    inputs: tuple[columns.InputSpec, ...],
) -> Callable[..., tuple[Path, str, fit.Fitted]]:
    """Train an estimator and write its bundle: the folder, its digest and what was fitted."""

    def make(estimator: str = "lightgbm", task: str = "classification") -> tuple[Path, str, fit.Fitted]:
        seen = features.load(FEATURES)(raw)
        specs = features.fit_spec(seen)
        labels = (frame["churned"] == "Yes").to_numpy(float)
        target = labels if task == "classification" else labels * 10 + raw["tenure"]
        parameters = {"n_estimators": 20} if estimator in ("lightgbm", "random_forest") else {}
        matrix = features.encode(specs, seen)
        fitted = fit.fit(task, estimator, parameters, 7, matrix, specs, target)
        manifest = bundle.Manifest(
            loop="churn",
            task=task,
            estimator=estimator,
            classes=("No", "Yes") if task == "classification" else (),
            inputs=inputs,
            features=specs,
            ignored=("customer", "churned"),
        )
        folder = tmp_path_factory.mktemp("bundle") / "model"
        contents = {
            **fitted.dump(),
            "features.py": FEATURES.encode(),
            "profile.json": b"{}",
            "input_example.json": json.dumps(columns.to_rows(raw, 3)).encode(),
        }
        return folder, bundle.write(folder, manifest, contents), fitted

    return make


@pytest.fixture(scope="session")
def trained(make_bundle: Callable[..., tuple[Path, str, fit.Fitted]]) -> tuple[Path, str, fit.Fitted]:
    return make_bundle()
