"""What the registry is told of a judged model."""

from types import SimpleNamespace

import pandas as pd
import pytest

from loopwright.files import write_json
from loopwright.steps import pods
from loopwright.steps.recording import Step
from loopwright.steps.train import train


class Registry:
    """Stands in for the registry: it keeps what it is given."""

    def __init__(self, settings=None):
        self.given = None

    def versions(self, name):
        return []

    def register(self, name, submission):
        self.given = submission
        return 1


@pytest.mark.parametrize(("run", "rate"), [("small-1", 0.2), ("another", 0.1)])
def test_a_version_has_the_parameters_that_it_was_trained_with(small, small_rows, tmp_path, monkeypatch, run, rate):
    parameters = {"learning_rate": 0.1, "num_iterations": 5}
    loop = small.model_copy(update={"model": small.model.model_copy(update={"parameters": parameters})})
    rows = small_rows.assign(age=small_rows["age"].astype(int), spend=pd.to_numeric(small_rows["spend"]))
    rows.iloc[:300].to_parquet(tmp_path / "training.parquet")
    train(loop, "", tmp_path / "training.parquet", tmp_path / "training.parquet", tmp_path / "model")
    write_json(tmp_path / "evaluation.json", {"metrics": {}, "passed": True})
    write_json(tmp_path / "snapshot.json", {"id": "abc"})
    registry = Registry()
    monkeypatch.setattr(pods, "Registry", lambda settings: registry)
    names = {pods.MODEL: "model", pods.EVALUATION: "evaluation.json", pods.TRAINING: "training.parquet"}
    place = SimpleNamespace(inputs=lambda *asked: [tmp_path / names.get(one, "snapshot.json") for one in asked])
    trained = {"run": run, "search": {"parameters": {"learning_rate": 0.2}}, "trees": 5}
    step = SimpleNamespace(
        loop=loop, settings=None, run="small-1", before=lambda kind: trained, recorded=lambda *asked: False, facts=None
    )
    step.told = lambda kind: Step.told(step, kind)
    pods._register(SimpleNamespace(place=place, run="small-1", version=0), step, 7)
    assert step.facts["version"] == 1
    assert registry.given.parameters["learning_rate"] == rate
    assert registry.given.parameters["num_iterations"] == 5
    assert ("trees" in registry.given.parameters) == (run == "small-1")
