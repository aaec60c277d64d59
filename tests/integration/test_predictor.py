"""The predictor as a process of its own, asked by KServe's clients and by plain HTTP."""

import asyncio
import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid

import httpx
import msgspec
import numpy as np
import pytest

from loopwright.loop import Column
from loopwright.models import bundle, columns, features, fit, model

CONTRACT = {"plan": Column(type="string"), "tenure": Column(type="integer"), "charges": Column(type="number")}
ROWS = [
    {"plan": "basic", "tenure": 3, "charges": 80.5},
    {"plan": "pro", "tenure": 50, "charges": None},
    {"plan": "unseen", "tenure": 20, "charges": 30.0},
]
TOKEN = "s3cret"
PREDICT, INFER = "/v1/models/churn:predict", "/v2/models/churn/infer"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small bundle, and its digest."""
    random = np.random.default_rng(1)
    inputs = columns.specs(CONTRACT)
    plans = np.array(random.choice(["basic", "plus", "pro"], 400), dtype=object)
    raw = {"plan": plans, "tenure": random.integers(0, 60, 400) * 1.0, "charges": random.normal(60, 20, 400)}
    specs = features.fit_spec(raw)
    target = (raw["tenure"] + 10 * (plans == "pro") > 30).astype(float)
    fitted = fit.fit("classification", "lightgbm", {"n_estimators": 20}, 1, features.encode(specs, raw), specs, target)
    manifest = bundle.Manifest(
        loop="churn",
        task="classification",
        estimator="lightgbm",
        classes=("No", "Yes"),
        inputs=inputs,
        features=specs,
        ignored=("customer",),
    )
    folder = tmp_path_factory.mktemp("models") / "model"
    contents = {**fitted.dump(), "profile.json": b'{"format": 1}', "input_example.json": json.dumps(ROWS).encode()}
    return folder, bundle.write(folder, manifest, contents)


class Receiver:
    """The monitor's side of the contract: it keeps what it is sent."""

    def __init__(self):
        self.profiles, self.messages, self.authorizations = [], [], set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _take(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.authorizations.add(self.headers["authorization"])
                if self.command == "PUT":
                    receiver.profiles.append((self.path, body))
                else:
                    receiver.messages.append(msgspec.msgpack.decode(body))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

            do_PUT = do_POST = _take  # noqa: N815

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ids(self):
        return [one for message in self.messages for one in message["ids"]]


class Process:
    """A predictor that was started, with the ports it took."""

    def __init__(self, trained, log, *arguments, http_port=0, grpc_port=0):
        folder, digest = trained
        self.log = log
        command = [sys.executable, "-m", "loopwright.serving", "--bundle", str(folder), "--digest", digest]
        command += ["--name", "churn", "--version", "3", "--http-port", str(http_port), "--grpc-port", str(grpc_port)]
        # As from a Secret that was made from a file.
        environment = {**os.environ, "LOOPWRIGHT_TOKEN": f"{TOKEN}\n"}
        with log.open("w") as output:
            self.process = subprocess.Popen([*command, *arguments], stderr=output, stdout=output, env=environment)
        self.url = self.grpc = ""

    def wait_ready(self):
        pattern = re.compile(r"HTTP (127.0.0.1:(\d+)), gRPC (127.0.0.1:\d+)")
        until(lambda: pattern.search(self.log.read_text()) or self.process.poll() is not None, 60)
        found = pattern.search(self.log.read_text())
        assert found, self.log.read_text()
        self.address, self.port, self.grpc = found[1], int(found[2]), found[3]
        self.url = f"http://{self.address}"
        until(lambda: self.get("/v2/health/ready").status_code == 200)
        return self

    def get(self, path):
        return httpx.get(self.url + path, timeout=10)

    def post(self, path, **named):
        return httpx.post(self.url + path, timeout=30, **named)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.TransportError):
            if condition():
                return
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture(scope="module")
def predictor(trained, receiver, tmp_path_factory):
    log = tmp_path_factory.mktemp("logs") / "predictor.log"
    process = Process(trained, log, "--monitor", receiver.url)
    yield process.wait_ready()
    assert process.end() == 0
    # One line to say that it is ready, one by what batches are predicted, two to say that it ends: none for a request,
    # whatever came in.
    assert len(log.read_text().splitlines()) == 4, log.read_text()


