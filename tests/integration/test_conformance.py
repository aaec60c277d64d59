"""The predictor against its protocols: KServe's own clients, the protocol's schemas, a fuzzer, and hostile bytes.

`open_inference.yaml` beside this file says what may be sent and what must come back.
"""

import asyncio
import importlib.util
import json
import re
import socket
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("predictor_process", HERE / "test_predictor.py")
started = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(started)
# The same predictor as in those tests, as a process of its own; at its end it asserts that no request wrote a log line.
trained, receiver, predictor = started.trained, started.receiver, started.predictor
ROWS, PREDICT, INFER, EXPLAIN = started.ROWS, started.PREDICT, started.INFER, "/v1/models/churn:explain"

DOCUMENT = yaml.safe_load((HERE / "open_inference.yaml").read_text())
EXAMPLES = 40
"""Requests an operation and kind (well-formed, malformed); the whole fuzzing takes under ten seconds."""

CONFORMANCE = ("status_code", "content_type", "response_schema", "response_headers")

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")]


def conforms(body, name):
    """Fails unless the body is what the document's schema of this name says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(body)


def v2(rows=ROWS):
    """The rows as a V2 request in JSON."""
    types = {"plan": "BYTES", "tenure": "INT64", "charges": "FP64"}
    return {
        "inputs": [
            {"name": name, "shape": [len(rows)], "datatype": datatype, "data": [row[name] for row in rows]}
            for name, datatype in types.items()
        ]
    }


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/v2", "metadata_server_response"),
        ("/v2/models/churn", "metadata_model_response"),
        ("/v2/models/churn/ready", "model_ready"),
        ("/v2/health/live", "live"),
        ("/v2/health/ready", "ready"),
        ("/v1/models/churn", "v1_ready"),
    ],
)
def test_metadata_and_readiness_have_the_protocols_form(predictor, path, schema):
    answer = predictor.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    conforms(answer.json(), schema)


def test_answers_have_the_protocols_form_for_one_row_and_for_many(predictor):
    for rows in (ROWS[:1], ROWS):
        conforms(predictor.post(PREDICT, json={"instances": rows}).json(), "v1_response")
        conforms(predictor.post(EXPLAIN, json={"instances": rows}).json(), "v1_explanation")
        answer = predictor.post(INFER, json=v2(rows)).json()
        conforms(answer, "inference_response")
        assert [output["shape"] for output in answer["outputs"]] == [[len(rows)]] * 2


def test_the_signature_in_the_metadata_is_one_that_can_be_asked_with(predictor, trained):
    inputs = predictor.get("/v2/models/churn").json()["inputs"]
    tensors = [
        {"name": one["name"], "datatype": one["datatype"], "shape": [3], "data": [row[one["name"]] for row in ROWS]}
        for one in inputs
    ]
    answer = predictor.post(INFER, json={"inputs": tensors}).json()
    assert answer["outputs"][0]["data"] == started.expected(trained)


def test_outputs_that_are_asked_for_are_the_ones_that_come(predictor, trained):
    answer = predictor.post(INFER, json={**v2(), "outputs": [{"name": "probability"}]})
    assert answer.status_code == 200, answer.text
    conforms(answer.json(), "inference_response")
    assert [one["name"] for one in answer.json()["outputs"]] == ["probability"]
    assert answer.json()["outputs"][0]["data"] == started.expected(trained)


def infer_request(binary):
    """KServe's request for the rows, its tensors as JSON or as raw bytes."""
    request = started.tensors()
    if binary:
        arrays = [np.array(["basic", "pro", "unseen"], dtype=object), np.array([[3], [50], [20]]), [80.5, np.nan, 30.0]]
        for tensor, array in zip(request.inputs, arrays, strict=True):
            tensor.set_data_from_numpy(np.asarray(array), binary_data=True)
        request.parameters = {"binary_data_output": True}
    else:
        request.inputs[2].data = [80.5, None, 30.0]
    return request


