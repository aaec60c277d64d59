"""Every gRPC call is made twice, of the fast path and of KServe's servicer: both must give the same answer."""

import struct

import numpy as np
import pytest
from grpc import StatusCode
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest

from loopwright.loop import Column
from loopwright.serving.scorer import Limits

CONTRACT = {"plan": Column(type="string"), "tenure": Column(type="integer"), "senior": Column(type="boolean")}
KINDS = {"plan": ("BYTES", "bytes"), "tenure": ("INT64", "int64"), "senior": ("BOOL", "bool")}
ROW = {"plan": b"pro", "tenure": 3, "senior": True}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module", params=["classification", "regression", "three classes"])
def both(request, make_model, ask_both):
    rows = [{"plan": ["basic", "pro"][n % 2], "tenure": n % 60, "senior": n % 3 == 0} for n in range(200)]
    several = request.param == "three classes"
    task = "classification" if several else request.param
    return ask_both(make_model(CONTRACT, rows, "tenure", task=task, several=several))


def typed(rows, **changes):
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": kind,
            "contents": {f"{field}_contents": [row[name] for row in rows]},
            **changes.get(name, {}),
        }
        for name, (kind, field) in KINDS.items()
    ]


def raw(rows, **changes):
    texts = b"".join(struct.pack("<I", len(row["plan"])) + row["plan"] for row in rows)
    contents = [
        texts,
        np.array([row["tenure"] for row in rows], np.int64).tobytes(),
        np.array([row["senior"] for row in rows], bool).tobytes(),
    ]
    bare = [{key: value for key, value in tensor.items() if key != "contents"} for tensor in typed(rows, **changes)]
    return {"inputs": bare, "raw_input_contents": contents}


def request(**fields):
    return ModelInferRequest(**{"model_name": "churn", **fields})


@pytest.mark.parametrize("count", [1, 2, 300])
def test_typed_and_raw_contents_are_answered_fast_and_alike(both, count):
    rows = [{"plan": [b"pro", b"basic", b"unseen"][n % 3], "tenure": n, "senior": n % 2 == 0} for n in range(count)]
    answers = []
    for fields in ({"inputs": typed(rows)}, raw(rows), {"inputs": typed(rows, plan={"shape": [count, 1]})}):
        answer, fast = both.agree_grpc(request(**fields))
        assert fast
        answers.append(answer)
    first, raw_one, flat = answers
    assert first == flat
    # Values come back in the form in which they were sent.
    numbers = np.array(first.outputs[0].contents.fp64_contents)
    assert raw_one.raw_output_contents[0] == numbers.tobytes()
    assert (answers[0].id, answers[0].model_version) == ("order-1", "3")
    assert list(answers[0].outputs[0].shape) == [count]


WRONG = [
    {"inputs": typed([ROW])[:2]},
    {"inputs": typed([ROW])[:2] * 2},
    {"inputs": [*typed([ROW])[:2], typed([ROW])[0]]},
    {"inputs": typed([ROW], tenure={"shape": [2]})},
    {"inputs": typed([ROW], plan={"shape": []})},
    {"inputs": typed([ROW], plan={"shape": [-1]})},
    {"inputs": typed([ROW], plan={"shape": [10_001]})},
    {"inputs": typed([ROW], tenure={"datatype": "FP64"})},
    {"inputs": typed([ROW], tenure={"datatype": "FP65"})},
    {"inputs": typed([ROW], tenure={"datatype": "BYTES", "contents": {"bytes_contents": [b"x"]}})},
    {"inputs": typed([ROW], plan={"contents": {"bytes_contents": [b"\xff"]}})},
    {"inputs": typed([ROW], plan={"datatype": "FP64", "contents": {"fp64_contents": [1.0]}})},
    {"inputs": []},
    {**raw([ROW]), "raw_input_contents": raw([ROW])["raw_input_contents"][:2]},
    {**raw([ROW]), "raw_input_contents": [b"\xff\xff\xff\xff", *raw([ROW])["raw_input_contents"][1:]]},
    {**raw([ROW]), "raw_input_contents": [*raw([ROW])["raw_input_contents"][:2], b""]},
    {**raw([ROW, ROW]), "raw_input_contents": [*raw([ROW, ROW])["raw_input_contents"][:2], b"\x01"]},
    {**raw([ROW]), "inputs": typed([ROW])},
    {"inputs": typed([ROW]), "id": "x" * 300},
    {"inputs": typed([ROW]), "model_name": "other"},
]


@pytest.mark.parametrize("fields", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_refused_as_by_kserves_servicer(both, fields):
    (code, text), fast = both.agree_grpc(request(**fields))
    assert code in (StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND)
    assert text
    assert not fast


ODD = [
    {"inputs": typed([{**ROW, "plan": b" "}])},
    {"inputs": typed([ROW], tenure={"datatype": "INT8", "contents": {"int_contents": [3]}})},
    {"inputs": typed([ROW], tenure={"parameters": {"content_type": {"string_param": "np"}}})},
    {"inputs": typed([ROW]), "id": "mine"},
    {"inputs": typed([ROW]), "model_version": "7"},
    {"inputs": typed([ROW]), "outputs": [{"name": "class"}]},
    {"inputs": typed([ROW]), "parameters": {"x": {"bool_param": True}}},
]


@pytest.mark.parametrize("fields", ODD, ids=range(len(ODD)))
def test_what_is_odd_is_answered_as_by_kserves_servicer(both, fields):
    answer, _ = both.agree_grpc(request(**fields))
    assert answer.id == fields.get("id", "order-1")


def test_the_id_comes_from_the_request_then_from_metadata_and_is_made_otherwise(both):
    metadata = [("x-request-id", "first"), ("x-request-id", "last"), ("user-agent", "test")]
    assert both.agree_grpc(request(inputs=typed([ROW])), metadata)[0].id == "last"
    assert both.agree_grpc(request(inputs=typed([ROW]), id="mine"), metadata)[0].id == "mine"
    made = {both.call(both.servicer, request(inputs=typed([ROW])))[0].id for _ in range(2)}
    assert len(made) == 2


def test_too_much_to_do_is_resource_exhausted_on_both_paths_and_counted(make_model, ask_both):
    rows = [{"plan": "pro", "tenure": n, "senior": True} for n in range(50)]
    both = ask_both(make_model(CONTRACT, rows, "tenure"), Limits(1, 1, 30.0))
    both.scorer._predicting._held = 1
    (code, text), fast = both.agree_grpc(request(inputs=typed([ROW] * 201)))
    assert (code, fast) == (StatusCode.RESOURCE_EXHAUSTED, True)
    assert "wait already; try again later" in text
    assert both.metrics.requests["grpc", "refused"] == 2
    assert both.metrics.errors == {"unavailable": 2}
