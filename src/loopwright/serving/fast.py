"""Plain requests for predictions, answered without KServe's application: bytes in, bytes out.

What is plain: a well-formed V1 or V2 request for this model that asks for nothing special. Anything else (what is
wrong, options, cloud events) gives None, and the caller hands it to KServe's path, which answers or refuses it; so
there is one place for error texts, and this one can be short. Both paths give the same answers, which a test compares.
"""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from kserve.protocol.infer_type import deserialize_bytes_tensor
from kserve.utils.numpy_codec import to_np_dtype

from loopwright.errors import InputError
from loopwright.models.columns import Columns, Value, columns_of, from_lists, from_rows, row_reader
from loopwright.serving import answers
from loopwright.serving.metrics import Protocol
from loopwright.serving.scorer import MAX_ID_LENGTH, MAX_ROWS, Scorer, identify

_DATATYPES = frozenset({"FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"}) | {
    "BOOL",
    "BYTES",
}
_ONE = ([1], [1, 1])


class Request(NamedTuple):
    """A plain request: its id, and either one row's values or the columns of several rows."""

    identity: str
    rows: int
    values: list[Value] | None
    columns: Columns | None


class Fast:
    """The plain requests of one model."""

    def __init__(self, scorer: Scorer, name: str, version: str) -> None:
        self._scorer, self._name, self._version = scorer, name, version
        self._inputs, self._ignored = scorer.model.inputs, scorer.model.ignored
        self._names = [spec.name for spec in self._inputs]
        self._read = row_reader(self._inputs)

    def v1(self, body: bytes, identity: str) -> Request | None:
        """A V1 request. `identity` is the one that its header gives, or nothing."""
        payload = _parse(body)
        rows = payload.get("instances") if type(payload) is dict else None
        if type(rows) is not list or not 0 < len(rows) <= MAX_ROWS or len(identity) > MAX_ID_LENGTH:
            return None
        values = self._row(rows[0]) if len(rows) == 1 else None
        if values is not None:
            return Request(identify(identity), 1, values, None)
        try:
            if type(rows[0]) is list:
                columns = from_lists(self._inputs, rows)
            else:
                columns = from_rows(self._inputs, rows, self._ignored)
        except InputError:
            return None
        return Request(identify(identity), len(rows), None, columns)

    def v2(self, body: bytes, identity: str, json_length: int | None) -> Request | None:
        """A V2 request, in JSON, or with binary tensors after so many bytes of JSON."""
        payload = _parse(body if json_length is None else body[:json_length])
        if type(payload) is not dict or payload.get("parameters") or payload.get("outputs"):
            return None
        given, tensors = payload.get("id"), payload.get("inputs")
        if type(tensors) is not list or len(tensors) != len(self._names) or type(given) not in (str, type(None)):
            return None
        identity = given or identity
        if len(identity) > MAX_ID_LENGTH:
            return None
        try:
            if json_length is None and tensors[0]["shape"] in _ONE:
                values = self._one(tensors)
                return None if values is None else Request(identify(identity), 1, values, None)
            return self._several(tensors, identify(identity), body, json_length)
        except (KeyError, TypeError, IndexError, ValueError, struct.error, InputError):
            return None

    def tensors(self, tensors: Sequence[Any], raw: Sequence[bytes], identity: str) -> Request | None:
        """A V2 request in gRPC's messages: contents by type, or raw ones beside them."""
        if len(tensors) != len(self._names) or len(identity) > MAX_ID_LENGTH or (raw and len(raw) != len(tensors)):
            return None
        found: dict[str, Any] = {}
        count = tensors[0].shape[0] if tensors[0].shape else 0
        if not 0 < count <= MAX_ROWS:
            return None
        try:
            for index, tensor in enumerate(tensors):
                if list(tensor.shape) not in ([count], [count, 1]):
                    return None
                if raw:
                    data = _array(tensor.datatype, raw[index]) if tensor.datatype in _DATATYPES else ()
                else:
                    data = _contents(tensor)
                if len(data) != count:
                    return None
                found[tensor.name] = data
            if count == 1:
                values = self._read([_scalar(found[name][0]) for name in self._names])
                return None if values is None else Request(identify(identity), 1, values, None)
            return Request(identify(identity), count, None, columns_of(self._inputs, found))
        except (KeyError, ValueError, struct.error, InputError):
            return None

    async def message(self, request: Request, response: Any) -> Any:
        """`answer`, as gRPC's message of this class."""
        _, numbers = await self._predict(request)
        return response(
            id=request.identity,
            model_name=self._name,
            model_version=self._version,
            outputs=[
                {
                    "name": name,
                    "shape": [request.rows],
                    "datatype": datatype,
                    "contents": {"fp64_contents": data}
                    if datatype == "FP64"
                    else {"bytes_contents": [value.encode() for value in data]},
                }
                for name, datatype, data in answers.outputs(numbers, self._scorer.classes)
            ],
        )

    async def answer(self, protocol: Protocol, request: Request) -> bytes:
        """Predict and say it. Raises what the model raises, and Overloaded."""
        ids, numbers = await self._predict(request)
        answer: dict[str, Any] = {
            "model_name": self._name,
            "model_version": self._version,
            "id": request.identity,
        }
        if protocol == "v1":
            answer["predictions"] = answers.predictions(ids, numbers, self._scorer.classes)
        else:
            answer["outputs"] = [
                {"name": name, "shape": [request.rows], "datatype": datatype, "data": data}
                for name, datatype, data in answers.outputs(numbers, self._scorer.classes)
            ]
        return orjson.dumps(answer)

    async def _predict(self, request: Request) -> tuple[list[str], list[float]]:
        if request.values is not None:
            return [request.identity], [self._scorer.one(request.identity, request.values)]
        assert request.columns is not None
        ids, array = await self._scorer.many(request.identity, request.columns, request.rows)
        return ids, array.tolist()

    def _row(self, row: Any) -> list[Value] | None:
        if type(row) is dict and len(row) == len(self._names):
            try:
                row = [row[name] for name in self._names]
            except KeyError:
                return None
        elif type(row) is not list or len(row) != len(self._names):
            return None
        return self._read(row)

    def _one(self, tensors: Sequence[dict[str, Any]]) -> list[Value] | None:
        found = {tensor["name"]: tensor for tensor in tensors}
        values = []
        for name in self._names:
            tensor = found[name]
            data = tensor["data"]
            if tensor["shape"] not in _ONE or tensor["datatype"] not in _DATATYPES or len(data) != 1:
                return None
            values.append(data[0])
        # Nested data, such as [[1.0]], is none of the types that are read here.
        return self._read(values)

    def _several(self, tensors: Sequence[dict[str, Any]], identity: str, body: bytes, at: int | None) -> Request | None:
        count = tensors[0]["shape"][0]
        if type(count) is not int or not 0 < count <= MAX_ROWS:
            return None
        found: dict[str, Any] = {}
        for tensor in tensors:
            if tensor["shape"] not in ([count], [count, 1]) or tensor["datatype"] not in _DATATYPES:
                return None
            data = tensor.get("data")
            if data is None:
                if at is None:
                    return None
                size = tensor["parameters"]["binary_data_size"]
                data = _array(tensor["datatype"], body[at : at + size])
                at += size
            elif type(data) is not list or (data and type(data[0]) is list):
                return None
            if len(data) != count:
                return None
            found[tensor["name"]] = data
        return Request(identity, count, None, columns_of(self._inputs, found))


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _array(datatype: str, raw: bytes) -> Any:
    if datatype == "BYTES":
        return [value.decode() for value in deserialize_bytes_tensor(raw).tolist()]
    return np.frombuffer(raw, dtype=to_np_dtype(datatype))


# Where a tensor's values are in gRPC's message, by its datatype.
_CONTENTS = {
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}


def _contents(tensor: Any) -> list[Any]:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        return []
    values = list(getattr(tensor.contents, field))
    return [value.decode() for value in values] if field == "bytes_contents" else values


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
