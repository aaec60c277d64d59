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

from loopwright.errors import InputError
from loopwright.models.columns import Columns, Value, columns_of, from_lists, from_rows, row_reader
from loopwright.serving import answers, contents
from loopwright.serving import tensors as v2_tensors
from loopwright.serving.batch import MAX_ROWS
from loopwright.serving.contents import DATATYPES, NUMBERS
from loopwright.serving.metrics import Protocol
from loopwright.serving.scorer import MAX_ID_LENGTH, Scorer, identify

_ONE = ([1], [1, 1])
# What stands for no options.
_NOTHING: tuple[Any, ...] = (None, {}, [])


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
        self._numbers = all(spec.kind == "number" for spec in self._inputs)

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
        if (
            type(payload) is not dict
            or payload.get("parameters") not in _NOTHING
            or payload.get("outputs") not in _NOTHING
        ):
            return None
        given, tensors = payload.get("id"), payload.get("inputs")
        if type(tensors) is not list or not tensors or type(given) not in (str, type(None)):
            return None
        identity = given or identity
        if len(identity) > MAX_ID_LENGTH:
            return None
        try:
            if len(tensors) == 1 and self._is_matrix(tensors[0]["name"], tensors[0]["shape"], tensors[0]["datatype"]):
                return self._matrix(contents.given(tensors[0], body, json_length), tensors[0]["shape"][0], identity)
            if len(tensors) != len(self._names):
                return None
            if tensors[0]["shape"] in _ONE:
                values = self._one(tensors, body, json_length)
                return None if values is None else Request(identify(identity), 1, values, None)
            return self._several(tensors, identity, body, json_length)
        except (KeyError, TypeError, IndexError, ValueError, struct.error, InputError):
            return None

    def tensors(self, tensors: Sequence[Any], raw: Sequence[bytes], identity: str) -> Request | None:
        """A V2 request in gRPC's messages: contents by type, or raw ones beside them."""
        if not tensors or len(identity) > MAX_ID_LENGTH or (raw and len(raw) != len(tensors)):
            return None
        count = tensors[0].shape[0] if tensors[0].shape else 0
        shapes = ([count], [count, 1])
        found: dict[str, Any] = {}
        try:
            if len(tensors) == 1 and self._is_matrix(tensors[0].name, tensors[0].shape, tensors[0].datatype):
                return self._matrix(contents.carried(tensors[0], raw[0] if raw else None), count, identity)
            if len(tensors) != len(self._names) or not 0 < count <= MAX_ROWS:
                return None
            # A list of what the message holds costs less than to ask it for each.
            beside: list[bytes | None] = [*raw] if raw else [None] * len(tensors)
            for tensor, content in zip(tensors, beside, strict=True):
                if tensor.shape not in shapes:
                    return None
                data = contents.carried(tensor, content, one=count == 1)
                if len(data) != count:
                    return None
                found[tensor.name] = data
            if count == 1:
                values = self._read([found[name][0] for name in self._names])
                return None if values is None else Request(identify(identity), 1, values, None)
            return Request(identify(identity), count, None, columns_of(self._inputs, found))
        except (KeyError, TypeError, ValueError, struct.error, InputError):
            return None

    async def message(self, request: Request, response: Any, *, raw: bool) -> Any:
        """`answer`, as gRPC's message of this class; `raw` as the request's values were."""
        numbers = await self._predict(request)
        found = answers.outputs(numbers, self._scorer.classes, self._scorer.threshold)
        head = {"id": request.identity, "model_name": self._name, "model_version": self._version}
        if not raw:
            return response(
                **head,
                outputs=[
                    {
                        "name": name,
                        "shape": answers.shape(data, request.rows),
                        "datatype": datatype,
                        "contents": contents.fields(datatype, data),
                    }
                    for name, datatype, data in found
                ],
            )
        content = [contents.packed(datatype, data) for _, datatype, data in found]
        return response(
            **head,
            raw_output_contents=content,
            outputs=[
                {
                    "name": name,
                    "shape": answers.shape(data, request.rows),
                    "datatype": datatype,
                    "parameters": {"binary_data_size": {"int64_param": len(part)}},
                }
                for (name, datatype, data), part in zip(found, content, strict=True)
            ],
        )

    async def answer(self, protocol: Protocol, request: Request) -> bytes:
        """Predict and say it. Raises what the model raises, and Overloaded."""
        numbers = await self._predict(request)
        answer: dict[str, Any] = {
            "model_name": self._name,
            "model_version": self._version,
            "id": request.identity,
        }
        if protocol == "v1" and request.rows > 1:
            rows = answers.several(request.identity, numbers, self._scorer.classes, self._scorer.threshold)
            return orjson.dumps(answer)[:-1] + b',"predictions":' + rows + b"}"
        if protocol == "v1":
            answer["predictions"] = answers.predictions(
                [request.identity], numbers, self._scorer.classes, self._scorer.threshold
            )
        else:
            answer["outputs"] = [
                {"name": name, "shape": answers.shape(data, request.rows), "datatype": datatype, "data": data}
                for name, datatype, data in answers.outputs(numbers, self._scorer.classes, self._scorer.threshold)
            ]
        return orjson.dumps(answer)

    async def _predict(self, request: Request) -> list[Any]:
        if request.values is not None:
            return [self._scorer.one(request.identity, request.values)]
        assert request.columns is not None
        found: list[Any] = (await self._scorer.many(request.identity, request.columns, request.rows)).tolist()
        return found

    def _row(self, row: Any) -> list[Value] | None:
        if type(row) is dict and len(row) == len(self._names):
            try:
                row = [row[name] for name in self._names]
            except KeyError:
                return None
        elif type(row) is not list or len(row) != len(self._names):
            return None
        return self._read(row)

    def _is_matrix(self, name: str, shape: Any, datatype: str) -> bool:
        return self._numbers and datatype in NUMBERS and v2_tensors.is_matrix(name, shape, self._names)

    def _matrix(self, data: Any, count: int, identity: str) -> Request | None:
        if type(count) is not int or not 0 < count <= MAX_ROWS:
            return None
        if count == 1:
            row = data.tolist() if isinstance(data, np.ndarray) else data
            values = self._read(row[0] if len(row) == 1 else row)
            return None if values is None else Request(identify(identity), 1, values, None)
        found = v2_tensors.split(data, count, len(self._names))
        if found is None:
            return None
        columns = columns_of(self._inputs, dict(zip(self._names, found, strict=True)))
        return Request(identify(identity), count, None, columns)

    def _one(self, tensors: Sequence[dict[str, Any]], body: bytes, at: int | None) -> list[Value] | None:
        found = {}
        for tensor in tensors:
            data = tensor.get("data")
            if tensor["shape"] not in _ONE or tensor["datatype"] not in DATATYPES:
                return None
            if "parameters" in tensor and contents.odd(tensor):
                return None
            if data is None and at is not None:
                size = tensor["parameters"]["binary_data_size"]
                data = [contents.single(tensor["datatype"], body[at : at + size])]
                at += size
            if type(data) is not list or len(data) != 1:
                return None
            found[tensor["name"]] = data[0]
        # Nested data, such as [[1.0]], is none of the types that are read here.
        return self._read([found[name] for name in self._names])

    def _several(self, tensors: Sequence[dict[str, Any]], identity: str, body: bytes, at: int | None) -> Request | None:
        count = tensors[0]["shape"][0]
        if type(count) is not int or not 0 < count <= MAX_ROWS:
            return None
        shapes, found = ([count], [count, 1]), dict[str, Any]()
        for tensor in tensors:
            if tensor["shape"] not in shapes or tensor["datatype"] not in DATATYPES or contents.odd(tensor):
                return None
            data = tensor.get("data")
            if data is None:
                if at is None:
                    return None
                size = tensor["parameters"]["binary_data_size"]
                data = contents.array(tensor["datatype"], body[at : at + size])
                at += size
            elif type(data) is not list or (data and type(data[0]) is list):
                return None
            if len(data) != count:
                return None
            found[tensor["name"]] = data
        return Request(identify(identity), count, None, columns_of(self._inputs, found))


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
