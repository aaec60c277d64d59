"""The examples demand and fraud: rows that their contracts accept, known truths, and models that come near them."""

import importlib.util
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from loopwright import declaration
from loopwright.data import contract
from loopwright.steps.evaluate import evaluate
from loopwright.steps.snapshot import snapshot
from loopwright.steps.split import split
from loopwright.steps.train import train
from loopwright.steps.validate import validate

EXAMPLES = Path(__file__).parents[3] / "examples"
LAST = date(2026, 6, 30)
END = datetime(2026, 5, 1, tzinfo=UTC)


def generator(name):
    spec = importlib.util.spec_from_file_location(f"{name}_generator", EXAMPLES / name / "generator.py")
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def demand():
    return generator("demand")


@pytest.fixture(scope="module")
def fraud():
    return generator("fraud")


def test_the_same_seed_gives_the_same_rows_and_the_contracts_accept_all(demand, fraud, tmp_path):
    for module, name, draw in (
        (demand, "demand", lambda seed: demand.history(8, LAST, seed)),
        (fraud, "fraud", lambda seed: fraud.history(500, END, seed=seed)),
    ):
        first, again, other = (module.write(draw(seed), tmp_path / f"{at}.csv") for at, seed in enumerate((1, 1, 2)))
        assert first.read_bytes() == again.read_bytes() != other.read_bytes()
        checked = contract.check(pd.read_csv(first, dtype=str), declaration.load(EXAMPLES / name))
        assert (len(checked.set_aside), len(checked.violations)) == (0, 0)


def test_a_demand_shock_doubles_the_demand_of_what_it_hits_and_of_nothing_else(demand):
    calm, shocked = (demand.history(30, LAST, shock=shock) for shock in (None, date(2026, 6, 20)))
    later = np.array([day >= "2026-06-20" for day in calm.columns["day"]])
    hit = np.isin(calm.columns["category"], [demand.CATEGORIES[one] for one in demand.SHOCKED])
    # Whatever is drawn before the first shocked day is the same.
    assert np.allclose(calm.expected[~later], shocked.expected[~later])
    ratio = shocked.expected[later & hit].mean() / calm.expected[later & hit].mean()
    assert ratio == pytest.approx(np.exp(demand.SHOCK), rel=0.15)
    assert shocked.expected[later & ~hit].mean() / calm.expected[later & ~hit].mean() == pytest.approx(1, abs=0.1)


def test_no_feature_of_demand_looks_past_its_rows_day(demand):
    frame = pd.DataFrame(demand.history(40, LAST).columns)
    one = frame[frame["series"] == "S00-I00"].reset_index(drop=True)
    before = one["units"].rolling(7).mean().shift(1)
    assert np.allclose(one["units_7d"][7:], before[7:], atol=1e-3)


def test_few_payments_are_fraud_and_the_new_ways_are_others(fraud):
    rows = fraud.history(60_000, END)
    assert 0.002 < rows.fraud.mean() < 0.007
    assert roc_auc_score(rows.fraud, rows.probability) > 0.82
    changed = fraud.history(60_000, END, changed=datetime(2020, 1, 1, tzinfo=UTC))
    assert roc_auc_score(changed.fraud, changed.probability) > 0.82
    # What was known of fraud before says less of the new ways than they themselves do.
    assert roc_auc_score(changed.fraud, rows.probability) < roc_auc_score(changed.fraud, changed.probability) - 0.05


class Nobody:
    """A registry without a champion."""

    def champion(self, loop):
        return None


def judged(name, rows, module, moment, folder):
    """The evaluation of the model that the example's pipeline makes of these rows."""
    loop = declaration.load(EXAMPLES / name)
    module.write(rows, folder / loop.data.source)
    snapshot(loop, folder, folder / "snapshots", folder / "rows", moment)
    validate(loop, folder / "rows", folder / "valid", folder / "aside", folder / "report")
    split(loop, folder / "valid", folder / "training", folder / "holdout")
    code = (EXAMPLES / name / "features.py").read_text()
    train(loop, code, folder / "training", folder / "holdout", folder / "model")
    return evaluate(loop, Nobody(), folder / "model", folder / "holdout")


@pytest.mark.slow
@pytest.mark.long
def test_the_forecast_comes_near_the_expected_demand_and_passes_its_gates(demand, tmp_path):
    rows = demand.history(150, LAST)
    found = judged("demand", rows, demand, datetime(2026, 7, 2, tzinfo=UTC), tmp_path)
    assert found["passed"], found["gates"]
    assert found["metrics"]["r2"] > demand.r2_of_truth(rows) - 0.1


@pytest.mark.slow
@pytest.mark.long
def test_the_fraud_model_orders_payments_nearly_as_the_truth_does_and_passes_its_gates(fraud, tmp_path):
    found = judged("fraud", fraud.history(90_000, END), fraud, END, tmp_path)
    assert found["passed"], found["gates"]
    assert found["metrics"]["roc_auc"] > 0.8
