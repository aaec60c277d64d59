"""What the registry is told of a judged model."""

from contextlib import nullcontext
from types import SimpleNamespace

import pandas as pd
import pytest
from components.register import register as component

from loopwright.files import write_json
from loopwright.steps import pods
from loopwright.steps import register as steps
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
    step = SimpleNamespace(loop=loop, settings=None, run="small-1", named=True, before=lambda kind: trained, facts=None)
    step.told = lambda kind: Step.told(step, kind)
    pods._register(SimpleNamespace(place=place, run="small-1", version=0), step, 7)
    assert step.facts["version"] == 1
    assert registry.given.parameters["learning_rate"] == rate
    assert registry.given.parameters["num_iterations"] == 5
    assert ("trees" in registry.given.parameters) == (run == "small-1")


def test_on_kubeflow_pipelines_the_entry_has_the_rules_of_approval_too(small, tmp_path, monkeypatch):
    """Its component and the pods of the other engines call one function; another run's version is not this one's."""
    given, logged, step = [], [], SimpleNamespace(loop=small, settings=None, run="small-1", named=True, facts=None)
    step.told = lambda kind: {"trees": 5}

    def register(*arguments):
        given.append(arguments[-2:])
        return {"version": 4, "digest": "d", "snapshot": "abc", "approval": "auto"}

    monkeypatch.setattr("loopwright.registry.Registry", Registry)
    monkeypatch.setattr("loopwright.steps.register.register", register)
    monkeypatch.setattr("loopwright.steps.recording.step", lambda *asked: nullcontext(step))
    monkeypatch.setattr("loopwright.governance.pages.logged", lambda *asked: logged.append(asked[-1]))
    rows = SimpleNamespace(metadata={"snapshot": "abc"})
    artifact = SimpleNamespace(path=str(tmp_path))
    assert component.python_func(small.to_json(), "small-1", 7, rows, artifact, artifact, artifact) == 4
    assert given == [({"run": "small-1", "entry": "7", "snapshot": "abc"}, {"trees": 5})]
    assert step.facts["rules"] == small.gates.rules == {"approvals": 1, "approvers": [], "self_approval": True}
    assert logged == [4]


def test_an_attempt_after_the_one_that_registered_records_nothing_twice(small, tmp_path, monkeypatch):
    step = SimpleNamespace(loop=small, run="small-1", named=True, facts=None, recorded=lambda kind, run: True)
    known = {"version": 3, "digest": "d", "snapshot": "abc", "approval": "auto"}
    monkeypatch.setattr(steps, "registered", lambda *asked: known)
    assert steps.of_run(step, 7, Registry(), tmp_path, tmp_path, tmp_path, "abc") == 3
    assert step.facts is None
    step.recorded = lambda kind, run: False
    assert steps.of_run(step, 7, Registry(), tmp_path, tmp_path, tmp_path, "abc") == 3
    assert step.facts == {**known, "rules": small.gates.rules}
