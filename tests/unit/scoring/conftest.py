"""A model of the small loop, as a bundle with a profile, and rows to score."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from loopwright import declaration
from loopwright.loop import Loop
from loopwright.models import bundle, columns, features, fit
from loopwright.scoring.job import Job
from loopwright.statistics.profile import Profile

FEATURES = """
def features(columns):
    return {**columns, "young": (columns["age"] < 30).astype(float)}
"""
ROWS = 5_000


@pytest.fixture(scope="session")
def loop(small_declaration: str) -> Loop:
    return declaration.parse(small_declaration)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, loop: Loop) -> tuple[Path, str]:
    """A bundle's folder and digest."""
    random = np.random.default_rng(5)
    inputs = columns.specs(loop.inputs)
    plan = random.choice(["basic", "premium"], 2_000).astype(object)
    raw = {"age": random.integers(18, 90, 2_000).astype(float), "spend": random.gamma(2, 20, 2_000), "plan": plan}
    raw["spend"][:50] = np.nan
    target = (raw["age"] + 20 * (plan == "basic") + random.normal(0, 20, 2_000) > 60).astype(float)
    seen = features.load(FEATURES)(raw)
    specs = features.fit_spec(seen)
    matrix = features.encode(specs, seen)
    fitted = fit.fit("classification", "lightgbm", {"n_estimators": 20}, 7, matrix, specs, target)
    kinds = {spec.name: spec.kind for spec in inputs}
    predicted = fitted.estimator.predict(matrix)
    profile = Profile.build("small", "classification", ("No", "Yes"), raw, kinds, predicted)
    manifest = bundle.Manifest(
        loop="small", task="classification", estimator="lightgbm", classes=("No", "Yes"), inputs=inputs,
        features=specs, ignored=("customer", "seen", "left"),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("bundles") / "one"
    content = {**fitted.dump(), features.FILE: FEATURES.encode(), bundle.PROFILE: profile.to_json().encode()}
    return folder, bundle.write(folder, manifest, content)


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """Rows to score; four of them break the contract: 10, 11, 12 and 13."""
    random = np.random.default_rng(9)
    made = pd.DataFrame(
        {
            "customer": [f"c{number}" for number in range(ROWS)],
            "age": random.integers(18, 90, ROWS).astype(float),
            "spend": random.gamma(2, 20, ROWS).round(2),
            "plan": random.choice(["basic", "premium"], ROWS),
            "not_asked_for": 1,
        }
    )
    made.loc[::40, "spend"] = np.nan
    made.loc[10, "age"], made.loc[11, "plan"], made.loc[12, "spend"], made.loc[13, "age"] = 200, "gold", -1, np.nan
    return made


@pytest.fixture
def parquet(tmp_path: Path, frame: pd.DataFrame) -> Path:
    """The rows in five row groups."""
    path = tmp_path / "in.parquet"
    frame.to_parquet(path, index=False, row_group_size=1_000)
    return path


@pytest.fixture
def job(tmp_path: Path, loop: Loop, trained: tuple[Path, str]) -> Job:
    """A job into a new folder, with 1,000 rows a partition."""
    folder, digest = trained
    return Job(loop, folder, digest, 7, str(tmp_path / "out"), "customer", part_rows=1_000)


def record(**columns: object) -> pa.RecordBatch:
    """A batch of these columns."""
    return pa.RecordBatch.from_pydict({name: pa.array(values) for name, values in columns.items()})
