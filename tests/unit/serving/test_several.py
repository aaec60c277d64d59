"""What a model of more than two classes answers, and what of it goes to the monitor."""

import json

import numpy as np
import pytest

from loopwright.loop import Column
from loopwright.models.columns import from_rows
from loopwright.monitor.bodies import answered
from loopwright.monitor.events import Message, check
from loopwright.serving import tensors
from loopwright.serving.batch import Batch, Part
from loopwright.statistics.profile import Profile

CONTRACT = {"tenure": Column(type="integer"), "charges": Column(type="number")}
CLASSES = ("low", "some", 'a "lot"')
ROWS = [{"tenure": tenure, "charges": 7.5} for tenure in (3, 25, 58)]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def loaded(make_model):
    rows = [{"tenure": n % 60, "charges": float(n % 7)} for n in range(300)]
    return make_model(CONTRACT, rows, "tenure", several=True)


@pytest.fixture(scope="module")
def both(loaded, ask_both):
    return ask_both(loaded)


@pytest.fixture(scope="module")
def profile(loaded):
    columns = from_rows(loaded.inputs, ROWS)
    kinds = {spec.name: spec.kind for spec in loaded.inputs}
    return Profile.build("churn", "classification", CLASSES, columns, kinds, [0.9, 0.8, 0.9], decided=[0, 1, 2])


def test_v1_names_the_most_probable_class_and_the_probability_of_each(both, loaded):
    expected = loaded.predict(from_rows(loaded.inputs, ROWS))
    for count in (1, 3):
        answer, fast = both.agree("/v1/models/churn:predict", json.dumps({"instances": ROWS[:count]}))
        assert fast
        rows = answer.json()["predictions"]
        assert [row["class"] for row in rows] == list(CLASSES[:count])
        for row, probabilities in zip(rows, expected.tolist(), strict=False):
            assert list(row["probabilities"]) == list(CLASSES)
            assert list(row["probabilities"].values()) == pytest.approx(probabilities, abs=1e-12)
            assert row["probability"] == max(row["probabilities"].values())


def test_v2_has_the_probabilities_as_a_matrix_that_the_metadata_announce(both, loaded):
    inputs = [
        {"name": "tenure", "shape": [3], "datatype": "INT64", "data": [row["tenure"] for row in ROWS]},
        {"name": "charges", "shape": [3], "datatype": "FP64", "data": [row["charges"] for row in ROWS]},
    ]
    answer, fast = both.agree("/v2/models/churn/infer", json.dumps({"inputs": inputs}))
    assert fast
    found = {one["name"]: one for one in answer.json()["outputs"]}
    assert found["class"]["data"] == list(CLASSES)
    assert found["probabilities"]["shape"] == [3, 3]
    matrix = np.array(found["probabilities"]["data"]).reshape(3, 3)
    assert matrix.max(axis=1).tolist() == found["probability"]["data"]
    told = tensors.describe_outputs(CLASSES)
    assert [(one["name"], one["datatype"]) for one in told] == [(n, one["datatype"]) for n, one in found.items()]
    assert told[-1]["shape"] == [-1, 3]


def test_an_explanation_has_each_class(both):
    answer, _ = both.agree("/v1/models/churn:explain", json.dumps({"instances": ROWS}))
    (first, *_) = answer.json()["explanations"]
    assert list(first["classes"]) == list(CLASSES)
    assert set(first["classes"]["low"]["contributions"]) == {"tenure", "charges"}


def test_events_of_single_rows_and_of_parts_carry_the_decided_class(loaded, profile):
    columns = from_rows(loaded.inputs, ROWS)
    predicted = loaded.predict(columns)
    batch = Batch(1.0, parts=[Part("many", 0, columns, predicted)], count=5)
    for at, row in enumerate(ROWS[:2]):
        batch.ids.append(f"one-{at}")
        batch.rows.append(tuple(map(float, row.values())))
        batch.predictions.append(predicted[at].tolist())
    message = Message("1", at=1.0, **batch.fields(loaded.inputs))
    read = check(message, profile)
    assert list(read.ids) == ["one-0", "one-1", "many/0", "many/1", "many/2"]
    assert read.decided.tolist() == [0, 1, 0, 1, 2]
    assert read.told.tolist() == [0, 1, 0, 1, 2]
    assert read.predictions == pytest.approx(predicted.max(axis=1)[[0, 1, 0, 1, 2]])


def test_kserves_logger_hands_over_answers_that_the_monitor_reads(both, profile):
    inputs = [
        {"name": name, "shape": [3], "datatype": "FP64", "data": [row[name] for row in ROWS]} for name in CONTRACT
    ]
    for path, content in (
        ("/v1/models/churn:predict", {"instances": ROWS}),
        ("/v2/models/churn/infer", {"inputs": inputs}),
    ):
        answer, _ = both.agree(path, json.dumps(content))
        found = answered(answer.content, profile)
        assert found.decided == [0, 1, 2]
        assert min(found.predictions) > 0.34
