"""Every request is asked twice, of the fast path and of KServe's: both must give the same answer."""

import itertools
import json
import struct

import numpy as np
import pytest

from loopwright.loop import Column

CONTRACT = {
    "plan": Column(type="string"),
    "tenure": Column(type="integer"),
    "charges": Column(type="number"),
    "senior": Column(type="boolean"),
}
FEATURES = """
import numpy as np
def features(columns):
    return {"plan": columns["plan"], "total": columns["tenure"] * columns["charges"], "senior": columns["senior"]}
"""
ROW = {"plan": "pro", "tenure": 3, "charges": 80.5, "senior": True}
KINDS = {"plan": "BYTES", "tenure": "INT64", "charges": "FP64", "senior": "BOOL"}
PREDICT, INFER = "/v1/models/churn:predict", "/v2/models/churn/infer"
ID = {"x-request-id": "order-1"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def random_rows(count, seed=5):
    random = np.random.default_rng(seed)
    return [
        {
            "plan": [None, "basic", "pro", "unseen", ""][random.integers(5)],
            "tenure": [None, int(random.integers(60)), 7.5][random.integers(3)],
            "charges": [None, float(random.normal(60, 20)), 10**15, True][random.integers(4)],
            "senior": [None, True, False, 1][random.integers(4)],
        }
        for _ in range(count)
    ]


@pytest.fixture(scope="module", params=["plain", "with feature code", "regression", "sklearn", "three classes"])
def loaded(request, make_model):
    return make_model(
        CONTRACT,
        random_rows(300, seed=1),
        "tenure",
        task="regression" if request.param == "regression" else "classification",
        estimator="logistic_regression" if request.param == "sklearn" else "lightgbm",
        code=FEATURES if request.param == "with feature code" else None,
        several=request.param == "three classes",
    )


@pytest.fixture(scope="module")
def both(loaded, ask_both):
    return ask_both(loaded)


def tensors(rows, *, flat=True, **changes):
    shape = [len(rows)] if flat else [len(rows), 1]
    return [
        {"name": name, "shape": shape, "datatype": kind, "data": [row[name] for row in rows], **changes}
        for name, kind in KINDS.items()
    ]


def test_v1_rows_as_objects_and_as_lists_are_answered_fast_and_alike(both):
    for row in random_rows(40):
        plain = all(value != "" for value in row.values())
        for instance in (row, list(row.values())):
            answer, fast = both.agree(PREDICT, json.dumps({"instances": [instance]}))
            assert (answer.status_code, fast) == (200, True)
        assert both.agree(PREDICT, json.dumps({"instances": [{**row, "customer": "c"}]}))[1] or not plain
    rows = random_rows(500)
    for count in (2, 199, 500):
        assert both.agree(PREDICT, json.dumps({"instances": rows[:count]}))[1]
        assert both.agree(PREDICT, json.dumps({"instances": [list(row.values()) for row in rows[:count]]}))[1]


def test_v2_tensors_are_answered_fast_and_alike(both):
    for row, flat in zip(random_rows(40), itertools.cycle((True, False))):
        if row["plan"] == "":
            continue
        answer, fast = both.agree(INFER, json.dumps({"id": "mine", "inputs": tensors([row], flat=flat)}))
        assert (answer.status_code, answer.json()["id"], fast) == (200, "mine", True)
    rows = random_rows(500)
    for count in (2, 500):
        assert both.agree(INFER, json.dumps({"inputs": tensors(rows[:count])}))[1]


def test_v2_binary_tensors_are_answered_fast_and_alike(both):
    rows = [{"plan": "pro", "tenure": n, "charges": n / 3, "senior": n % 2 == 0} for n in range(300)]
    raw = {
        "plan": b"".join(struct.pack("<I", 3) + b"pro" for _ in rows),
        "tenure": np.arange(300, dtype=np.int64).tobytes(),
        "charges": (np.arange(300) / 3).tobytes(),
        "senior": (np.arange(300) % 2 == 0).tobytes(),
    }
    inputs = [
        {"name": name, "shape": [300], "datatype": kind, "parameters": {"binary_data_size": len(raw[name])}}
        for name, kind in KINDS.items()
    ]
    head = json.dumps({"inputs": inputs}).encode()
    headers = {**ID, "inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    answer, fast = both.agree(INFER, head + b"".join(raw.values()), headers)
    assert (answer.status_code, fast) == (200, True)
    assert answer.json() == both.agree(INFER, json.dumps({"inputs": tensors(rows)}))[0].json()


ODD = [
    {"instances": [{**ROW, "tenure": "x"}]},
    {"instances": [{**ROW, "tenur": 1}]},
    {"instances": [{**ROW, "charges": 10**400}]},
    {"instances": [{**ROW, "charges": " "}]},
    {"instances": [{**ROW, "plan": 3}]},
    {"instances": [{**ROW, "plan": "  "}]},
    {"instances": [{**ROW, "plan": "pro"}, {}]},
    {"instances": [["pro", 3, 80.5]]},
    {"instances": [["pro", 3, 80.5, [True]]]},
    {"instances": [[{}], 3]},
    {"instances": [None]},
    {"instances": []},
    {"instances": {}},
    {"instances": [ROW], "parameters": {"a": 1}},
    [],
    7,
    None,
    {"inputs": tensors([ROW])},
    {"inputs": tensors([ROW]), "id": ""},
    {"inputs": tensors([ROW]), "id": 7},
    {"inputs": tensors([ROW]), "parameters": {}},
    {"inputs": tensors([ROW]), "outputs": [{"name": "class"}]},
    {"inputs": tensors([ROW]), "outputs": [{"name": "nothing"}]},
    {"inputs": tensors([ROW])[:3]},
    {"inputs": tensors([ROW])[:3] * 2},
    {"inputs": [*tensors([ROW])[:3], tensors([ROW])[0]]},
    {"inputs": tensors([ROW], shape=[2])},
    {"inputs": tensors([ROW], shape=[1, 1, 1])},
    {"inputs": tensors([ROW], shape=[])},
    {"inputs": tensors([ROW], shape=[-1])},
    {"inputs": tensors([ROW], shape=[1.0])},
    {"inputs": tensors([ROW], shape=[True])},
    {"inputs": tensors([ROW], datatype="FP16")},
    {"inputs": tensors([ROW], datatype="NONE")},
    {"inputs": tensors([ROW], data=[])},
    {"inputs": tensors([ROW], data=[[1]])},
    {"inputs": tensors([ROW], data=[{"a": 1}])},
    {"inputs": tensors([ROW], data=None)},
    {"inputs": tensors([ROW], data="a")},
    {"inputs": tensors([ROW, ROW], data=[[1], [2]])},
    {"inputs": tensors([ROW, {**ROW, "tenure": "x"}])},
    {"inputs": tensors([ROW, {**ROW, "plan": " "}])},
    {"inputs": tensors([ROW], parameters={"content_type": "np"})},
    {"inputs": tensors([ROW], parameters=5)},
    {"inputs": tensors([{**ROW, "charges": 10**400}])},
    {"inputs": tensors([ROW]), "parameters": 0},
    {"inputs": tensors([ROW]), "outputs": ""},
    {"inputs": [{"name": "input-0", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]},
    {"inputs": []},
    {"inputs": "abc"},
    {"inputs": [1, 2, 3, 4]},
]


@pytest.mark.parametrize("payload", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_what_is_odd_or_wrong_gets_the_same_answer_as_from_kserves_path(both, path, payload):
    assert both.agree(path, json.dumps(payload))[0].status_code in (200, 400)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"instances": [{"plan": "\\ud800"}]}', b"[" * 5000])
@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_what_is_no_json_gets_the_same_answer_as_from_kserves_path(both, path, body):
    assert both.agree(path, body)[0].status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"x-request-id": "x" * 300},
        {**ID, "content-type": "text/plain"},
        {**ID, "content-type": "application/json; charset=utf-8"},
        {**ID, "inference-header-content-length": "7"},
        {**ID, "inference-header-content-length": "none"},
    ],
    ids=lambda headers: "-".join(map(str, headers.values()))[:40],
)
@pytest.mark.parametrize(("path", "payload"), [(PREDICT, {"instances": [ROW]}), (INFER, {"inputs": tensors([ROW])})])
def test_headers_make_the_same_difference_on_both_paths(both, path, payload, headers):
    assert both.agree(path, json.dumps(payload), headers)[0].status_code in (200, 400)