def expected(trained, rows=ROWS):
    loaded = model.load(trained[0])
    return loaded.predict(columns.from_rows(loaded.inputs, rows)).tolist()


def tensors():
    from kserve import InferInput, InferRequest

    inputs = [
        InferInput("plan", [3], "BYTES", ["basic", "pro", "unseen"]),
        InferInput("tenure", [3, 1], "INT64", [3, 50, 20]),
        InferInput("charges", [3], "FP64", [80.5, float("nan"), 30.0]),
    ]
    return InferRequest("churn", inputs, request_id=f"v2-{uuid.uuid4().hex[:8]}")


def test_it_is_ready_with_its_model_and_listens_on_the_loopback_address_only(predictor):
    assert predictor.get("/v2/health/live").json() == {"live": True}
    assert predictor.get("/v2/health/ready").json() == {"ready": True}
    assert predictor.get("/v2/models/churn/ready").json() == {"name": "churn", "ready": True}
    other = socket.gethostbyname(socket.gethostname())
    if not other.startswith("127."):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((other, predictor.port), timeout=2)


def test_v1_answers_with_the_models_own_predictions_ids_and_version(predictor, trained):
    answer = predictor.post(PREDICT, json={"instances": ROWS}, headers={"x-request-id": "order-1"})
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "3"
    body = answer.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("churn", "3", "order-1")
    assert [one["id"] for one in body["predictions"]] == ["order-1/0", "order-1/1", "order-1/2"]
    assert [one["probability"] for one in body["predictions"]] == expected(trained)
    assert {one["class"] for one in body["predictions"]} == {"Yes", "No"}


def test_many_rows_are_predicted_as_single_ones_are_whatever_predicts_them(predictor, trained):
    until(lambda: "batches are predicted by" in predictor.log.read_text())
    engine = "bit vectors" if "by bit vectors" in predictor.log.read_text() else "lightgbm"
    assert (
        f'loopwright_model_engine{{engine="{engine}",loop="churn",version="3"}} 1.0' in predictor.get("/metrics").text
    )
    answer = predictor.post(PREDICT, json={"instances": ROWS * 400}).json()
    assert [one["probability"] for one in answer["predictions"]] == expected(trained) * 400


def test_kserves_rest_client_gets_v1_and_v2_answers(predictor, trained):
    from kserve import InferenceRESTClient, RESTConfig

    async def ask(protocol, data):
        client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=20))
        assert await client.is_server_ready(predictor.url) if protocol == "v2" else True
        answer = await client.infer(predictor.url, data, model_name="churn")
        await client.close()
        return answer

    first = asyncio.run(ask("v1", {"instances": ROWS}))
    assert [one["probability"] for one in first["predictions"]] == expected(trained)
    request = tensors()
    # JSON has no NaN; a missing number is null.
    request.inputs[2].data = [80.5, None, 30.0]
    second = asyncio.run(ask("v2", request))
    outputs = {output.name: output.data for output in second.outputs}
    assert outputs["probability"] == expected(trained)
    assert outputs["class"] == ["Yes" if value >= 0.5 else "No" for value in expected(trained)]
    assert second.id == request.id
    # The client leaves the version out of what it returns; the answer has it.
    assert predictor.post(INFER, json=request.to_rest()[0]).json()["model_version"] == "3"


@pytest.mark.parametrize("raw", [False, True])
def test_kserves_grpc_client_gets_the_same_predictions(predictor, trained, raw):
    from kserve import InferenceGRPCClient

    request = tensors()
    if raw:
        for tensor, array in zip(
            request.inputs,
            [np.array(["basic", "pro", "unseen"], dtype=object), np.array([[3], [50], [20]]), [80.5, np.nan, 30.0]],
            strict=True,
        ):
            tensor.set_data_from_numpy(np.asarray(array))

    async def ask():
        client = InferenceGRPCClient(predictor.grpc, timeout=20)
        assert await client.is_server_ready()
        assert await client.is_model_ready("churn")
        answer = await client.infer(request)
        await client.close()
        return answer

    answer = asyncio.run(ask())
    outputs = {output.name: output.as_numpy().tolist() for output in answer.outputs}
    assert outputs["probability"] == expected(trained)
    assert [bytes(one) for one in outputs["class"]] == [b"Yes" if one >= 0.5 else b"No" for one in expected(trained)]
    assert answer.id == request.id