def rest(predictor, protocol, ask):
    """What a coroutine function of KServe's REST client returns."""
    from kserve import InferenceRESTClient, RESTConfig

    async def run():
        client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=20, retries=0))
        try:
            return await ask(client)
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.parametrize("binary", [False, True])
def test_kserves_rest_client_sends_and_reads_json_and_binary_tensors(predictor, trained, binary):
    request = infer_request(binary)
    answer = rest(predictor, "v2", lambda client: client.infer(predictor.url, request, model_name="churn"))
    outputs = {output.name: output.as_numpy().tolist() for output in answer.outputs}
    assert outputs["probability"] == started.expected(trained)
    labels = [one.decode() if isinstance(one, bytes) else one for one in outputs["class"]]
    assert labels == ["Yes" if value >= 0.5 else "No" for value in started.expected(trained)]
    assert answer.id == request.id


def test_kserves_rest_client_finds_the_server_and_the_model_ready_and_no_other(predictor):
    assert rest(predictor, "v2", lambda client: client.is_server_ready(predictor.url))
    assert rest(predictor, "v2", lambda client: client.is_server_live(predictor.url))
    for protocol in ("v1", "v2"):
        assert rest(predictor, protocol, lambda client: client.is_model_ready(predictor.url, "churn"))
    assert not rest(predictor, "v2", lambda client: client.is_model_ready(predictor.url, "other"))
    with pytest.raises(httpx.HTTPStatusError, match="Model with name other does not exist"):
        rest(predictor, "v1", lambda client: client.is_model_ready(predictor.url, "other"))


def test_kserves_rest_client_gets_explanations(predictor):
    answer = rest(
        predictor, "v1", lambda client: client.explain(predictor.url, model_name="churn", data={"instances": ROWS})
    )
    conforms(answer, "v1_explanation")
    assert len(answer["explanations"]) == len(ROWS)


@pytest.mark.parametrize("raw", [False, True])
def test_kserves_grpc_client_agrees_with_http_and_reads_the_metadata(predictor, trained, raw):
    import grpc
    from kserve import InferenceGRPCClient
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as services

    request = infer_request(raw)
    if not raw:
        request.inputs[2].data = [80.5, float("nan"), 30.0]

    async def ask():
        client = InferenceGRPCClient(predictor.grpc, timeout=20, retries=0)
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("churn")
        answer = await client.infer(request)
        await client.close()
        async with grpc.aio.insecure_channel(predictor.grpc) as channel:
            stub = services.GRPCInferenceServiceStub(channel)
            return answer, await stub.ModelMetadata(messages.ModelMetadataRequest(name="churn"))

    answer, metadata = asyncio.run(ask())
    assert {output.name: output.as_numpy().tolist() for output in answer.outputs}["probability"] == started.expected(
        trained
    )
    assert answer.id == request.id
    over_http = predictor.get("/v2/models/churn").json()
    assert [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs] == [
        (one["name"], one["datatype"], one["shape"]) for one in over_http["inputs"]
    ]


OPERATIONS = [
    f"{method.upper()} {path}"
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if method in ("get", "post")
]


# A GET without a parameter has nothing in it that could be wrong.
SENT = [(label, GenerationMode.POSITIVE) for label in OPERATIONS]
SENT += [(label, GenerationMode.NEGATIVE) for label in OPERATIONS if label.startswith("POST") or "{" in label]


@pytest.mark.parametrize(("label", "mode"), SENT)
def test_what_schemathesis_sends_is_answered_as_the_document_says(predictor, label, mode):
    method, path = label.split(" ")
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]
    checks = [
        schemathesis.checks.not_a_server_error,
        *(getattr(schemathesis.specs.openapi.checks, f"{name}_conformance") for name in CONFORMANCE),
    ]
    if path.startswith("/v1"):
        checks.append(schemathesis.specs.openapi.checks.negative_data_rejection)

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES if method == "POST" else 5,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case):
        answer = case.call(base_url=predictor.url)
        case.validate_response(answer, checks=checks)
        if mode is GenerationMode.POSITIVE and "{" not in path:
            assert answer.status_code == 200, answer.text

    ask()
    assert predictor.get("/v2/health/ready").status_code == 200


