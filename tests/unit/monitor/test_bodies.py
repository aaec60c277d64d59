"""Bodies in both protocols, as KServe's runtimes and their clients write them."""

import json
import math
import struct
from dataclasses import replace

import numpy as np
import pytest

from loopwright.monitor.bodies import answered, asked
from loopwright.monitor.events import EventError
from loopwright.statistics.profile import Profile

ROWS = [[41.5, "basic"], [30, "premium"]]


def body(**content):
    return json.dumps(content).encode()


def tensor(name, data, shape=None, datatype="FP64", **more):
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data, **more}


def lists(found):
    return [list(row) for row in found.rows]


@pytest.mark.parametrize(
    "content",
    [
        {"instances": ROWS},
        {"instances": [{"plan": plan, "age": age} for age, plan in ROWS]},
        {"inputs": [tensor("age", [41.5, 30]), tensor("plan", ["basic", "premium"], datatype="BYTES")]},
        {"inputs": [tensor("plan", [["basic"], ["premium"]], [2, 1], "BYTES"), tensor("age", [41.5, 30])]},
        {"inputs": [tensor("input-0", [41.5, "basic", 30, "premium"], [2, 2])]},
        {"inputs": [tensor("input-0", ROWS, [2, 2])]},
    ],
)
def test_rows_are_the_same_in_every_form(profile, content):
    found = asked(body(**content), profile)
    assert (lists(found), found.unknown) == (ROWS, 0)


def test_the_binary_extension_is_read(profile):
    ages, plans = (
        np.array([41.5, 30.0]).tobytes(),
        b"".join(struct.pack("<I", len(p)) + p for p in (b"basic", b"premium")),
    )
    head = {
        "inputs": [
            {"name": "age", "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": len(ages)}},
            {"name": "plan", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(plans)}},
        ]
    }
    assert lists(asked(body(**head) + ages + plans, profile)) == ROWS
    for broken in (ages, ages + plans[:-1] + b"\xff\xff", ages + plans + b"x"):
        with pytest.raises(EventError):
            asked(body(**head) + broken, profile)


def test_features_that_do_not_come_are_missing_and_others_are_counted(profile):
    found = asked(body(instances=[{"age": 3, "hat": 1, "coat": 2}]), profile)
    assert (lists(found), found.unknown) == ([[3, None]], 2)
    found = asked(body(inputs=[tensor("plan", ["basic"]), tensor("hat", [1])]), profile)
    assert (lists(found), found.unknown) == ([[None, "basic"]], 1)


def test_numbers_that_are_none_are_read_as_python_writes_them(profile):
    found = asked(b'{"instances": [[NaN, "basic"], [-Infinity, null]]}', profile)
    assert math.isnan(found.rows[0][0])
    assert lists(found)[1] == [-math.inf, None]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "broken"),
        (b'{"instances": [[1, "basic"]', "broken"),
        (b"\xff\xfe", "broken"),
        (b"[" * 100_000, "broken"),
        (b'{"instances": [[[[1]]]]}', "broken"),
        (b"{}", "columns"),
        (b'{"inputs": []}', "columns"),
        (b'{"instances": [[1]]}', "columns"),
        (b'{"instances": [1]}', "columns"),
        (b'{"instances": [{"hat": 1}]}', "columns"),
        (body(inputs=[tensor("hat", [1])]), "columns"),
        (body(inputs=[tensor("age", [1]), tensor("plan", ["a", "b"])]), "columns"),
        (body(inputs=[tensor("age", [[1, 2]])]), "columns"),
        (body(inputs=[tensor("x", [1, 2, 3], [2, 2])]), "columns"),
        (body(inputs=[{"name": "age", "shape": [1], "datatype": "FP64"}]), "columns"),
    ],
)
def test_requests_that_cannot_be_used_say_why(profile, content, reason):
    with pytest.raises(EventError) as caught:
        asked(content, profile)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"predictions": [0.25, 0.5]}, [0.25, 0.5]),
        ({"predictions": [0, 1]}, [0.0, 1.0]),
        ({"predictions": [[0.75, 0.25], [0.5, 0.5]]}, [0.25, 0.5]),
        ({"predictions": ["Yes", "No"]}, [1.0, 0.0]),
        ({"predictions": [{"probability": 0.25, "class": "No"}]}, [0.25]),
        ({"outputs": [tensor("predict", [0.25, 0.5])]}, [0.25, 0.5]),
        ({"outputs": [tensor("output-0", [0.75, 0.25, 0.5, 0.5], [2, 2])]}, [0.25, 0.5]),
        ({"outputs": [tensor("output-0", [[0.25], [0.5]], [2, 1])]}, [0.25, 0.5]),
        ({"outputs": [tensor("class", ["No"], datatype="BYTES"), tensor("probability", [0.25])]}, [0.25]),
        ({"outputs": [tensor("predict", ["Yes"], datatype="BYTES")]}, [1.0]),
        # KServe's own server writes what it does not have as null.
        ({"id": None, "outputs": [{**tensor("predict", [0.25]), "parameters": None}]}, [0.25]),
    ],
)
def test_predictions_are_probabilities_of_the_positive_class(profile, content, expected):
    assert answered(body(**content), profile) == (expected, "", None)


