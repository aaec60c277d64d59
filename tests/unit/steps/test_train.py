"""What training leaves for those who watch the model live."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from loopwright.governance import pictures
from loopwright.loop import Costs, Search
from loopwright.models import bundle
from loopwright.models.attributions import Attributions
from loopwright.models.columns import from_frame
from loopwright.models.losses import Losses
from loopwright.models.model import Model
from loopwright.models.search import Place
from loopwright.report import curves
from loopwright.statistics.labelled import tally
from loopwright.statistics.profile import Profile
from loopwright.steps.train import train


def test_the_profile_knows_how_good_the_model_was_on_the_rows_held_out(small, small_rows, tmp_path):
    rows = small_rows.assign(age=small_rows["age"].astype(int), spend=pd.to_numeric(small_rows["spend"]))
    training, held = rows.iloc[:600], rows.iloc[600:]
    training.to_parquet(tmp_path / "training.parquet")
    held.to_parquet(tmp_path / "holdout.parquet")
    train(small, "", tmp_path / "training.parquet", tmp_path / "holdout.parquet", tmp_path / "model")
    read = bundle.read(tmp_path / "model")
    profile = Profile.from_json(read.contents[bundle.PROFILE])
    one = tally(profile)
    assert profile.labelled is not None
    sums = np.array(profile.labelled)
    assert one.count(sums) == len(held)
    names = [spec.name for spec in read.manifest.inputs]
    predicted = Model(read).predict(from_frame(read.manifest.inputs, held[names]))
    exact = roc_auc_score(held["left"] == "Yes", predicted)
    assert one.measure(sums)["roc_auc"].value == pytest.approx(exact, abs=0.02)
    assert profile.to_json() == Profile.from_json(profile.to_json()).to_json()


def test_the_learning_curve_is_made_where_it_is_declared_and_changes_nothing_else(small, small_rows, tmp_path):
    rows = small_rows.assign(age=small_rows["age"].astype(int), spend=pd.to_numeric(small_rows["spend"]))
    rows.iloc[:600].to_parquet(tmp_path / "training.parquet")
    rows.iloc[600:].to_parquet(tmp_path / "holdout.parquet")
    declared = small.model_copy(update={"model": small.model.model_copy(update={"learning_curve": True})})
    paths = tmp_path / "training.parquet", tmp_path / "holdout.parquet"
    plain = train(small, "", *paths, tmp_path / "plain")
    learnt = train(declared, "", *paths, tmp_path / "learnt")
    assert "learning_curve" not in plain
    points = learnt["learning_curve"]["points"]
    assert points[-1]["rows"] == 400
    assert points[-1]["left_out"] > 0.6
    assert points[0]["training"] >= points[0]["left_out"]
    assert (tmp_path / "plain" / "model.txt").read_bytes() == (tmp_path / "learnt" / "model.txt").read_bytes()
    assert "learning_curve" not in train(declared, "", *paths, tmp_path / "again", found={})
    picture = pictures.learning(learnt)
    assert picture is not None
    assert "roc_auc on rows left out" in picture.svg
    assert pictures.learning(plain) is None
    shown = curves.learning(learnt["learning_curve"])
    assert shown.count("<path") == 2


@pytest.mark.parametrize("wrong", ["[NaN]", "[1, Infinity]", '["many"]', "7"])
def test_sums_that_are_no_numbers_are_no_profile(wrong):
    plain = Profile.build("a", "classification", [0, 1], {}, {}, np.linspace(0, 1, 50))
    text = plain.to_json()[:-1] + f', "labelled": {wrong}}}'
    with pytest.raises(ValueError, match=r"labelled|not a profile|could not convert"):
        Profile.from_json(text)


def test_what_predictions_rest_on_and_how_wrong_they_are_is_kept_with_the_model(small, small_rows, tmp_path):
    rows = pd.concat([small_rows] * 2, ignore_index=True)
    rows = rows.assign(age=rows["age"].astype(int), spend=pd.to_numeric(rows["spend"]))
    for name, part in (("training", rows.iloc[:1000]), ("holdout", rows.iloc[1000:])):
        part.assign(left=part["age"] * 1.5).to_parquet(tmp_path / f"r-{name}.parquet")
        part.to_parquet(tmp_path / f"c-{name}.parquet")
    regression = small.model_copy(update={"model": small.model.model_copy(update={"task": "regression"})})
    for loop, short in ((small, "c"), (regression, "r")):
        train(loop, "", tmp_path / f"{short}-training.parquet", tmp_path / f"{short}-holdout.parquet", tmp_path / short)
        read = bundle.read(tmp_path / short)
        kept = Attributions.read(read)
        assert kept.features == ("age", "spend", "plan")
        assert kept.rows == 600
        assert kept.mean[0] == kept.mean.max() > 0
    assert bundle.LOSSES not in bundle.read(tmp_path / "c").contents
    assert set(Losses.read(bundle.read(tmp_path / "r")).models) == {"mae", "rmse"}


def test_with_a_seasonality_the_profile_is_counted_by_the_hour_of_the_time_zone(small, small_rows, tmp_path):
    monitor = small.monitor.model_copy(update={"seasonality": "hour", "timezone": "Asia/Kolkata"})
    data = small.data.model_copy(update={"timestamp": "seen"})
    loop = small.model_copy(update={"monitor": monitor, "data": data})
    rows = small_rows.assign(age=small_rows["age"].astype(int), spend=pd.to_numeric(small_rows["spend"]))
    rows["age"] = pd.to_datetime(rows["seen"]).dt.hour + 20
    rows.iloc[:600].to_parquet(tmp_path / "training.parquet")
    rows.iloc[600:].to_parquet(tmp_path / "holdout.parquet")
    outcome = train(loop, "", tmp_path / "training.parquet", tmp_path / "holdout.parquet", tmp_path / "model")
    profile = Profile.from_json(bundle.read(tmp_path / "model").contents[bundle.PROFILE])
    # 600 rows are 25 an hour: three strata of 200, and of the 200 held out one.
    assert outcome["seasons"] == {"by": "hour", "inputs": 3, "predictions": 1}
    ages = profile.features["age"]
    assert ages.seasonal.sum(axis=1).tolist() == [25] * 24
    # Half past five in the morning there is midnight in UTC, where everybody is 20.
    assert ages.seasonal[5, int(ages.assign(np.array([20.0]))[0])] == 25
    assert profile.seasonality.at(pd.Timestamp("2026-01-01T00:00Z").to_pydatetime()) == 5


def test_a_declared_threshold_goes_with_the_model_and_its_profile(small, small_rows, tmp_path):
    rows = small_rows.assign(age=small_rows["age"].astype(int), spend=pd.to_numeric(small_rows["spend"]))
    rows.iloc[:600].to_parquet(tmp_path / "training.parquet")
    rows.iloc[600:].to_parquet(tmp_path / "holdout.parquet")
    changed = {"costs": Costs(false_positive=1, false_negative=2.5), "exclude": ("plan",), "calibration": "sigmoid"}
    loop = small.model_copy(update={"model": small.model.model_copy(update=changed)})
    train(loop, "", tmp_path / "training.parquet", tmp_path / "holdout.parquet", tmp_path / "model")
    read = bundle.read(tmp_path / "model")
    threshold = 1 / 3.5
    assert read.manifest.threshold == pytest.approx(threshold)
    assert [spec.name for spec in read.manifest.inputs] == ["age", "spend"]
    assert "plan" in read.manifest.ignored
    profile = Profile.from_json(read.contents[bundle.PROFILE])
    assert profile.threshold == pytest.approx(threshold)
    held = rows.iloc[600:]
    predicted = Model(read).predict(from_frame(read.manifest.inputs, held[["age", "spend"]]))
    truth = (held["left"] == "Yes").to_numpy()
    _, fp, _, tp = tally(profile).confusion(np.array(profile.labelled))
    assert (fp, tp) == (np.sum(~truth & (predicted >= threshold)), np.sum(truth & (predicted >= threshold)))
    assert profile.decide(np.array([0.1, threshold, 0.9])).tolist() == [0, 1, 1]


def test_trials_of_a_search_are_child_runs_and_a_second_attempt_has_the_same_parent(small, small_rows, tmp_path):
    from loopwright import settings
    from loopwright.registry import Registry
    from loopwright.steps.trials import Trials

    rows = small_rows.assign(age=small_rows["age"].astype(int), spend=pd.to_numeric(small_rows["spend"]))
    rows.iloc[:600].to_parquet(tmp_path / "training.parquet")
    rows.iloc[600:].to_parquet(tmp_path / "holdout.parquet")
    searched = Search.model_validate({"trials": 3, "folds": 2, "space": {"num_leaves": {"low": 2, "high": 8}}})
    loop = small.model_copy(update={"model": small.model.model_copy(update={"search": searched})})
    found = settings.read(tmp_path)
    settings.prepare(found)
    registry = Registry(found)
    place = Place(tmp_path / "journal", Trials(registry, loop.name, "run-1"))
    paths = tmp_path / "training.parquet", tmp_path / "holdout.parquet"
    facts = train(loop, "", *paths, tmp_path / "model", place)
    assert facts["search"]["complete"] + facts["search"]["pruned"] == 3
    assert set(facts["search"]["parameters"]) == {"num_leaves"}
    Trials(registry, loop.name, "run-1")(4, {"num_leaves": 3}, None, "failed", 0.1)
    with registry.connected() as client:
        experiment = client.get_experiment_by_name(loop.name).experiment_id
        children = client.search_runs([experiment], "tags.`loopwright.trial` != ''")
        parents = client.search_runs([experiment], "tags.`loopwright.search` = 'run-1'")
    assert len(children) == 4
    assert {one.data.tags["mlflow.parentRunId"] for one in children} == {parents[0].info.run_id}
    assert [one.info.status for one in children].count("FAILED") == 1
    best = max(one.data.metrics.get("value", 0) for one in children)
    assert best == pytest.approx(facts["search"]["value"])


def test_a_repetition_takes_what_the_search_found_and_does_not_search_again(small, small_rows, tmp_path, monkeypatch):
    rows = small_rows.assign(age=small_rows["age"].astype(int), spend=pd.to_numeric(small_rows["spend"]))
    rows.iloc[:600].to_parquet(tmp_path / "training.parquet")
    rows.iloc[600:].to_parquet(tmp_path / "holdout.parquet")
    model = small.model.model_copy(update={"search": Search.model_validate({"trials": 3, "folds": 2})})
    monkeypatch.setattr("loopwright.models.search.search", None)
    paths, found = (tmp_path / "training.parquet", tmp_path / "holdout.parquet"), {"parameters": {"num_leaves": 2}}
    searched = small.model_copy(update={"model": model})
    facts = train(searched, "", *paths, tmp_path / "model", found=found)
    assert facts["search"] == found
    trees = bundle.read(tmp_path / "model").contents[bundle.LIGHTGBM]
    assert trees.count(b"\nnum_leaves=2\n") == trees.count(b"\nTree=") > 0
