"""Bodies of inference requests and responses, as their clients and models wrote them: to rows and to predictions.

Both of KServe's protocols are read. V1 has `instances`, lists in the order of the profile's features or objects by
name, and `predictions`. V2, the Open Inference Protocol, has a tensor a feature, or one tensor of all in their order,
as JSON or in the binary extension. A feature that a request does not have is missing, as the drift of a feature that
stopped coming has to be seen; one that the profile does not have is ignored and counted.
"""

import json
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from loopwright.loop import spelling
from loopwright.monitor.events import EventError, Value
from loopwright.statistics.profile import Profile


class Asked(NamedTuple):
    """The rows of a request, each in the order of the profile's features."""

    rows: Sequence[Sequence[Value]]
    unknown: int
    """How many columns the profile does not have."""


class Answered(NamedTuple):
    """What a response says of the rows that were asked, and the id that it names, if any."""

    predictions: list[float]
    """P(positive) or values; of more than two classes the probability of the predicted one, NaN where nobody says."""
    id: str
    decided: list[int] | None = None
    """Of more than two classes the predicted one by its place, -1 where it is none of the profile's."""


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    instances: list[list[Value] | dict[str, Value] | Value] | None = None
    inputs: list[_Tensor] | None = None


class _Response(msgspec.Struct):
    predictions: list[Any] | None = None
    outputs: list[_Tensor] | None = None
    id: str | None = None


