import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopwright.errors import DataError, DeclarationError
from loopwright.loop import Column
from loopwright.models import columns, features, fit


@pytest.fixture(scope="module")
def table(raw, frame):
    specs = features.fit_spec(raw)
    return features.encode(specs, raw), specs, (frame["churned"] == "Yes").to_numpy(float)


def train(table, estimator="lightgbm", parameters=None, task="classification", seed=7, **options):
    matrix, specs, target = table
    return fit.fit(task, estimator, parameters or {}, seed, matrix, specs, target, **options)


@pytest.mark.parametrize("estimator", ["lightgbm", "logistic_regression", "random_forest"])
def test_one_seed_gives_the_same_bytes_again_whatever_the_threads(table, estimator):
    parameters = {"n_estimators": 15} if estimator != "logistic_regression" else {}
    first = train(table, estimator, parameters).dump()
    assert train(table, estimator, parameters, threads=2).dump() == first
    if estimator != "logistic_regression":
        assert train(table, estimator, parameters, seed=8).dump() != first


@pytest.mark.parametrize("estimator", ["random_forest", "sklearn.ensemble:ExtraTreesClassifier"])
def test_what_an_estimator_does_in_parallel_can_be_handed_to_others(table, estimator):
    calls = []

    def others(function):
        calls.append(estimator)
        return function()

    alone = train(table, estimator, {"n_estimators": 5})
    assert train(table, estimator, {"n_estimators": 5}, parallel=others).dump() == alone.dump()
    assert calls == [estimator]


def test_an_estimator_that_does_nothing_in_parallel_is_not_handed_out(table):
    with pytest.raises(DeclarationError, match=r"does nothing in parallel.*Leave out scale in loop.yaml"):
        train(table, "sklearn.naive_bayes:GaussianNB", parallel=lambda function: function())


def test_an_alias_replaces_the_default_of_the_parameter_it_means(table):
    text = train(table, parameters={"eta": 0.2, "n_estimators": 3, "max_leaves": 4}).dump()["model.txt"].decode()
    assert "[learning_rate: 0.2]" in text
    assert "[num_leaves: 4]" in text
    assert text.count("Tree=") == 3


@pytest.mark.parametrize(
    ("estimator", "parameters", "message"),
    [
        ("lightgbm", {"num_leafs": 3}, "LightGBM has no parameter num_leafs; expected num_lea"),
        ("lightgbm", {"deterministic": False}, "the parameter deterministic cannot be set"),
        ("lightgbm", {"num_leaves": -4}, "LightGBM cannot train with these parameters"),
        ("lightgbm", {"n_estimators": "many"}, "LightGBM cannot train with these parameters"),
        ("random_forest", {"trees": 3}, "random_forest cannot be made: TypeError"),
        ("random_forest", {"n_estimators": -3}, "random_forest cannot be trained"),
        ("linear_regression", {}, "linear_regression cannot do classification; expected .*logistic_regression"),
        ("absent_module:make", {}, "absent_module:make cannot be made: ModuleNotFoundError"),
        ("sklearn.svm:LinearSVC", {}, "has no predict_proba"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_its_reason(table, estimator, parameters, message):
    with pytest.raises(DeclarationError, match=message):
        train(table, estimator, parameters)


@pytest.mark.parametrize(
    ("target", "message"),
    [(np.zeros(600), "1 class of the label"), (np.full(600, np.nan), "missing or infinite"), (np.array([]), "no rows")],
)
def test_a_target_that_cannot_be_learnt_from_is_refused(table, target, message):
    with pytest.raises(DataError, match=message):
        train((table[0][: len(target)], table[1], target))


def test_a_factory_of_ones_own_types_is_refused_when_it_is_kept(table, monkeypatch):
    from sklearn.linear_model import LogisticRegression

    class Mine(LogisticRegression):
        pass

    Mine.__module__, Mine.__qualname__ = "mine", "Mine"
    module = types.ModuleType("mine")
    module.Mine = Mine
    monkeypatch.setitem(sys.modules, "mine", module)
    with pytest.raises(DeclarationError, match=r"types that serving does not load: mine.Mine"):
        train(table, "mine:Mine").dump()


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data sets beside the repository."""
    folder = Path(__file__).parents[4] / "shared" / "data"
    if not (folder / "churn.csv").is_file():
        pytest.skip("needs the real data sets: there is no ../shared/data/churn.csv beside the repository")
    return folder


def test_lightgbm_defaults_reach_an_auc_of_084_on_the_telco_churn_data(data):
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedShuffleSplit

    frame = pd.read_csv(data / "churn.csv")
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    kinds = {
        name: Column(type="number" if frame[name].dtype.kind in "if" else "string")
        for name in frame.columns.drop(["customerID", "Churn"])
    }
    raw = columns.from_frame(columns.specs(kinds), frame, ignored=("customerID", "Churn"))
    specs = features.fit_spec(raw)
    matrix, target = features.encode(specs, raw), (frame["Churn"] == "Yes").to_numpy(float)
    scores = []
    for seed in range(5):
        split = StratifiedShuffleSplit(1, test_size=0.2, random_state=seed)
        train_rows, test_rows = next(split.split(matrix, target))
        fitted = fit.fit("classification", "lightgbm", {}, seed, matrix[train_rows], specs, target[train_rows])
        scores.append(roc_auc_score(target[test_rows], fitted.predict(matrix[test_rows])))
    assert np.mean(scores) >= 0.84


def test_lightgbm_defaults_explain_bike_rentals_split_by_time(data):
    frame = pd.read_csv(data / "bike.csv")
    names = ["season", "yr", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit", "temp", "hum", "windspeed"]
    raw = {name: frame[name].to_numpy(float) for name in names}
    specs = features.fit_spec(raw)
    matrix, target = features.encode(specs, raw), frame["cnt"].to_numpy(float)
    old = int(len(frame) * 0.8)
    fitted = fit.fit("regression", "lightgbm", {}, 7, matrix[:old], specs, target[:old])
    wrong = fitted.predict(matrix[old:]) - target[old:]
    assert 1 - np.mean(wrong**2) / target[old:].var() > 0.85