def test_grpc_names_what_is_wrong_by_status_and_text(predictor):
    import grpc
    from kserve import InferenceGRPCClient, InferInput, InferRequest

    async def ask(name, column):
        client = InferenceGRPCClient(predictor.grpc, timeout=20, retries=0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.infer(InferRequest(name, [InferInput(column, [1], "FP64", [1.0])]))
        await client.close()
        return caught.value

    wrong = asyncio.run(ask("churn", "tenur"))
    assert wrong.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert wrong.details() == 'column "tenur" is unknown; expected "tenure"'
    assert asyncio.run(ask("other", "tenure")).code() == grpc.StatusCode.NOT_FOUND


def test_v2_in_kserves_binary_form_gives_the_same_predictions(predictor, trained):
    request = tensors()
    request.inputs[2].set_data_from_numpy(np.array([80.5, np.nan, 30.0]))
    body, length = request.to_rest()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(length)}
    answer = predictor.post(INFER, content=body, headers=headers)
    assert answer.json()["outputs"][0]["data"] == expected(trained)
    assert (
        predictor.post(INFER, content=body, headers={**headers, "inference-header-content-length": "7"}).status_code
        == 400
    )


def v1(**row):
    return json.dumps({"instances": [{"plan": "pro", "tenure": 1, "charges": 1, **row}]})


def v2(**tensor):
    return json.dumps({"inputs": [{"name": "plan", **tensor}]})


@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        (PREDICT, v1(tenure="x"), 400, 'column "tenure": found the text "x"; expected a number'),
        (PREDICT, v1(tenur=1), 400, 'column "tenur" is unknown; expected "tenure"'),
        (PREDICT, '{"instances": [{}]}', 400, 'column "plan" is missing (and 2 more); expected all of plan'),
        (PREDICT, '{"instances": [', 400, "unexpected end of data: line 1 column 16"),
        (PREDICT, b"\xff\xfe", 400, "Unrecognized request format"),
        (PREDICT, '{"instances": [' + "{}," * 10_000 + "{}]}", 413, "found 10001 rows; expected at most 10000"),
        (PREDICT, " " * (16 * 1024 * 1024 + 1), 413, "larger than 16777216 bytes"),
        (INFER, '{"inputs": [', 400, "the body is not JSON"),
        (INFER, v2(), 400, "inputs.0.shape: Field required"),
        (INFER, v2(shape=[2], datatype="BYTES", data=["a"]), 400, 'input "plan" has 1 values; expected 2'),
        ("/v1/models/other:predict", '{"instances": []}', 404, "Model with name other does not exist"),
        ("/v2/models/other/infer", '{"inputs": []}', 404, "Model with name other does not exist"),
        ("/v2/repository/models/churn/unload", "", 501, "done by rollouts"),
        ("/nowhere", "", 404, "Not Found"),
    ],
)
def test_a_wrong_request_gets_a_status_and_a_json_error_and_harms_nothing(predictor, path, content, status, message):
    answer = predictor.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert message in answer.json()["error"]
    assert answer.headers["x-model-version"] == "3"
    assert predictor.get("/v2/models/churn/ready").status_code == 200