def test_a_request_without_an_id_gets_a_new_one_each_time(both):
    first, second = (both.ask(front, PREDICT, json.dumps({"instances": [ROW]}))[0] for front in (both.fast, both.slow))
    assert first.json()["id"] != second.json()["id"]
    assert len(first.json()["id"]) == len(second.json()["id"]) == 32


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_predictions_are_asked_for_by_post_only(both, method):
    answer, _ = both.agree(PREDICT, json.dumps({"instances": [ROW]}), method=method)
    assert answer.status_code == 405


@pytest.mark.parametrize(("path", "payload"), [(PREDICT, {"instances": [ROW]}), (INFER, {"inputs": tensors([ROW])})])
def test_of_two_ids_in_headers_the_one_that_kserve_takes_counts(both, path, payload):
    headers = [("x-request-id", "first"), ("x-request-id", "second")]
    assert both.agree(path, json.dumps(payload), headers)[0].json()["id"] in ("first", "second")


def test_one_row_in_binary_tensors_is_answered_fast_and_alike(both):
    raw = {"plan": struct.pack("<I", 3) + b"pro", "tenure": struct.pack("<q", 3), "charges": struct.pack("<d", 80.5)}
    raw["senior"] = b"\x01"

    def ask(**sizes):
        inputs = [
            {
                "name": name,
                "shape": [1],
                "datatype": kind,
                "parameters": {"binary_data_size": sizes.get(name, len(raw[name]))},
            }
            for name, kind in KINDS.items()
        ]
        head = json.dumps({"inputs": inputs}).encode()
        headers = {**ID, "inference-header-content-length": str(len(head))}
        return both.agree(INFER, head + b"".join(raw.values()), headers)

    answer, fast = ask()
    assert (answer.status_code, fast) == (200, True)
    assert answer.json() == both.agree(INFER, json.dumps({"inputs": tensors([ROW])}))[0].json()
    for wrong in ({"charges": 7}, {"plan": 6}, {"senior": 0}, {"tenure": -1}):
        assert ask(**wrong)[0].status_code == 400
