"""Profiles of models of other runtimes: what training would have made of the same rows, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from loopwright.declaration import parse
from loopwright.errors import DataError
from loopwright.statistics.labelled import tally
from loopwright.steps.reference import profile

RNG = np.random.default_rng(4)


@pytest.fixture
def loop(churn_declaration):
    return parse(churn_declaration)


def rows(n, **columns):
    """Rows as a reader of CSV gives them: text."""
    age = RNG.integers(18, 90, n).astype(str).astype(object)
    age[0] = None
    plan = RNG.choice(["basic", "premium"], n).astype(object)
    return pd.DataFrame({"customer": np.arange(n).astype(str), "age": age, "plan": plan, **columns})


def held(n=200):
    score = RNG.random(n).round(4)
    return pd.DataFrame({"score": score.astype(str), "churned": np.where(RNG.random(n) < score, "Yes", "No")})


def test_inputs_come_from_the_rows_and_predictions_from_the_others(loop):
    given, predictions = rows(500), held()
    made = profile(loop, given, predictions, "score")
    assert list(made.features) == ["age", "plan"]
    assert (made.loop, made.task, made.classes, made.rows) == ("churn", "classification", ("No", "Yes"), 500)
    assert made.features["age"].kind == "number"
    assert made.features["age"].counts[0] == 1
    assert made.features["plan"].counts.tolist()[2:] == [
        int((given["plan"] == "basic").sum()), int((given["plan"] == "premium").sum())
    ]  # fmt: skip
    assert int(made.prediction.counts.sum()) == 200


def test_labels_beside_the_predictions_say_how_good_the_model_was(loop):
    predictions = held()
    predictions.loc[:9, "churned"] = None
    made = profile(loop, rows(500), predictions, "score")
    known = predictions.iloc[10:]
    expected = tally(made).of(
        (known["churned"] == "Yes").astype(float).to_numpy(), known["score"].astype(float).to_numpy()
    )
    assert made.labelled == tuple(expected.tolist())


def test_without_labels_the_classes_have_to_be_named(loop):
    predictions = held().drop(columns="churned")
    with pytest.raises(DataError, match=r"no labels in a column churned.*--classes"):
        profile(loop, rows(100), predictions, "score")
    made = profile(loop, rows(100), predictions, "score", ["No", "Yes"])
    assert made.labelled is None
    assert made.classes == ("No", "Yes")


def test_a_regression_keeps_the_variance_of_its_label(churn_declaration):
    text = churn_declaration.replace("task: classification", "task: regression")
    loop = parse(text.replace('churned: {values: ["No", "Yes"]}', "churned: {type: number}"))
    predictions = pd.DataFrame({"value": ["1.5", "20", "-3"], "churned": ["1", "2", "6"]})
    made = profile(loop, rows(50), predictions, "value")
    assert made.label_variance == pytest.approx(7.0)
    assert made.classes == ()
    assert made.labelled is not None


@pytest.mark.parametrize(
    ("change", "prediction", "message"),
    [
        ({"age": "forty"}, "score", "the column age has 'forty' in 100 rows; expected numbers"),
        ({}, "points", "there is no column points; expected one of score, churned"),
        ({}, "churned", "the column churned has"),
    ],
)
def test_what_cannot_be_used_is_named(loop, change, prediction, message):
    with pytest.raises(DataError, match=message):
        profile(loop, rows(100).assign(**change), held(), prediction)


@pytest.mark.parametrize("value", ["1.5", "-0.1", None])
def test_predictions_have_to_be_probabilities(loop, value):
    predictions = held()
    predictions.loc[:2, "score"] = value
    with pytest.raises(DataError, match=r"in 3 of 200 rows; expected the probability of the positive class"):
        profile(loop, rows(100), predictions, "score")


def test_an_input_that_the_rows_do_not_have_is_named(loop):
    with pytest.raises(DataError, match="the rows have no column plan"):
        profile(loop, rows(100).drop(columns="plan"), held(), "score")


def test_a_declared_seasonality_is_in_the_profile_and_a_file_without_times_is_refused(churn_declaration):
    text = churn_declaration.replace("  source: churn.csv\n", "  source: churn.csv\n  timestamp: seen\n", 1)
    loop = parse(f"{text}monitor: {{seasonality: hour}}\n")
    with pytest.raises(DataError, match="the rows have no column seen"):
        profile(loop, rows(500), held(), "score", ["No", "Yes"])
    times = pd.date_range("2026-01-01", periods=24_000, freq="h", tz="UTC").astype(str)
    found = profile(loop, rows(24_000, seen=times), held(2_000).assign(seen=times[:2_000]), "score", ["No", "Yes"])
    assert found.seasonality is not None
    assert found.seasonality.by == "hour"


@pytest.fixture
def fruit(churn_declaration):
    return parse(
        churn_declaration.replace("column: churned", "column: churned, classes: [1, 2, 3]").replace(
            'churned: {values: ["No", "Yes"]}', "churned: {values: [1, 2, 3]}"
        )
    )


def test_of_more_than_two_classes_the_decided_one_and_its_probability_are_the_predictions(fruit):
    decided = RNG.choice(["1", "2.0", "3"], 300)
    label = np.where(RNG.random(300) < 0.8, decided, "2")
    predictions = pd.DataFrame({"score": RNG.uniform(0.4, 1, 300), "decision": decided, "churned": label})
    made = profile(fruit, rows(500), predictions, "score")
    assert made.classes == ("1", "2", "3")
    places = pd.Series(decided).map({"1": 0, "2.0": 1, "3": 2}).to_numpy(float)
    truth = pd.Series(label).map({"1": 0, "2.0": 1, "2": 1, "3": 2}).to_numpy(float)
    assert made.labelled == tuple(tally(made).of(truth, places).tolist())
    assert made.labelled[0] > 0
    unknown = profile(fruit, rows(100), predictions.drop(columns="churned"), "score")
    assert (unknown.classes, unknown.labelled) == (made.classes, None)
    renamed = predictions.rename(columns={"decision": "said"})
    assert profile(fruit, rows(500), renamed, "score", decision="said").labelled == made.labelled


def test_decisions_and_classes_that_are_not_the_declared_ones_are_refused(fruit):
    predictions = pd.DataFrame({"score": [0.5] * 3, "decision": ["1", "2", "7"]})
    with pytest.raises(DataError, match=r"the decision in decision is '7' in 1 rows; expected one of 1, 2, 3"):
        profile(fruit, rows(50), predictions, "score")
    with pytest.raises(DataError, match=r"no column decision.*--decision"):
        profile(fruit, rows(50), predictions.drop(columns="decision"), "score")
    with pytest.raises(DataError, match=r"the classes are 3, 2, 1; expected those of `data.label.classes`"):
        profile(fruit, rows(50), predictions.iloc[:2], "score", ["3", "2", "1"])
