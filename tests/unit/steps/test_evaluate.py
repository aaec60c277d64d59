"""A trained model judged on held-out rows, beside a champion, as the registry keeps it."""

import json
import socket
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from loopwright.loop.gates import Gates
from loopwright.models import bundle
from loopwright.steps import served
from loopwright.steps.evaluate import evaluate
from loopwright.steps.train import train


class Champion:
    """Stands in for the registry: its champion is a bundle's folder, or there is none."""

    def __init__(self, folder=None):
        self._folder = folder

    def champion(self, name):
        return None if self._folder is None else SimpleNamespace(number=1, digest=bundle.digest(self._folder))

    def fetch(self, name, version):
        return self._folder


@pytest.fixture(scope="module")
def place(small_rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    rows = small_rows.assign(age=small_rows["age"].astype(int), spend=pd.to_numeric(small_rows["spend"]))
    rows.iloc[:500].to_parquet(folder / "training.parquet")
    rows.iloc[:250].to_parquet(folder / "half.parquet")
    rows.iloc[500:].to_parquet(folder / "holdout.parquet")
    return folder


def trained(loop, place, rows, name):
    if not (place / name).exists():
        train(loop, "", place / rows, place / "holdout.parquet", place / name)
    return place / name


def test_metrics_come_with_intervals_and_with_the_gain_over_the_champion(small, place):
    model, half = trained(small, place, "training.parquet", "a"), trained(small, place, "half.parquet", "b")
    found = evaluate(small, Champion(half), model, place / "holdout.parquet")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found["metrics"]) == set(small.judged_by)
    for side in (found, found["champion"]):
        for name, (low, high) in side["intervals"].items():
            assert low <= side["metrics"][name] + 0.05
            assert high >= side["metrics"][name] - 0.05
    gain = found["gains"]["roc_auc"]
    assert gain["gain"] == pytest.approx(found["metrics"]["roc_auc"] - found["champion"]["metrics"]["roc_auc"])
    assert gain["low"] < gain["gain"] < gain["high"]
    losing = found["gains"]["brier"]["gain"]
    assert losing == pytest.approx(found["champion"]["metrics"]["brier"] - found["metrics"]["brier"])


def test_a_champion_of_another_positive_class_is_not_compared_with(small, place):
    before = trained(small, place, "training.parquet", "a")
    label = small.data.label.model_copy(update={"positive": "No"})
    other = small.model_copy(update={"data": small.data.model_copy(update={"label": label})})
    model = trained(other, place, "training.parquet", "turned")
    found = evaluate(other, Champion(before), model, place / "holdout.parquet")
    assert found["champion"] is None
    assert found["incomparable"] == (
        "version 1 learnt something else: classification, No, Yes; this is classification, Yes, No"
    )


def test_slices_have_metrics_of_their_own_and_say_when_they_are_small(small, place):
    loop = small.model_copy(update={"gates": Gates(slices=("plan", "age"))})
    found = evaluate(loop, Champion(), trained(small, place, "training.parquet", "a"), place / "holdout.parquet")
    by = {(one["column"], one["value"]): one for one in found["slices"]}
    plans = [by["plan", "basic"], by["plan", "premium"]]
    assert sum(one["rows"] for one in plans) == found["rows"]
    assert not any(one["small"] for one in plans)
    assert plans[0]["metrics"]["brier"] != plans[1]["metrics"]["brier"]
    ages = [one for (column, _), one in by.items() if column == "age"]
    assert len(ages) == 4
    assert all(one["small"] for one in ages)
    assert sum(one["rows"] for one in ages) == found["rows"]


def test_a_model_is_trained_and_judged_monotone_where_it_is_declared(small, place):
    declared = {"monotone": {"age": "increasing", "spend": "decreasing"}, "serving": {"size": 0.001}}
    loop = small.model_copy(update={"gates": Gates.model_validate(declared)})
    free = evaluate(loop, Champion(), trained(small, place, "training.parquet", "a"), place / "holdout.parquet")
    outcome = {gate["metric"]: gate for gate in free["gates"]}
    assert not outcome["monotone spend"]["passed"]
    assert not outcome["size"]["passed"]
    bound = evaluate(loop, Champion(), trained(loop, place, "training.parquet", "c"), place / "holdout.parquet")
    outcome = {gate["metric"]: gate for gate in bound["gates"]}
    assert outcome["monotone spend"]["passed"]
    assert outcome["monotone age"]["passed"]
    assert outcome["row order"]["passed"]


def test_values_that_are_missing_or_rare_are_slices_too():
    from loopwright.steps.slices import parts

    values = pd.Series(["a"] * 30 + [None] * 5 + [f"rare {number}" for number in range(30)])
    found = parts(values)
    assert found["missing"].sum() == 5
    assert found["a"].sum() == 30
    assert len(found) == 22
    assert sum(mask.sum() for mask in found.values()) == 65
    assert set(parts(pd.Series([0.0, 1.0, 1.0]))) == {"0", "1"}
    named = pd.Series(["missing"] * 3 + [None] * 2 + ["other"] * 4 + [f"rare {number}" for number in range(30)])
    sizes = {name: int(mask.sum()) for name, mask in parts(named).items()}
    assert (sizes["missing"], sizes["(missing)"], sizes["other"], sizes["(other)"]) == (3, 2, 4, 12)
    assert np.all(sum(mask.astype(int) for mask in parts(pd.Series(np.arange(500.0) % 50)).values()) == 1)


@pytest.mark.long
def test_latency_and_size_are_those_of_the_real_server(small, place):
    declared = {"serving": {"latency_p99": "2s", "size": 10}}
    loop = small.model_copy(update={"gates": Gates.model_validate(declared)})
    model = trained(small, place, "training.parquet", "a")
    found = evaluate(loop, Champion(), model, place / "holdout.parquet")
    outcome = {gate["metric"]: gate for gate in found["gates"] if gate["gate"] == "serving"}
    assert outcome["size"]["passed"]
    assert outcome["latency_p99"]["passed"], outcome
    assert 0 < outcome["latency_p99"]["value"] < 2
    assert "500 requests" in outcome["latency_p99"]["detail"]


def test_a_server_that_goes_away_is_a_gate_not_passed(small, place, monkeypatch):
    @contextmanager
    def gone(bundle):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        yield port

    monkeypatch.setattr(served, "_server", gone)
    monkeypatch.setattr(served.importlib.util, "find_spec", lambda name: name)
    loop = small.model_copy(update={"gates": Gates.model_validate({"serving": {"latency_p99": "2s"}})})
    found = evaluate(loop, Champion(), trained(small, place, "training.parquet", "a"), place / "holdout.parquet")
    (outcome,) = (gate for gate in found["gates"] if gate["gate"] == "serving")
    assert not outcome["passed"]
    assert "did not answer request 1" in outcome["detail"]
