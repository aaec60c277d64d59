"""What is sent, as bytes that are built before the clock starts, and what must come back.

A case is a protocol and a number of rows. Each server gets the request that suits it best: those that know columns by
name get a tensor a column, those that predict from a matrix get one tensor.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from bench.serving.model import NAME, NAMES

TOLERANCE = 1e-12
Form = str
Read = Callable[[bytes], Sequence[float]]


class Payload(NamedTuple):
    """Where to send it, its extra headers, its bytes, and how to read the numbers of its answer."""

    path: str
    headers: tuple[str, ...]
    bodies: list[bytes]
    read: Read


def build(form: Form, matrices: Any) -> Payload:
    """The payloads of a form for matrices (requests, rows, features)."""
    path, encode, read = _FORMS[form]
    made = [encode(one) for one in matrices]
    return Payload(path, made[0][1], [body for body, _ in made], read)


def check(answer: bytes, payload: Payload, expected: Any, who: str) -> None:
    """Raises ValueError unless the answer has LightGBM's own numbers."""
    found = np.asarray(payload.read(answer), dtype=float).reshape(-1)
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=0, atol=TOLERANCE):
        raise ValueError(f"{who} predicted other numbers than LightGBM: {found[:3]}; expected {expected[:3]}")


_JSON = ("content-type: application/json",)


def _dumps(body: Any) -> tuple[bytes, tuple[str, ...]]:
    return json.dumps(body, separators=(",", ":")).encode(), _JSON


def _v1_rows(matrix: Any) -> tuple[bytes, tuple[str, ...]]:
    return _dumps({"instances": matrix.tolist()})


def _v2_columns(matrix: Any) -> tuple[bytes, tuple[str, ...]]:
    rows = len(matrix)
    tensors = [
        {"name": name, "shape": [rows], "datatype": "FP64", "data": column}
        for name, column in zip(NAMES, matrix.T.tolist(), strict=True)
    ]
    return _dumps({"inputs": tensors})


def _v2_matrix(matrix: Any) -> tuple[bytes, tuple[str, ...]]:
    tensor = {"name": "input-0", "shape": list(matrix.shape), "datatype": "FP64", "data": matrix.reshape(-1).tolist()}
    return _dumps({"inputs": [tensor]})


def _binary(tensors: list[tuple[str, Any]]) -> tuple[bytes, tuple[str, ...]]:
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": "FP64",
                    "parameters": {"binary_data_size": array.nbytes},
                }
                for name, array in tensors
            ]
        }
    ).encode()
    headers = ("content-type: application/octet-stream", f"inference-header-content-length: {len(head)}")
    return head + b"".join(array.tobytes() for _, array in tensors), headers


def _binary_columns(matrix: Any) -> tuple[bytes, tuple[str, ...]]:
    return _binary([(name, np.ascontiguousarray(column)) for name, column in zip(NAMES, matrix.T, strict=True)])


def _binary_matrix(matrix: Any) -> tuple[bytes, tuple[str, ...]]:
    return _binary([("input-0", np.ascontiguousarray(matrix))])


def _message(tensors: list[tuple[str, Any]]) -> tuple[bytes, tuple[str, ...]]:
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages

    request = messages.ModelInferRequest(model_name=NAME)
    for name, array in tensors:
        request.inputs.add(name=name, shape=array.shape, datatype="FP64")
        request.raw_input_contents.append(array.tobytes())
    return request.SerializeToString(), ()


def _message_columns(matrix: Any) -> tuple[bytes, tuple[str, ...]]:
    return _message([(name, np.ascontiguousarray(column)) for name, column in zip(NAMES, matrix.T, strict=True)])


def _message_matrix(matrix: Any) -> tuple[bytes, tuple[str, ...]]:
    return _message([("input-0", np.ascontiguousarray(matrix))])


def _read_v1(answer: bytes) -> Sequence[float]:
    found = json.loads(answer)["predictions"]
    return [one["probability"] if isinstance(one, dict) else one for one in found]


def _read_v2(answer: bytes) -> Sequence[float]:
    outputs = json.loads(answer)["outputs"]
    data: Sequence[float] = outputs[0]["data"]
    return data


def _read_message(answer: bytes) -> Sequence[float]:
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages

    response = messages.ModelInferResponse.FromString(answer)
    if response.raw_output_contents:
        return list(np.frombuffer(response.raw_output_contents[0], dtype="<f8"))
    return list(response.outputs[0].contents.fp64_contents)


_V1, _V2, _GRPC = f"/v1/models/{NAME}:predict", f"/v2/models/{NAME}/infer", "/inference.GRPCInferenceService/ModelInfer"

_FORMS: dict[Form, tuple[str, Callable[[Any], tuple[bytes, tuple[str, ...]]], Read]] = {
    "v1 rows": (_V1, _v1_rows, _read_v1),
    "v2 columns": (_V2, _v2_columns, _read_v2),
    "v2 matrix": (_V2, _v2_matrix, _read_v2),
    "binary columns": (_V2, _binary_columns, _read_v2),
    "binary matrix": (_V2, _binary_matrix, _read_v2),
    "grpc columns": (_GRPC, _message_columns, _read_message),
    "grpc matrix": (_GRPC, _message_matrix, _read_message),
    "mlflow": ("/invocations", lambda matrix: _dumps({"inputs": matrix.tolist()}), _read_v1),
    "bentoml": ("/predict", lambda matrix: _dumps({"rows": matrix.tolist()}), json.loads),
    # The same bytes in as V2 gets; nothing is predicted, so its answer is the form's own.
    "echo": ("/", _v2_columns, lambda answer: []),
}
