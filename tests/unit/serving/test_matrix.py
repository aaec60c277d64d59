"""One tensor that carries all inputs, in each form, over the fast path and over KServe's."""

import json

import numpy as np
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest

from loopwright.loop import Column

CONTRACT = {
    name: Column(type=kind) for name, kind in (("tenure", "integer"), ("charges", "number"), ("paid", "boolean"))
}
INFER = "/v2/models/churn/infer"
MATRIX = [[3.0, 80.5, 1.0], [50.0, None, 0.0], [20.0, 30.0, None]]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def rows(count):
    random = np.random.default_rng(3)
    return [
        {"tenure": int(random.integers(60)), "charges": float(random.normal(60, 20)), "paid": bool(random.integers(2))}
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def both(make_model, ask_both):
    return ask_both(make_model(CONTRACT, rows(300), "tenure"))


def matrix(data=None, shape=None, **changes):
    data = MATRIX if data is None else data
    return {"name": "input-0", "shape": shape or [len(data), 3], "datatype": "FP64", "data": data, **changes}


def ask(both, tensor, **more):
    return both.agree(INFER, json.dumps({"inputs": [tensor], **more}))


@pytest.mark.parametrize("count", [1, 3])
def test_nested_and_flat_are_the_columns_in_order(both, count):
    data = MATRIX[:count]
    columns = [
        {"name": name, "shape": [count], "datatype": "FP64", "data": [row[at] for row in data]}
        for at, name in enumerate(CONTRACT)
    ]
    expected = both.agree(INFER, json.dumps({"inputs": columns}))[0].json()
    for tensor in (matrix(data), matrix([value for row in data for value in row], [count, 3])):
        answer, fast = ask(both, tensor)
        assert (answer.status_code, fast) == (200, True)
        assert answer.json() == expected


@pytest.mark.parametrize(("datatype", "kind"), [("FP64", "f8"), ("FP32", "f4"), ("INT64", "i8")])
@pytest.mark.parametrize("count", [1, 2, 300])
def test_raw_bytes_over_http_and_grpc_and_typed_contents_are_the_same(both, datatype, kind, count):
    values = np.random.default_rng(7).normal(30, 20, (count, 3)).astype(kind)
    expected = ask(both, matrix(values.tolist()))[0].json()
    raw = values.tobytes()
    size = {"parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [{"name": "x", "shape": [count, 3], "datatype": datatype, **size}]}).encode()
    headers = {"x-request-id": "order-1", "inference-header-content-length": str(len(head))}
    answer, fast = both.agree(INFER, head + raw, headers)
    assert (answer.json(), fast) == (expected, True)
    field = {"FP64": "fp64_contents", "FP32": "fp32_contents", "INT64": "int64_contents"}[datatype]
    for contents, beside in (({}, [raw]), ({"contents": {field: values.ravel().tolist()}}, [])):
        tensor = {"name": "x", "shape": [count, 3], "datatype": datatype, **contents}
        message, fast = both.agree_grpc(
            ModelInferRequest(model_name="churn", inputs=[tensor], raw_input_contents=beside)
        )
        assert fast
        found = message.outputs[0].contents.fp64_contents
        if beside:
            found = np.frombuffer(message.raw_output_contents[0])
        assert list(found) == expected["outputs"][0]["data"]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (matrix(shape=[3, 2]), "the shape [3, 2]; expected [n] or [n, 1]; or one tensor of another name, of the shape "
         "[n, 3], whose columns are tenure, charges, paid"),
        (matrix(name="tenure"), 'input "tenure" has the shape [3, 3]; expected [n] or [n, 1]; or one tensor of'),
        (matrix(shape=[4, 3]), 'input "input-0" has 3 values; expected 12, as its shape [4, 3] says'),
        (matrix([[1, 2, 3], [1, 2]]), 'has 2 values; expected 6'),
        (matrix([[1, 2, "x"]]), 'column "paid": found the text "x"; expected true or false'),
        (matrix([1, [2], 3], [1, 3]), 'column "charges": found a list; expected a number'),
        (matrix(datatype="FP65"), 'the datatype FP65; expected FP64'),
        (matrix([], [0, 3]), "there are no rows to predict"),
        (matrix([[1, 2, 3]] * 10_001), "found 10001 rows"),
        (matrix(datatype="BYTES"), None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_matrix_is_said_alike(both, tensor, message):
    answer, _ = ask(both, tensor)
    assert answer.status_code in ((400, 413) if message else (200,))
    assert (message or "") in json.dumps(answer.json(), ensure_ascii=False).replace('\\"', '"')


def test_a_model_with_categories_takes_no_matrix(make_model, ask_both):
    contract = {**CONTRACT, "plan": Column(type="string")}
    mixed = ask_both(make_model(contract, [{**row, "plan": "pro"} for row in rows(100)], "tenure"))
    answer, _ = ask(mixed, matrix([[1, 2, 3, 4]], [1, 4]))
    assert answer.status_code == 400
    assert answer.json()["error"] == 'input "input-0" has the shape [1, 4]; expected [n] or [n, 1]'
