"""attributions and estimate at the command line: a trained version, and the archived predictions of another market."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.archive.layout import Key
from loopwright.cli import attributions as module
from loopwright.cli.attributions import attributions
from loopwright.cli.estimate import estimate
from loopwright.declaration import load
from loopwright.errors import DataError, LimitError, RegistryError
from loopwright.models import bundle
from loopwright.steps.train import train

DECLARATION = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: demand}
data:
  source: rows.csv
  label: {column: sold}
  contract: {price: {type: number}, size: {type: number}, shop: {values: [a, b]}}
model: {task: regression, parameters: {num_iterations: 40}}
monitor: {archive: {url: kept}}
"""
FIRST = datetime(2026, 4, 1, 9, tzinfo=UTC)


def draw(rng, n, spread=1.0):
    """Rows whose label depends on price and size, and is known badly for what is large."""
    frame = pd.DataFrame(
        {
            "price": rng.normal(size=n) * spread,
            "size": rng.uniform(0, 2, n),
            "shop": rng.choice(["a", "b"], n).astype(object),
        }
    )
    return frame.assign(sold=3 * frame["price"] + frame["size"] + rng.normal(size=n) * np.exp(frame["size"]))


def archive(folder, version, frame):
    """Put the inputs of a frame and predictions of nothing into the archive, a row each second."""
    times = pa.array([FIRST + timedelta(seconds=number) for number in range(len(frame))], pa.timestamp("us", tz="UTC"))
    table = pa.table(
        {
            "prediction_id": [f"{version}-{number}" for number in range(len(frame))],
            "received_at": times,
            "prediction": 3 * frame["price"] + frame["size"],
            **{name: pa.array(frame[name]) for name in frame if name != "sold"},
        }
    )
    path = folder / ".loopwright" / "kept" / Key.new("demand", version, FIRST, len(frame)).path
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The bundle of a version."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "loop.yaml").write_text(DECLARATION)
    rng = np.random.default_rng(1)
    for name, rows in (("training", 1500), ("holdout", 1500)):
        draw(rng, rows).to_parquet(folder / f"{name}.parquet")
    train(load(folder), "", folder / "training.parquet", folder / "holdout.parquet", folder / "model")
    return folder / "model"


@pytest.fixture
def folder(tmp_path, trained, monkeypatch):
    """The loop, whose registry has that bundle only."""
    monkeypatch.delenv("LOOPWRIGHT_STATE", raising=False)
    monkeypatch.delenv("LOOPWRIGHT_PUSHGATEWAY_URL", raising=False)
    for place in ("loopwright.cli.attributions.fetched", "loopwright.cli.estimate.fetched"):
        monkeypatch.setattr(place, lambda context, version: bundle.read(trained))
    (tmp_path / "loop.yaml").write_text(DECLARATION)
    return tmp_path


def answer(capsys, command, *arguments):
    code = command.main([str(one) for one in arguments], standalone_mode=False)
    return code, capsys.readouterr().out


def test_predictions_that_rest_on_the_same_features_are_no_drift(folder, capsys):
    archive(folder, "3", draw(np.random.default_rng(2), 1200))
    archive(folder, "4", draw(np.random.default_rng(3), 10))
    code, text = answer(capsys, attributions, folder, "--json")
    found = json.loads(text)
    assert (code, found["version"], found["rows"], found["reference_rows"]) == (0, "3", 1200, 1500)
    assert not any(one["drifted"] for one in found["features"])
    assert found["ndcg"] > 0.95
    assert "version 3: 1,200 predictions beside 1,500 held-out rows" in answer(capsys, attributions, folder)[1]
    with pytest.raises(DataError, match="there are 10 predictions in the window"):
        answer(capsys, attributions, folder, "--version", "4")


def test_a_feature_that_predictions_rest_on_more_is_told_with_an_exit_code(folder, capsys):
    archive(folder, "3", draw(np.random.default_rng(2), 1200, spread=2.0))
    # Twenty minutes are a small part of 90 days, so only what is very sure is told.
    code, text = answer(capsys, attributions, folder, "--json")
    found = json.loads(text)
    assert (code, found["exit_code"], found["features"][0]["feature"]) == (12, 12, "price")
    assert found["level"] < 0.001
    with pytest.raises(LimitError, match="rest on other features than in training: price"):
        answer(capsys, attributions, folder, "--top", "1")
    assert "size" not in capsys.readouterr().out


def test_errors_of_predictions_without_labels_are_estimated(folder, capsys):
    calm, harder = (draw(np.random.default_rng(seed), 1500) for seed in (4, 5))
    harder["size"] = 1 + harder["size"] / 2
    archive(folder, "3", calm)
    before = json.loads(answer(capsys, estimate, folder, "--json")[1])
    archive(folder, "5", harder)
    after = json.loads(answer(capsys, estimate, folder, "--version", "5", "--json")[1])
    assert (before["version"], before["rows"], after["version"]) == ("3", 1500, "5")
    for metric in ("mae", "rmse"):
        assert after["metrics"][metric]["value"] > 1.2 * before["metrics"][metric]["value"]
        assert before["metrics"][metric]["low"] < before["metrics"][metric]["value"] < before["metrics"][metric]["high"]
    # Of what is drawn: the root of the mean of exp(2 size).
    assert before["metrics"]["rmse"]["value"] == pytest.approx(np.sqrt(np.exp(2 * calm["size"]).mean()), rel=0.2)
    assert "1,500 predictions, without their labels" in answer(capsys, estimate, folder)[1]


def test_what_cannot_be_said_says_why(folder, capsys, monkeypatch, churn_declaration):
    archive(folder, "3", draw(np.random.default_rng(2), 600).drop(columns="shop"))
    for command in (attributions, estimate):
        with pytest.raises(DataError, match="no archived events of demand"):
            answer(capsys, command, folder, "--end", "2026-01-01")
    with pytest.raises(DataError, match="the events hold no shop, which the model needs"):
        answer(capsys, attributions, folder)
    monkeypatch.undo()
    monkeypatch.delenv("LOOPWRIGHT_STATE", raising=False)
    with pytest.raises(RegistryError, match="v3 is no version of the registry"):
        module.fetched(None, "v3")
    (folder / "loop.yaml").write_text(churn_declaration)
    with pytest.raises(DataError, match="churn is a classification"):
        answer(capsys, estimate, folder)
