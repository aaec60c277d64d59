import asyncio
import json

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from loopwright.loop import Column
from loopwright.models import bundle, columns, features, fit, model
from loopwright.serving.metrics import Metrics

CONTRACT = {"plan": Column(type="string"), "tenure": Column(type="integer"), "senior": Column(type="boolean")}
ROWS = [{"plan": "basic", "tenure": 3, "senior": True}, {"plan": None, "tenure": 40, "senior": False}]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Recorder:
    """Events as the predictor hands them over."""

    def __init__(self):
        self.added = []

    def add(self, ids, raw, predictions):
        self.added.append((ids, raw, predictions))


@pytest.fixture(scope="module", params=["classification", "regression"])
def loaded(request, tmp_path_factory):
    random = np.random.default_rng(1)
    inputs = columns.specs(CONTRACT)
    raw = columns.from_rows(
        inputs,
        [
            {"plan": str(random.choice(["basic", "pro"])), "tenure": int(random.integers(60)), "senior": row % 2 == 0}
            for row in range(200)
        ],
    )
    specs = features.fit_spec(raw)
    target = (raw["tenure"] > 30).astype(float)
    fitted = fit.fit(request.param, "lightgbm", {"n_estimators": 5}, 1, features.encode(specs, raw), specs, target)
    manifest = bundle.Manifest(
        loop="churn",
        task=request.param,
        estimator="lightgbm",
        classes=(False, True) if request.param == "classification" else (),
        inputs=inputs,
        features=specs,
        ignored=("customer",),
    )
    folder = tmp_path_factory.mktemp("models") / "model"
    bundle.write(folder, manifest, fitted.dump())
    return model.load(folder)


@pytest.fixture
def predictor(loaded):
    from loopwright.serving.predictor import Predictor
    from loopwright.serving.scorer import Scorer

    return Predictor("churn", "3", Scorer(loaded, Metrics("churn", "3", CollectorRegistry()), Recorder()))


def ask(predictor, payload, **headers):
    return asyncio.run(predictor.predict(payload, headers))


def expected(loaded, rows=ROWS):
    return loaded.predict(columns.from_rows(loaded.inputs, rows))


def test_v1_answers_with_ids_and_with_classes_or_values(predictor, loaded):
    answer = ask(predictor, {"instances": [{**row, "customer": "c"} for row in ROWS]}, **{"x-request-id": "abc"})
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("churn", "3", "abc")
    values = expected(loaded).tolist()
    if loaded.task == "regression":
        assert answer["predictions"] == [{"id": f"abc/{at}", "prediction": value} for at, value in enumerate(values)]
    else:
        assert answer["predictions"] == [
            {
                "id": f"abc/{at}",
                "class": "true" if value >= 0.5 else "false",
                "probability": value,
                "probabilities": {"false": 1 - value, "true": value},
            }
            for at, value in enumerate(values)
        ]


def test_one_row_has_the_requests_id_and_a_made_one_is_new_each_time(predictor):
    first, second = (ask(predictor, {"instances": ROWS[:1]}) for _ in range(2))
    assert first["predictions"][0]["id"] == first["id"] != second["id"]


def test_lists_are_taken_in_the_order_of_the_inputs(predictor, loaded):
    answer = ask(predictor, {"instances": [list(row.values()) for row in ROWS]})
    field = "prediction" if loaded.task == "regression" else "probability"
    assert [one[field] for one in answer["predictions"]] == expected(loaded).tolist()


def test_what_was_asked_and_answered_is_handed_to_the_events(predictor, loaded):
    ask(predictor, {"instances": ROWS}, **{"x-request-id": "abc"})
    ((identity, raw, predictions),) = predictor._scorer._events.added
    assert identity == "abc"
    assert raw["plan"].tolist() == ["basic", None]
    np.testing.assert_array_equal(predictions, expected(loaded))


