"""The registry in a real PostgreSQL: what is read from its tables is what MLflow says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.integration.postgresql import Server

from loopwright import settings
from loopwright.registry import Registry, Submission
from loopwright.registry.tables import Tables


@pytest.mark.slow
@pytest.mark.long
def test_versions_are_read_from_postgresql_as_mlflow_tells_them(
    postgresql: Callable[[], Server], tmp_path: Path
) -> None:
    bundle = tmp_path / "model"
    bundle.mkdir()
    (bundle / "model.json").write_text("{}")
    place = settings.read(tmp_path, {"LOOPWRIGHT_REGISTRY_URI": postgresql().url})
    registry = Registry(place)
    assert registry.versions("churn") == []
    for run in ("one", "two"):
        example, output = pd.DataFrame({"tenure": [1.0]}), np.array([0.5])
        tags = {"run": run, "approval": "approved"}
        judged = Submission(
            bundle, run, {"threshold": 0.5}, {"seed": 7}, {"f1": 0.5}, tags, "ab", True, example, output
        )
        registry.register("churn", judged)
    registry.promote("churn", 1)

    by_mlflow = Registry(place)
    by_mlflow._tables = Tables("http://a.server")
    read = Tables(place.registry_uri).versions("churn")
    assert read is not None
    assert [version.aliases for version in read] == [("champion",), ("challenger",)]
    assert [replace(version, location="") for version in read] == by_mlflow.versions("churn")
    assert registry.fetch("churn", read[0]) == by_mlflow.fetch("churn", read[0])
    assert registry.fetch("churn", read[0]).is_relative_to(place.artifacts)
    assert registry.evaluation("churn", 2) == {"threshold": 0.5}