def exchange(predictor, request):
    """Send raw bytes on a connection of their own; the answer's status, headers and body, None when it was closed."""
    with socket.create_connection(("127.0.0.1", predictor.port), timeout=15) as connection:
        connection.sendall(request)
        # What was announced and never comes must not be waited for by either side.
        connection.shutdown(socket.SHUT_WR)
        content = b""
        while part := connection.recv(65536):
            content += part
    if not content:
        return None
    head, _, body = content.partition(b"\r\n\r\n")
    headers = dict(re.findall(rb"(?m)^([^:\r\n]+): ([^\r\n]*)", head.lower()))
    return int(head.split()[1]), headers, body


def posted(path, body, *headers, length=None):
    """A POST as bytes."""
    lines = [f"POST {path} HTTP/1.1", "host: predictor", "content-type: application/json", "connection: close"]
    lines += [f"content-length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


ROW = b'{"plan": "pro", "tenure": 1, "charges": %s}'
TENSOR = b'{"name": "plan", "shape": [1], "datatype": "BYTES", "data": ["pro"]}'
TENURE = b'{"name": "tenure", "shape": [1], "datatype": "INT64", "data": [1]}'


def instances(text):
    return b'{"instances": [' + text + b"]}"


def inputs(*tensors):
    return b'{"inputs": [' + b", ".join(tensors) + b"]}"


def charges(**changes):
    tensor = {"name": "charges", "shape": [1], "datatype": "FP64", "data": [1.0]} | changes
    return inputs(TENSOR, TENURE, json.dumps(tensor).encode())


BINARY = json.dumps(
    {
        "inputs": [
            {"name": "plan", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 7}},
            {"name": "tenure", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}},
            {"name": "charges", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}},
        ]
    }
).encode()
VALUES = b"\x03\0\0\0pro" + bytes(8) + bytes(8)


def binary(header=BINARY, values=VALUES, at=None):
    """A V2 request with raw tensors behind its JSON."""
    length = len(header) if at is None else at
    return posted(INFER, header + values, f"inference-header-content-length: {length}")


