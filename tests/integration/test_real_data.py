"""The product on real data: no edits but what `check` asks for, and figures that hold."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loopwright import declaration, settings
from loopwright.data import contract, sources, splits
from loopwright.loop import Loop
from loopwright.registry import Registry
from loopwright.statistics import metrics
from loopwright.steps.evaluate import target
from loopwright.steps.train import train

from .conftest import Command


def declare(folder: Path, data: Path, label: str) -> tuple[Command, Path]:
    command = Command(folder)
    result = command("init", "real", "--data", str(data), "--label", label)
    assert result.returncode == 0, result.stderr
    return command, folder / "real"


def scored(loop: Loop, valid: pd.DataFrame, folder: Path) -> tuple[float, str]:
    """The ROC AUC on the holdout and the bundle's digest."""
    from loopwright.models import model
    from loopwright.models.columns import from_frame

    training, holdout = splits.split(valid, loop)
    folder.mkdir()
    training.to_parquet(folder / "training.parquet")
    holdout.to_parquet(folder / "holdout.parquet")
    facts = train(loop, "", folder / "training.parquet", folder / "holdout.parquet", folder / "model")
    loaded = model.load(folder / "model", facts["digest"])
    predicted = loaded.predict(from_frame(loaded.inputs, holdout[[spec.name for spec in loaded.inputs]]))
    truth = target(loop, holdout, loaded.classes)
    return metrics.classification(truth, predicted)["roc_auc"], facts["digest"]


@pytest.mark.long
def test_churn_reaches_its_auc_over_five_seeds_and_the_same_twice(real_data: Path, tmp_path: Path) -> None:
    command, folder = declare(tmp_path, real_data / "churn.csv", "Churn")
    checked = command("check", "real")
    assert checked.returncode == 0, checked.stderr
    assert "TotalCharges: 11 of 7,043 values (0.16%) are blank and read as missing" in checked.stdout
    loop = declaration.load(folder)
    valid = contract.check(sources.read(loop.data.source, folder), loop).valid
    seeded = [loop.model_copy(update={"model": loop.model.model_copy(update={"seed": seed})}) for seed in range(5)]
    found = [scored(one, valid, tmp_path / f"seed{at}") for at, one in enumerate(seeded)]
    assert np.mean([auc for auc, _ in found]) >= 0.84
    assert scored(seeded[0], valid, tmp_path / "again") == found[0]


@pytest.mark.long
def test_serve_answers_the_files_own_rows_as_mlflows_loaded_model_does(
    real_data: Path, tmp_path: Path, until: Callable[..., Any], ending: Callable[..., str]
) -> None:
    import httpx
    import mlflow

    command, folder = declare(tmp_path, real_data / "churn.csv", "Churn")
    answer = command.json("run", "real")
    assert answer["metrics"]["roc_auc"] > 0.82
    loop = declaration.load(folder)
    frame = contract.check(sources.read(loop.data.source, folder), loop).valid
    inputs = frame[list(loop.inputs)]
    blank = inputs["TotalCharges"].isna()
    some = pd.concat([inputs[blank], inputs[~blank].head(500)])

    state = settings.read(folder, {})
    mlflow.set_tracking_uri(state.registry_uri)
    expected = mlflow.pyfunc.load_model("models:/real/1").predict(some)
    version = Registry(state).get("real", 1)
    assert Registry(state).fetch("real", version).is_dir()

    port, grpc = free_ports(2)
    process = command.start("serve", "real", "--http-port", str(port), "--grpc-port", str(grpc))
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(trust_env=False) as client:
            until(lambda: ready(client, f"{url}/v2/models/real/ready", process), "the predictor is ready")
            rows = json.loads(some.to_json(orient="records"))
            answered = client.post(f"{url}/v1/models/real:predict", json={"instances": rows}).json()
    finally:
        output = ending(process)
    assert process.returncode == 0, output
    assert "V1    http://127.0.0.1:" in output
    probabilities = [one["probabilities"]["Yes"] for one in answered["predictions"]]
    assert np.abs(np.array(probabilities) - expected).max() <= 1e-12


@pytest.mark.long
def test_bike_hire_is_a_regression_split_by_time(real_data: Path, tmp_path: Path) -> None:
    command, folder = declare(tmp_path, real_data / "bike.csv", "cnt")
    loop = declaration.load(folder)
    assert (loop.model.task, loop.data.timestamp, loop.data.holdout.by) == ("regression", "dteday", "time")
    answer = command.json("run", "real")
    assert answer["version"] == 1
    assert set(answer["metrics"]) == {"rmse", "mae", "r2"}
    assert answer["metrics"]["r2"] > 0.7


def free_ports(count: int) -> list[int]:
    from loopwright.local import ports

    return ports.free(count)


def ready(client: Any, url: str, process: "subprocess.Popen[str]") -> bool:
    import httpx

    assert process.poll() is None, process.communicate()[0]
    try:
        return bool(client.get(url).is_success)
    except httpx.HTTPError:
        return False
