import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from loopwright.declaration import parse
from loopwright.errors import DataError
from loopwright.performance.measure import versions


def rows(n=600):
    rng = np.random.default_rng(1)
    probability = rng.random(n)
    truth = rng.random(n) < probability
    return truth, pd.DataFrame(
        {
            "model_version": np.where(np.arange(n) % 3, "1", "2"),
            "prediction": probability,
            "label": np.where(truth, "true", "false"),
            "plan": np.where(rng.random(n) < 0.5, "basic", "premium"),
        }
    )


def test_each_version_is_measured_as_scikit_learn_does_with_intervals(churn_declaration):
    truth, frame = rows()
    found = versions(parse(churn_declaration), frame, ["plan"])
    mine = (frame["model_version"] == "1").to_numpy()
    one = found["1"]["metrics"]
    assert found["1"]["rows"] == mine.sum()
    assert one["roc_auc"]["value"] == pytest.approx(metrics.roc_auc_score(truth[mine], frame["prediction"][mine]))
    assert one["f1"]["value"] == pytest.approx(metrics.f1_score(truth[mine], frame["prediction"][mine] >= 0.5))
    assert all(of["low"] < of["value"] < of["high"] for name, of in one.items() if name != "average_precision")
    slices = found["1"]["slices"]["plan"]
    assert slices["basic"]["rows"] + slices["premium"]["rows"] == found["1"]["rows"]
    part = mine & (frame["plan"] == "basic").to_numpy()
    assert slices["basic"]["metrics"]["accuracy"]["value"] == pytest.approx(
        metrics.accuracy_score(truth[part], frame["prediction"][part] >= 0.5)
    )


def test_a_regression_is_measured_in_its_units(churn_declaration):
    text = churn_declaration.replace("classification", "regression")
    loop = parse(text.replace("churned: {type: boolean}", "churned: {type: number}"))
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"prediction": rng.normal(50, 5, 400)})
    frame["label"] = (frame["prediction"] + rng.normal(0, 2, 400)).astype(str)  # as CSV is read
    (one,) = versions(loop, frame).values()
    assert one["metrics"]["rmse"]["value"] == pytest.approx(2, rel=0.1)
    assert one["metrics"]["r2"]["low"] < one["metrics"]["r2"]["value"] < one["metrics"]["r2"]["high"]
    with pytest.raises(DataError, match="a label is 'many'; expected a number"):
        versions(loop, frame.assign(label="many"))


def test_labels_of_three_classes_are_refused(churn_declaration):
    _, frame = rows(10)
    frame["label"] = ["a", "b", "c", *["a"] * 7]
    with pytest.raises(DataError, match="the labels are a, b, c"):
        versions(parse(churn_declaration), frame)


def test_decisions_are_those_of_the_versions_own_threshold(churn_declaration):
    truth, frame = rows()
    found = versions(parse(churn_declaration), frame, ["plan"], {"1": 0.3})
    for version, threshold in (("1", 0.3), ("2", 0.5)):
        mine = (frame["model_version"] == version).to_numpy()
        decided = frame["prediction"][mine] >= threshold
        assert found[version]["metrics"]["recall"]["value"] == pytest.approx(metrics.recall_score(truth[mine], decided))
    part = ((frame["model_version"] == "1") & (frame["plan"] == "basic")).to_numpy()
    assert found["1"]["slices"]["plan"]["basic"]["metrics"]["f1"]["value"] == pytest.approx(
        metrics.f1_score(truth[part], frame["prediction"][part] >= 0.3)
    )
    declared = churn_declaration.replace("task: classification", "task: classification, threshold: 0.7")
    mine = (frame["model_version"] == "2").to_numpy()
    assert versions(parse(declared), frame)["2"]["metrics"]["accuracy"]["value"] == pytest.approx(
        metrics.accuracy_score(truth[mine], frame["prediction"][mine] >= 0.7)
    )


@pytest.fixture
def several(churn_declaration):
    declared = churn_declaration.replace("column: churned", "column: churned, classes: [1, 2, 3]")
    return parse(declared.replace('    churned: {values: ["No", "Yes"]}\n', ""))


def test_of_more_than_two_classes_the_predicted_one_is_measured(several):
    loop = several
    rng = np.random.default_rng(2)
    truth = rng.integers(1, 4, 300)
    decided = np.where(rng.random(300) < 0.7, truth, rng.integers(1, 4, 300))
    frame = pd.DataFrame(
        {"model_version": "1", "prediction": 0.8, "predicted_class": decided.astype(str), "label": truth.astype(float)}
    )
    found = versions(loop, frame)["1"]["metrics"]
    assert found["f1_macro"]["value"] == pytest.approx(metrics.f1_score(truth, decided, average="macro"))
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    for labels in (truth, truth.astype(str), truth.astype(float).astype(str)):
        assert versions(loop, frame.assign(label=labels))["1"]["metrics"] == found
    floats = loop.model_dump(mode="json")
    floats["data"]["label"]["classes"] = ["1.0", "2.0", "3.0"]
    assert versions(type(loop).model_validate(floats), frame)["1"]["metrics"] == found
    with pytest.raises(DataError, match="the predictions have no column predicted_class"):
        versions(loop, frame.drop(columns="predicted_class"))
    with pytest.raises(DataError, match="a label is '7'; expected one of 1, 2, 3"):
        versions(loop, frame.assign(label=7))


def test_nothing_joined_is_nothing_measured_however_many_classes_there_are(several, churn_declaration):
    empty = pd.DataFrame({"label": [], "prediction": [], "model_version": []})
    assert versions(several, empty) == versions(parse(churn_declaration), empty) == {}


def test_classes_count_without_a_probability_and_rows_without_either_do_not(several):
    frame = pd.DataFrame({"label": [1, 2, 3, 1], "prediction": np.nan, "predicted_class": ["1", "2", "1", None]})
    found = versions(several, frame.assign(model_version="1"))["1"]
    assert (found["rows"], found["metrics"]["accuracy"]["value"]) == (3, pytest.approx(2 / 3))


def test_versions_with_other_classes_are_left_out_by_name_and_the_others_are_measured(several):
    frame = pd.DataFrame(
        {
            "label": [1, 2, 9, 2, 3, 1],
            "prediction": [0.9, 0.3, 0.8, 0.7, 0.8, 0.4],
            "predicted_class": [None, None, "9", "2", "3", None],
            "model_version": ["1", "1", "2", "2", "3", "3"],
            "plan": ["a", "b", "a", "b", "a", "b"],
        }
    )
    found = versions(several, frame, ["plan"])
    assert list(found) == ["1", "2", "3"]
    assert (found["1"]["rows"], found["1"]["metrics"]) == (2, {})
    assert "its predictions name no class" in found["1"]["left_out"]
    assert found["2"]["left_out"] == "it predicts '9'; the loop has 1, 2, 3"
    assert "left_out" not in found["3"]
    assert (found["3"]["rows"], found["3"]["metrics"]["accuracy"]["value"]) == (1, 1.0)
    assert found["3"]["slices"]["plan"]["a"]["rows"] == 1
    assert set(versions(several, frame[frame["model_version"] != "3"])) == {"1", "2"}
