"""Every request is asked twice, of the fast path and of KServe's: both must give the same answer."""

import asyncio
import itertools
import json
import struct

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from loopwright.loop import Column
from loopwright.models import bundle, columns, features, fit, model
from loopwright.serving.metrics import Metrics

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


class Recorder:
    """The rows that are handed over to be monitored."""

    def __init__(self):
        self.rows = []

    def add(self, ids, raw, predictions):
        self.rows += zip(ids, *(raw[name].tolist() for name in CONTRACT), predictions.tolist(), strict=True)

    def add_row(self, identity, values, prediction):
        self.rows.append((identity, *values, prediction))


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


@pytest.fixture(scope="module", params=["plain", "with feature code", "regression", "sklearn"])
def loaded(request, tmp_path_factory):
    inputs = columns.specs(CONTRACT)
    raw = columns.from_rows(inputs, random_rows(300, seed=1))
    code = FEATURES if request.param == "with feature code" else None
    seen = features.load(code)(raw) if code else raw
    specs = features.fit_spec(seen)
    task = "regression" if request.param == "regression" else "classification"
    target = (np.nan_to_num(raw["tenure"]) > 20).astype(float)
    estimator = "logistic_regression" if request.param == "sklearn" else "lightgbm"
    fitted = fit.fit(task, estimator, {}, 1, features.encode(specs, seen), specs, target)
    manifest = bundle.Manifest(
        loop="churn",
        task=task,
        estimator=estimator,
        classes=("No", "Yes") if task == "classification" else (),
        inputs=inputs,
        features=specs,
        ignored=("customer",),
    )
    folder = tmp_path_factory.mktemp("models") / "model"
    bundle.write(folder, manifest, {**fitted.dump(), **({"features.py": code.encode()} if code else {})})
    return model.load(folder)


class Both:
    """One predictor behind two fronts: one with the fast path and one without."""

    def __init__(self, loaded):
        from fastapi import FastAPI
        from kserve import ModelServer
        from kserve.protocol.model_repository_extension import ModelRepositoryExtension

        from loopwright.serving import rest
        from loopwright.serving.fast import Fast
        from loopwright.serving.front import Front
        from loopwright.serving.predictor import Predictor
        from loopwright.serving.scorer import Scorer
        from loopwright.serving.server import _DataPlane

        metrics, self.recorder = Metrics("churn", "3", CollectorRegistry()), Recorder()
        scorer = Scorer(loaded, metrics, self.recorder)
        server = ModelServer(workers=1)
        server.register_model(Predictor("churn", "3", scorer))
        # KServe has one application a process; here each model has its own.
        app = FastAPI()
        plane = _DataPlane(server.registered_models)
        rest._Rest(plane, ModelRepositoryExtension(server.registered_models)).register(app)
        self.passed = 0

        async def passed(scope, receive, send):
            self.passed += 1
            await app(scope, receive, send)

        self.fast = Front(passed, "churn", "3", metrics, Fast(scorer, "churn", "3"))
        self.slow = Front(app, "churn", "3", metrics)

    def ask(self, front, path, body, headers=()):
        """The answer, and the rows that were recorded."""

        async def one():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://predictor") as client:
                return await client.post(path, content=body, headers=dict(headers))

        self.recorder.rows = []
        return asyncio.run(one()), repr(self.recorder.rows)

    def agree(self, path, body, headers=ID):
        """Ask both: the answers and what was recorded are the same. Returns the answer, and whether it was fast."""
        passed = self.passed
        (fast, recorded), (slow, expected) = (self.ask(front, path, body, headers) for front in (self.fast, self.slow))
        assert (fast.status_code, said(fast)) == (slow.status_code, said(slow))
        for name in ("content-type", "x-model-version"):
            assert fast.headers[name] == slow.headers[name], name
        assert recorded == expected
        return fast, self.passed == passed


@pytest.fixture(scope="module")
def both(loaded):
    return Both(loaded)


def said(answer):
    """What an answer says: KServe's V2 answers have null for parameters where there are none."""
    body = answer.json()
    for part in (body, *body.get("outputs", ())):
        if part.get("parameters", 0) is None:
            del part["parameters"]
    return body


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