HOSTILE = {
    "no JSON": posted(PREDICT, b"instances"),
    "cut off": posted(PREDICT, b'{"instances": [{"plan":'),
    "nothing": posted(PREDICT, b""),
    "null": posted(PREDICT, b"null"),
    "a number": posted(PREDICT, b"7"),
    "no list": posted(PREDICT, b'{"instances": {"plan": "pro"}}'),
    "no rows": posted(PREDICT, b'{"instances": []}'),
    "a number beyond float64": posted(PREDICT, instances(ROW % b"1e400")),
    "a number of 5,000 digits": posted(PREDICT, instances(ROW % (b"9" * 5000))),
    "NaN": posted(PREDICT, instances(ROW % b"NaN")),
    "Infinity": posted(PREDICT, instances(ROW % b"-Infinity")),
    "a list for a number": posted(PREDICT, instances(ROW % b"[[1]]")),
    "an object for a number": posted(PREDICT, instances(ROW % b'{"a": 1}')),
    "text for a number": posted(PREDICT, instances(ROW % b'"1"')),
    "100,000 brackets": posted(PREDICT, instances(b"[" * 100_000)),
    "100,000 closed brackets": posted(PREDICT, instances(b"[" * 100_000 + b"]" * 100_000)),
    "100,000 nested objects": posted(INFER, b'{"inputs": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001),
    "invalid UTF-8": posted(PREDICT, instances(b'{"plan": "\xff\xfe", "tenure": 1, "charges": 1}')),
    "an overlong NUL": posted(PREDICT, instances(b'{"plan": "\xc0\x80", "tenure": 1, "charges": 1}')),
    "a lone surrogate": posted(PREDICT, instances(b'{"plan": "\\ud800", "tenure": 1, "charges": 1}')),
    "rows of two kinds": posted(PREDICT, instances(ROW % b"1" + b', ["pro", 1, 1]')),
    "a row too short": posted(PREDICT, instances(b'["pro", 1]')),
    "an unknown column": posted(PREDICT, instances(b'{"plan": "pro", "tenure": 1, "charges": 1, "more": 1}')),
    "a length beyond the limit": posted(PREDICT, b"{}", length=10**15),
    "an encoding nobody decodes": posted(PREDICT, b"\x1f\x8b\x08\x00", "content-encoding: gzip"),
    "a header of 100,000 bytes": posted(PREDICT, b"{}", "x-more: " + "a" * 100_000),
    "an id of 10,000 bytes": posted(PREDICT, instances(ROW % b"1"), "x-request-id: " + "a" * 10_000),
    "no tensors": posted(INFER, inputs()),
    "a tensor that is a number": posted(INFER, inputs(b"1")),
    "a tensor twice": posted(INFER, inputs(TENSOR, TENURE, TENURE)),
    "a tensor too few": posted(INFER, inputs(TENSOR, TENURE)),
    "an unknown tensor": posted(INFER, charges(name="more")),
    "an unknown datatype": posted(INFER, charges(datatype="FP65")),
    "a datatype that is a list": posted(INFER, charges(datatype=["FP64"])),
    "a shape of no length": posted(INFER, charges(shape=[])),
    "a shape below nothing": posted(INFER, charges(shape=[-1])),
    "a shape of billions": posted(INFER, charges(shape=[10**12])),
    "a shape beyond 64 bits": posted(INFER, charges(shape=[10**30])),
    "a shape of three": posted(INFER, charges(shape=[1, 1, 1])),
    "a shape of true": posted(INFER, charges(shape=[True, 5])),
    "more values than the shape": posted(INFER, charges(data=[1.0, 2.0])),
    "no values": posted(INFER, charges(data=[])),
    "values of another type": posted(INFER, charges(data=["x"])),
    "values nested deeper": posted(INFER, charges(data=[[[1.0]]])),
    "values nested ragged": posted(INFER, charges(shape=[2], data=[[1.0], 2.0])),
    "rows that differ": posted(INFER, charges(shape=[2], data=[1.0, 2.0])),
    "an output nobody has": posted(INFER, charges()[:-1] + b', "outputs": [{"name": "nothing"}]}'),
    "an id that is a number": posted(INFER, charges()[:-1] + b', "id": [7]}'),
    "binary: JSON longer than the body": binary(at=10**6),
    "binary: JSON cut off": binary(at=20),
    "binary: JSON of a negative length": binary(at=-1),
    "binary: JSON of length NaN": binary(at="NaN"),
    "binary: nothing behind the JSON": binary(values=b""),
    "binary: too little behind the JSON": binary(values=VALUES[:-1]),
    "binary: a size that is too large": binary(BINARY.replace(b": 8}", b": 8000000000}")),
    "binary: a size below nothing": binary(BINARY.replace(b": 8}", b": -8}")),
    "binary: a size of no multiple": binary(BINARY.replace(b": 8}", b": 7}")),
    "binary: a size that is text": binary(BINARY.replace(b": 8}", b': "8"}')),
    "binary: text longer than it is": binary(values=b"\xff\xff\xff\x7fpro" + VALUES[7:]),
    "binary: text that is no UTF-8": binary(values=b"\x03\0\0\0\xff\xfe\xfd" + VALUES[7:]),
}

NO_HTTP = {
    "a length that is text": posted(PREDICT, b"{}", length="two"),
    "a negative length": posted(PREDICT, b"{}", length=-2),
    "a length of 400 digits": posted(PREDICT, b"{}", length="9" * 400),
    "two lengths": posted(PREDICT, b"{}", "content-length: 5"),
    "a length and chunks": posted(PREDICT, b"2\r\n{}\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    "chunks of no number": posted(PREDICT, b"zz\r\n{}\r\n", "transfer-encoding: chunked").replace(
        b"content-length: 8\r\n", b""
    ),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bytes_get_a_4xx_with_a_json_error_and_the_server_lives(predictor, what):
    answer = exchange(predictor, HOSTILE[what])
    assert answer is not None, "the connection was closed without an answer"
    status, headers, body = answer
    assert 400 <= status < 500, (status, body[:300])
    assert headers[b"content-type"] == b"application/json", (status, body[:300])
    conforms(json.loads(body), "error")
    assert exchange(predictor, posted(PREDICT, instances(ROW % b"1")))[0] == 200


@pytest.mark.parametrize("what", NO_HTTP)
def test_what_is_no_http_is_answered_400_and_its_connection_is_closed(predictor, what):
    status, headers, _ = exchange(predictor, NO_HTTP[what])
    assert (status, headers[b"connection"]) == (400, b"close")
    assert exchange(predictor, posted(PREDICT, instances(ROW % b"1")))[0] == 200