def test_a_body_that_kserve_left_undecoded_is_read_as_json(predictor, loaded):
    answer = ask(predictor, json.dumps({"instances": ROWS}).encode())
    assert len(answer["predictions"]) == 2


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"instances": []}, "there are no rows to predict; expected at least one"),
        ({"inputs": []}, 'has no list "instances"'),
        ({"instances": {"plan": 1}}, 'has no list "instances"'),
        ([1], 'has no list "instances"'),
        (b"{", "the body is not JSON"),
        ({"instances": [3]}, "found the number 3; expected an object"),
        ({"instances": [ROWS[0], [1, 2, 3]]}, "row 1: found a list; expected an object"),
        ({"instances": [[1, 2, 3], ROWS[0]]}, "row 1: found an object; expected a list"),
        ({"instances": [{**ROWS[0], "tenure": "x"}]}, 'column "tenure": found the text "x"; expected a number'),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_what_to_correct(predictor, payload, message):
    from kserve.errors import InvalidInput

    with pytest.raises(InvalidInput) as caught:
        ask(predictor, payload)
    assert message in str(caught.value)
    assert predictor._scorer._events.added == []


def test_too_many_rows_and_too_long_an_id_are_refused(predictor):
    from kserve.errors import InvalidInput

    from loopwright.serving.scorer import TooManyRows

    with pytest.raises(TooManyRows, match="found 10001 rows; expected at most 10000"):
        ask(predictor, {"instances": ROWS[:1] * 10_001})
    with pytest.raises(InvalidInput, match="the request id has 300 characters"):
        ask(predictor, {"instances": ROWS}, **{"x-request-id": "x" * 300})


def tensor_request(**changes):
    from kserve import InferInput, InferRequest

    tensors = {
        "plan": ("BYTES", [2], ["basic", ""]),
        "tenure": ("INT64", [2, 1], [[3], [40]]),
        "senior": ("BOOL", [2], [True, False]),
        **changes,
    }
    return InferRequest("churn", [InferInput(name, shape, kind, data) for name, (kind, shape, data) in tensors.items()])


def test_v2_tensors_give_the_same_predictions_as_v1(predictor, loaded):
    answer = ask(predictor, tensor_request(), **{"x-request-id": "abc"})
    assert (answer.id, answer.model_version) == ("abc", "3")
    outputs = {output.name: output.data for output in answer.outputs}
    values = expected(loaded).tolist()
    if loaded.task == "regression":
        assert outputs == {"prediction": values}
    else:
        assert outputs == {"probability": values, "class": ["true" if value >= 0.5 else "false" for value in values]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tenure": ("INT64", [3], [1, 2])}, 'input "tenure" has 2 values; expected 3, as its shape says'),
        ({"tenure": ("INT64", [1, 2], [[1, 2]])}, 'input "tenure" has the shape [1, 2]; expected [n] or [n, 1]'),
        ({"tenure": ("INT65", [2], [1, 2])}, 'input "tenure" has the datatype INT65; expected FP64'),
        ({"tenure": ("INT64", [3], [1, 2, 3])}, 'column "tenure" has 3 values; expected 2, as column "plan" has'),
        ({"tenure": ("BYTES", [2], ["a", "b"])}, 'row 0: column "tenure": found the text "a"; expected a number'),
        ({"plan": ("FP64", [2], [1.0, 2.0])}, 'row 0: column "plan": found the number 1.0; expected text'),
        ({"plan": ("BYTES", [2], [b"\xff", b"a"])}, 'input "plan" holds bytes that are no text; expected UTF-8'),
        ({"extra": ("FP64", [2], [1.0, 2.0])}, 'column "extra" is unknown; expected the columns plan, tenure, senior'),
        ({"plan": ("BYTES", [20_000], ["a"] * 20_000)}, "found 20000 rows; expected at most 10000"),
        ({"plan": ("BYTES", [0], [])}, "there are no rows to predict"),
    ],
)
def test_a_wrong_tensor_is_refused_by_its_name(predictor, changes, message):
    from kserve.errors import InvalidInput

    with pytest.raises(InvalidInput) as caught:
        ask(predictor, tensor_request(**changes))
    assert message in str(caught.value)


def test_metadata_describe_the_tensors(predictor, loaded):
    assert predictor.get_input_types() == [
        {"name": "plan", "datatype": "BYTES", "shape": [-1]},
        {"name": "tenure", "datatype": "INT64", "shape": [-1]},
        {"name": "senior", "datatype": "BOOL", "shape": [-1]},
    ]
    names = ["prediction"] if loaded.task == "regression" else ["probability", "class"]
    assert [output["name"] for output in predictor.get_output_types()] == names