_REQUEST, _RESPONSE = msgspec.json.Decoder(_Request), msgspec.json.Decoder(_Response)
_DTYPES = {
    "BOOL": "?", "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_PREFERRED = ("probability", "probabilities", "predict_proba", "prediction", "predictions", "predict")
"""Names of the output that holds the prediction; without any of them it is the first output."""
_OF_SEVERAL = ("probabilities", "predict_proba", "class", *_PREFERRED)
"""The same of more than two classes: what says something of all of them comes first."""


def asked(body: bytes, profile: Profile) -> Asked:
    """The rows of a request. Raises EventError for a body that is none of the two protocols."""
    content = _decode(_REQUEST, body)
    if content.instances is not None:
        return _instances(content.instances, profile)
    if content.inputs:
        return _inputs(content.inputs, profile)
    raise EventError("a request without instances (V1) and without inputs (V2)", "columns")


def answered(body: bytes, profile: Profile) -> Answered:
    """The predictions of a response. Raises EventError for a body that is none of the two protocols."""
    content = _decode(_RESPONSE, body)
    if content.predictions is not None:
        found = content.predictions
    elif content.outputs:
        named = {tensor.name: tensor for tensor in content.outputs}
        preferred = _OF_SEVERAL if len(profile.classes) > 2 else _PREFERRED
        chosen = next((named[name] for name in preferred if name in named), content.outputs[0])
        found = _listed(chosen)
    else:
        raise EventError("a response without predictions (V1) and without outputs (V2)", "columns")
    name = content.id or ""
    if len(profile.classes) > 2:
        several = [_of_several(value, [str(one) for one in profile.classes]) for value in found]
        return Answered([score for _, score in several], name, [place for place, _ in several])
    if found and type(found[0]) is float:
        return Answered(found, name)
    return Answered([_prediction(value, profile) for value in found], name)


def _decode(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            return _lenient(decoder.type, body)
        except (ValueError, KeyError, TypeError, RecursionError) as other:
            # What the strict reader found says more of JSON that is broken.
            raise EventError(f"not the body of an inference: {error}") from other


def _lenient(kind: Any, body: bytes) -> Any:
    """JSON with NaN and Infinity, which Python's writers produce, or JSON with tensors of bytes behind it."""
    text = body.decode("latin-1")
    _, end = json.JSONDecoder().raw_decode(text)
    content = msgspec.convert(json.loads(body[:end]), kind)
    tensors = (content.inputs if isinstance(content, _Request) else content.outputs) or []
    at = end
    for tensor in tensors:
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is not None:
            tensor.data = _unpacked(tensor, body[at : at + size])
            at += size
    if body[at:].strip():
        raise ValueError("something stands behind the JSON")
    return content


def _unpacked(tensor: _Tensor, data: bytes) -> list[Any]:
    if tensor.datatype != "BYTES":
        return list(np.frombuffer(data, dtype=_DTYPES[tensor.datatype]).tolist())
    found, at = [], 0
    while at < len(data):
        try:
            (length,) = struct.unpack_from("<I", data, at)
        except struct.error as error:
            raise ValueError(str(error)) from error
        found.append(data[at + 4 : at + 4 + length].decode("utf-8", "replace"))
        at += 4 + length
    return found


def _instances(instances: list[Any], profile: Profile) -> Asked:
    names, unknown = profile.features, set[str]()
    rows: list[Sequence[Value]] = []
    for instance in instances:
        if isinstance(instance, dict):
            other = instance.keys() - names.keys()
            if len(other) == len(instance):
                raise EventError("an instance has none of the profile's features", "columns")
            unknown |= other
            rows.append([instance.get(name) for name in names])
        else:
            row = instance if isinstance(instance, list) else [instance]
            if len(row) != len(names):
                raise EventError(f"an instance has {len(row)} values; expected {len(names)}", "columns")
            rows.append(row)
    return Asked(rows, len(unknown))


def _inputs(tensors: list[_Tensor], profile: Profile) -> Asked:
    names = profile.features
    only = tensors[0]
    if len(tensors) == 1 and len(only.shape) == 2 and only.shape[1] == len(names) and only.name not in names:
        values, width = _listed(only), len(names)
        if values and not isinstance(values[0], list):
            values = [values[at : at + width] for at in range(0, len(values), width)]
        if any(not isinstance(row, list) or len(row) != width for row in values):
            raise EventError(f"the tensor {only.name[:80]} has rows of other than {width} values", "columns")
        return Asked(values, 0)
    given = {tensor.name: _flat(_listed(tensor)) for tensor in tensors}
    known = [name for name in names if name in given]
    if not known:
        raise EventError("a request with none of the profile's features", "columns")
    length = len(given[known[0]])
    if any(len(given[name]) != length for name in known):
        raise EventError("the request's tensors are not of one length", "columns")
    absent = [None] * length
    rows = list(zip(*(given.get(name, absent) for name in names), strict=True))
    return Asked(rows, len(given.keys() - names.keys()))


def _listed(tensor: _Tensor) -> list[Any]:
    if tensor.data is None:
        raise EventError(f"the tensor {tensor.name[:80]} has no data", "columns")
    # A matrix that is written flat, of k numbers a row: an answer's class probabilities.
    data, shape = tensor.data, tensor.shape
    if len(shape) == 2 and shape[1] > 1 and data and not isinstance(data[0], list):
        return [data[at : at + shape[1]] for at in range(0, len(data), shape[1])]
    return data


def _flat(values: list[Any]) -> list[Any]:
    if values and isinstance(values[0], list):
        if any(not isinstance(value, list) or len(value) != 1 for value in values):
            raise EventError("a tensor of one feature has more than one value a row", "columns")
        return [value[0] for value in values]
    return values


def _prediction(value: Any, profile: Profile) -> float:
    """One prediction as a number: the last of class probabilities, a class by its place, or the number itself."""
    if isinstance(value, list) and value:
        return _prediction(value[-1], profile)
    if isinstance(value, dict):
        found = next((value[name] for name in _PREFERRED if name in value), None)
        if found is not None:
            return _prediction(found, profile)
    # Two classes' names are 0 and 1; a model that answers with them instead of a probability is as sure as can be.
    if isinstance(value, (str, bool)) and (place := spelling.place(profile.classes, value)) >= 0:
        return float(place == len(profile.classes) - 1)
    if isinstance(value, (int, float)):
        return float(value)
    if value is None:
        return float("nan")
    raise EventError(f"the prediction is {str(value)[:40]!r}; expected a number or a class of the profile", "columns")


def _of_several(value: Any, classes: list[str]) -> tuple[int, float]:
    """(place, probability) of the predicted one of more than two classes: a probability of each, or its name."""
    if isinstance(value, dict):
        value = next((value[name] for name in _OF_SEVERAL if name in value), None)
    if isinstance(value, dict):
        # As our own predictor answers: a probability by name.
        by_place = {spelling.place(classes, name): one for name, one in value.items()}
        if len(value) == len(classes) and by_place.keys() == set(range(len(classes))):
            value = [by_place[place] for place in range(len(classes))]
    if isinstance(value, list) and len(value) == len(classes):
        try:
            scores = [math.nan if one is None else float(one) for one in value]
        except (TypeError, ValueError) as error:
            raise EventError("a class's probability is no number", "columns") from error
        known = [score for score in scores if not math.isnan(score)]
        return (scores.index(max(known)), max(known)) if known else (-1, math.nan)
    if isinstance(value, list) and len(value) == 1:
        return _of_several(value[0], classes)
    if isinstance(value, list):
        raise EventError(f"an answer has {len(value)} probabilities for {len(classes)} classes", "columns")
    return spelling.place(classes, value), math.nan
