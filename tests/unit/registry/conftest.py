from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopwright import settings
from loopwright.registry import Registry, Submission
from loopwright.settings import Settings


@pytest.fixture(scope="session")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Submission]:
    """A judged model; its bundle is a file, as the registry only keeps it."""
    bundle = tmp_path_factory.mktemp("bundle") / "model"
    bundle.mkdir()
    (bundle / "model.json").write_text("{}")

    def make(run: str, passed: bool = True) -> Submission:
        return Submission(
            bundle=bundle,
            digest=f"digest of {run}",
            evaluation={"metrics": {"roc_auc": 0.9}, "threshold": 0.4},
            parameters={"estimator": "lightgbm", "seed": 7},
            metrics={"roc_auc": 0.9, "f1": 0.5},
            tags={"run": run, "entry": "12", "approval": "waiting"},
            snapshot="ab" * 32,
            passed=passed,
            example=pd.DataFrame({"tenure": [1.0, 2.0], "plan": ["basic", "pro"]}),
            output=np.array([0.1, 0.9]),
        )

    return make


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings.read(tmp_path_factory.mktemp("a loop"), {})


@pytest.fixture(scope="session")
def registry(place: Settings, submitted: Callable[..., Submission]) -> Registry:
    """Three versions in MLflow, the first of them the champion; one model that did not pass; one version deleted."""
    Path(place.state).mkdir(parents=True, exist_ok=True)
    made = Registry(place)
    assert [made.register("churn", submitted(run)) for run in ("one", "two", "three")] == [1, 2, 3]
    assert made.register("churn", submitted("four", passed=False)) is None
    made.promote("churn", 1)
    made.tag("churn", 2, "archived", "2026-11-21")
    with made.connected() as client:
        client.delete_model_version("churn", "2")
    return made