def test_the_id_of_an_answer_is_given_along(profile):
    assert answered(body(id="a1", outputs=[tensor("predict", [0.5])]), profile) == ([0.5], "a1", None)


@pytest.mark.parametrize("content", [b"{}", b'{"x": 1}', b'{"predictions": ["Perhaps"]}', b'{"predictions": [{}]}'])
def test_answers_without_a_prediction_are_refused(profile, content):
    with pytest.raises(EventError) as caught:
        answered(content, profile)
    assert caught.value.reason == "columns"


@pytest.fixture
def zoo():
    rng = np.random.default_rng(2)
    decided = rng.integers(0, 3, 600)
    return Profile.build(
        "zoo", "classification", ["cat", "dog", 3], {"x": rng.normal(size=600)}, {"x": "number"}, rng.random(600),
        decided=decided,
    )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        {"predictions": [[0.1, 0.7, 0.2], [0.1, None, 0.9], ["x"], [None, None, None]]},
        {"predictions": [{"probabilities": [0.1, 0.7, 0.2]}, [0.1, 0.0, 0.9], "bird", None]},
        {"predictions": [[0.1, 0.7, 0.2], [0.1, 0.0, 0.9], 0.5, 7]},
        {"predictions": ["dog", 3, "bird", None]},
        {"predictions": ["dog", 3.0, -1, ""]},
        {"predictions": [["dog"], [3], ["bird"], [None]]},
    ],
)
def test_of_more_than_two_classes_the_predicted_one_is_told(zoo, content):
    found = answered(body(**content), zoo)
    assert found.decided == [1, 2, -1, -1]
    scores = [score for score in found.predictions if not math.isnan(score)]
    assert scores in ([], [0.7, 0.9])


def test_a_class_is_known_however_an_answer_spells_it(zoo):
    floats = replace(zoo, classes=("1.0", "2.0", "true"))
    assert answered(body(predictions=[1.0, 2, "2", True, "1.0"]), floats).decided == [0, 1, 1, 2, 0]
    by_name = {"predictions": [{"probabilities": {"1": 0.2, "2": 0.7, "True": 0.1}}]}
    assert answered(body(**by_name), floats).decided == [1]
    two = replace(zoo, classes=("true", "false"))
    assert answered(body(predictions=[True, False, "True"]), two).predictions == [0.0, 1.0, 0.0]


def test_a_matrix_of_probabilities_is_read_flat_and_nested(zoo):
    for data in ([0.1, 0.7, 0.2, 0.5, 0.3, 0.2], [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]):
        found = answered(body(outputs=[tensor("probabilities", data, [2, 3])]), zoo)
        assert (found.predictions, found.decided) == ([0.7, 0.5], [1, 0])


@pytest.mark.parametrize("answer", [[0.1, 0.9], [0.1, "much", 0.2], [0.1, 0.2, 0.3, 0.4]])
def test_probabilities_of_other_classes_are_refused(zoo, answer):
    with pytest.raises(EventError):
        answered(body(predictions=[answer]), zoo)
