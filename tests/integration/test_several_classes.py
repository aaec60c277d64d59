"""A loop of three classes from its data to a promoted version: init, runs, serving, labels and a shadow rollout."""

import json
from pathlib import Path

import httpx
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_wine

from loopwright.rollout.state import stored_token

from .conftest import Command, end, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.long]

NAMES = ["barolo", "grignolino", "barbera"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """scikit-learn's wines, each four times with some noise: one row each is too few to judge by."""
    import numpy as np

    data, random = load_wine(as_frame=True), np.random.default_rng(0)
    frame = data.data.rename(columns=lambda name: name.replace("/", "_"))
    spread = 0.35 * frame.std().to_numpy()
    noisy = [frame + random.normal(0, spread, frame.shape) for _ in range(4)]
    kinds = pd.Series(np.tile(np.array(NAMES)[data.target], 4), name="cultivar")
    return pd.concat([pd.concat(noisy, ignore_index=True).round(3), kinds], axis=1)


def test_three_classes_go_the_whole_way(tmp_path: Path, rows: pd.DataFrame) -> None:
    rows.to_csv(tmp_path / "wine.csv", index=False)
    root = Command(tmp_path)
    made = root("init", "wine", "--data", "wine.csv", "--label", "cultivar")
    assert made.returncode == 0, made.stderr
    file = tmp_path / "wine" / "loop.yaml"
    declared = yaml.safe_load(file.read_text())
    assert declared["data"]["label"]["classes"] == sorted(NAMES)
    # PyYAML takes the key `on` for a boolean.
    del declared["retrain"]
    declared["model"]["parameters"] = {"num_iterations": 40}
    declared["monitor"]["performance"] = {"metric": "f1_macro"}
    declared["rollout"] = {
        "strategy": "shadow", "steps": [100], "bake": "1s", "min_requests": 20,
        "analysis": {"error_rate": {"max": 0.01}, "prediction_shift": {"max": 0.9}, "disagreement": {"max": 0.5}},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(declared, sort_keys=False))
    loopwright = Command(tmp_path / "wine")
    first = loopwright("run")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "gate passed minimum roc_auc_ovr" in first.stdout
    cards = list((tmp_path / "wine" / ".loopwright").rglob("artifacts/card/model-card.html"))
    assert len(cards) == 1, "the card is logged with the version"
    assert "Each class against the rest" in cards[0].read_text()
    up = loopwright.start("up", "--port", "0", "--no-mlflow")
    try:
        _serve(loopwright, rows)
    finally:
        if up.poll() is None:
            end(up)
        loopwright.stop()


def _serve(loopwright: Command, rows: pd.DataFrame) -> None:
    """Version 1 answers and is measured by labels; version 2 is compared with it and promoted."""

    def status():
        path = loopwright.folder / ".loopwright" / "live" / "status.json"
        kinds = [entry["kind"] for entry in loopwright.json("history")]
        return json.loads(path.read_text()) if "started" in kinds else None

    urls = wait_for(status, "it is up")["endpoints"]
    taken = loopwright("rollout")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    names = [name for name in rows.columns if name != "cultivar"]
    with httpx.Client(base_url=urls["gateway"], trust_env=False, timeout=30) as client:

        def ask(number: int):
            row = rows.iloc[number % len(rows)]
            body = {"instances": [{name: row[name] for name in names}]}
            return client.post("/v1/models/wine:predict", json=body, headers={"X-Request-Id": f"w{number}"}).json()

        answers = [ask(number) for number in range(150)]
        decided = [one["predictions"][0]["class"] for one in answers]
        truth = rows["cultivar"].iloc[:150].tolist()
        right = sum(one == other for one, other in zip(decided, truth, strict=True))
        assert right > 130
        labels = [{"id": f"w{number}", "label": truth[number]} for number in range(150)]
        token = stored_token(loopwright.folder / ".loopwright" / "live")
        monitor = urls["monitor"]
        authorized = {"Authorization": f"Bearer {token}"}
        counted = 'loopwright_events_total{loop="wine",version="1"} 150'
        wait_for(lambda: counted in httpx.get(f"{monitor}/metrics", trust_env=False).text, "all events are counted")
        posted = httpx.post(f"{monitor}/v1/labels", json={"labels": labels}, headers=authorized, trust_env=False)
        assert posted.json()["joined"] == 150
        found = httpx.get(f"{monitor}/v1/performance", headers=authorized, trust_env=False).json()["versions"]["1"]
        assert found["metrics"]["accuracy"]["value"] == pytest.approx(right / 150)
        assert set(found["metrics"]) == {"accuracy", "balanced_accuracy", "f1_macro"} == set(found["reference"])

        second = loopwright("run")
        assert second.returncode == 0, second.stdout + second.stderr
        assert "champion roc_auc_ovr" in second.stdout
        rollout = loopwright.start("rollout")
        number = 1000
        while rollout.poll() is None:
            assert ask(number)["predictions"][0]["class"] in NAMES
            number += 1
        output, _ = rollout.communicate()
        assert rollout.returncode == 0, output
    promoted = [entry["facts"] for entry in loopwright.json("history") if entry["kind"] == "promoted"]
    assert promoted[-1]["version"] == 2
    compared = [
        entry["facts"]["evidence"]["disagreement"]
        for entry in loopwright.json("history")
        if entry["kind"] == "verdict" and "disagreement" in entry["facts"].get("evidence", {})
    ]
    assert compared[-1]["pairs"] >= 20
    assert compared[-1]["share"] < 0.5