def test_explanations_add_up_to_the_predictions(predictor, trained):
    answer = predictor.post("/v1/models/churn:explain", json={"instances": ROWS}, headers={"x-request-id": "why"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("churn", "3", "why")
    assert [one["id"] for one in body["explanations"]] == ["why/0", "why/1", "why/2"]
    for one, probability in zip(body["explanations"], expected(trained), strict=True):
        assert set(one["contributions"]) == set(CONTRACT)
        score = one["base_value"] + sum(one["contributions"].values())
        assert 1 / (1 + np.exp(-score)) == pytest.approx(probability, abs=1e-12)
        assert one["raw_score"] == pytest.approx(score, abs=1e-12)
    wrong = predictor.post("/v1/models/churn:explain", json={"instances": [{**ROWS[0], "tenure": "x"}]})
    assert wrong.status_code == 400
    assert 'column "tenure": found the text "x"; expected a number' in wrong.json()["error"]


def test_the_profile_and_every_prediction_reach_the_monitor(predictor, receiver):
    name = uuid.uuid4().hex
    for number in range(20):
        predictor.post(PREDICT, json={"instances": ROWS[:1]}, headers={"x-request-id": f"{name}-{number}"})
    mine = [f"{name}-{number}" for number in range(20)]
    until(lambda: set(mine) <= set(receiver.ids()))
    assert receiver.profiles[0] == ("/v1/profiles/3", b'{"format": 1}')
    message = next(message for message in receiver.messages if f"{name}-0" in message["ids"])
    at = message["ids"].index(f"{name}-0")
    assert message["version"] == "3"
    unpacked = {name: np.frombuffer(raw) if isinstance(raw, bytes) else raw for name, raw in message["columns"].items()}
    assert {name: values[at] for name, values in unpacked.items()} == ROWS[0]
    assert len(message["predictions"]) == 8 * len(message["ids"])
    assert len([one for one in receiver.ids() if one in mine]) == 20
    assert receiver.authorizations == {f"Bearer {TOKEN}"}


def test_metrics_count_outcomes_times_rows_and_events(predictor, trained):
    def read():
        return dict(re.findall(r"^(loopwright_\S+) (\S+)$", predictor.get("/metrics").text, re.MULTILINE))

    ok = 'loopwright_predictions_total{loop="churn",outcome="ok",protocol="v1",version="3"}'
    rows = "loopwright_predicted_rows_total"
    before = read()
    predictor.post(PREDICT, json={"instances": ROWS})
    predictor.post(PREDICT, json={"instances": [{}]})
    after = read()
    labels = '{loop="churn",version="3"}'
    assert float(after[ok]) - float(before[ok]) == 1
    assert float(after[rows + labels]) - float(before[rows + labels]) == 3
    invalid = ok.replace("ok", "invalid")
    assert float(after[invalid]) - float(before[invalid]) == 1
    assert after['loopwright_events_dropped_total{loop="churn",reason="full",version="3"}'] == "0.0"
    seconds = 'loopwright_prediction_duration_seconds_count{loop="churn",protocol="v1",version="3"}'
    assert float(after[seconds]) - float(before[seconds]) == 2
    assert f'loopwright_model_info{{digest="{trained[1]}",loop="churn",version="3"}}' in after
    malformed = 'loopwright_prediction_errors_total{kind="malformed",loop="churn",version="3"}'
    assert float(after[malformed]) - float(before.get(malformed, 0)) == 1


def ask_until_told_to_close(process, rows, answered, failed):
    """A client that asks again and again on one kept connection, until an answer says that it is the last one."""
    body = json.dumps({"instances": rows})
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
    try:
        while True:
            connection.request("POST", PREDICT, body)
            answer = connection.getresponse()
            assert len(json.loads(answer.read())["predictions"]) == len(rows)
            answered.append((time.monotonic(), answer.status))
            if answer.will_close:
                return
    except Exception as error:
        failed.append(error)
    finally:
        connection.close()


def test_sigterm_drains_without_losing_a_request_and_without_a_monitor(trained, tmp_path):
    # Nothing listens where the monitor should be: predictions do not care.
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
    process = Process(trained, tmp_path / "log", "--monitor", nobody).wait_ready()
    answered, failed = [], []
    clients = [
        threading.Thread(target=ask_until_told_to_close, args=(process, rows, answered, failed))
        for rows in (ROWS, ROWS, ROWS, ROWS * 1000)
    ]
    for client in clients:
        client.start()
    until(lambda: len(answered) > 100)
    told = time.monotonic()
    process.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(30)
    assert process.process.wait(30) == 0
    assert not failed
    assert {status for _, status in answered} == {200}
    assert sum(moment > told for moment, _ in answered) >= len(clients)
    assert "does not answer; trying again" in (tmp_path / "log").read_text()


def test_while_it_drains_it_is_not_ready_and_grpc_calls_under_way_are_answered(trained, tmp_path):
    from kserve import InferenceGRPCClient, InferInput, InferRequest

    process = Process(trained, tmp_path / "log").wait_ready()
    count = 2000
    inputs = [
        InferInput("plan", [count], "BYTES", ["pro"] * count),
        InferInput("tenure", [count], "INT64", [3] * count),
        InferInput("charges", [count], "FP64", [50.0] * count),
    ]

    async def ask():
        client = InferenceGRPCClient(process.grpc, timeout=30)
        calls = [asyncio.create_task(client.infer(InferRequest("churn", inputs))) for _ in range(3)]
        await asyncio.sleep(0.05)
        process.process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient() as http_client:
            # The signal is taken between two requests; what comes right after it is still answered.
            async with asyncio.timeout(10):
                while (ready := await http_client.get(process.url + "/v2/health/ready")).status_code == 200:
                    await asyncio.sleep(0.01)
        answers = await asyncio.gather(*calls)
        await client.close()
        return ready, answers

    ready, answers = asyncio.run(ask())
    assert ready.status_code == 503
    assert [answer.outputs[0].shape for answer in answers] == [[count]] * 3
    assert process.process.wait(30) == 0


def test_under_steady_grpc_load_no_call_is_lost_when_one_of_two_predictors_ends(trained, tmp_path):
    import grpc
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    processes = [Process(trained, tmp_path / f"log{number}") for number in range(2)]
    addresses = ",".join(process.wait_ready().grpc for process in processes)
    inputs = [
        {"name": "plan", "shape": [1], "datatype": "BYTES", "contents": {"bytes_contents": [b"pro"]}},
        {"name": "tenure", "shape": [1], "datatype": "INT64", "contents": {"int64_contents": [3]}},
        {"name": "charges", "shape": [1], "datatype": "FP64", "contents": {"fp64_contents": [50.0]}},
    ]
    answered, stop = [], asyncio.Event()

    async def client(stub):
        while not stop.is_set():
            answer = await stub.ModelInfer(messages.ModelInferRequest(model_name="churn", inputs=inputs), timeout=20)
            answered.append(answer.id)

    async def run():
        options = [("grpc.lb_policy_name", "round_robin")]
        async with grpc.aio.insecure_channel(f"ipv4:{addresses}", options=options) as channel:
            stub = GRPCInferenceServiceStub(channel)
            async with asyncio.timeout(60), asyncio.TaskGroup() as clients:
                for _ in range(16):
                    clients.create_task(client(stub))
                while len(answered) < 500:
                    await asyncio.sleep(0.01)
                processes[0].process.send_signal(signal.SIGTERM)
                code = await asyncio.to_thread(processes[0].process.wait, 30)
                after = len(answered)
                while len(answered) < after + 200:
                    await asyncio.sleep(0.01)
                stop.set()
        return code

    # A call that fails ends its client, and the group with it.
    assert asyncio.run(run()) == 0
    assert len(set(answered)) == len(answered)
    assert processes[1].end() == 0


def test_a_port_in_use_ends_it_with_a_message_and_code_9(trained, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        first = Process(trained, tmp_path / "http", http_port=port)
        second = Process(trained, tmp_path / "grpc", grpc_port=port)
        assert (first.process.wait(60), second.process.wait(60)) == (9, 9)
    message = f"error: HTTP cannot listen on 127.0.0.1:{port}: Address already in use; expected a free port. Stop what"
    assert (tmp_path / "http").read_text().startswith(message)
    assert f"error: gRPC cannot listen on 127.0.0.1:{port}" in (tmp_path / "grpc").read_text()
    assert "Traceback" not in (tmp_path / "grpc").read_text()


def test_a_wrong_digest_ends_it_with_a_message_and_code_8(trained, tmp_path):
    process = Process((trained[0], "0" * 64), tmp_path / "log")
    assert process.process.wait(60) == 8
    text = (tmp_path / "log").read_text()
    assert text.startswith("error: ")
    assert f"the bundle's digest is {trained[1]}; expected {'0' * 64}" in text
    assert len(text.splitlines()) == 1
