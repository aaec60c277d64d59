"""The values of one V2 tensor as it comes: in JSON, as raw bytes behind it or beside it, or in gRPC's typed fields.

What has another form than the protocol's raises KeyError, TypeError, ValueError or struct.error: the fast path leaves
such a request to KServe's, which says what is wrong with it.
"""

import struct
from typing import Any

import numpy as np
from kserve.protocol.infer_type import deserialize_bytes_tensor
from kserve.utils.numpy_codec import to_np_dtype

# One number as raw bytes, by its tensor's datatype.
NUMBERS = {
    datatype: struct.Struct(f"<{code}").unpack
    for datatype, code in zip(
        ("FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8", "BOOL"),
        "dfqihbQIHB?",
        strict=True,
    )
}
DATATYPES = frozenset({*NUMBERS, "BYTES"})


def odd(tensor: dict[str, Any]) -> bool:
    """Whether a tensor in JSON has parameters that are not names with plain values."""
    parameters = tensor.get("parameters")
    return parameters is not None and not (
        type(parameters) is dict and all(type(value) in (str, int, float, bool) for value in parameters.values())
    )


def given(tensor: dict[str, Any], body: bytes, at: int | None) -> Any:
    """The values of the only tensor: a list, or an array of what follows the JSON."""
    if odd(tensor):
        raise TypeError("the parameters are none")
    data = tensor.get("data")
    if data is None and at is not None:
        return array(tensor["datatype"], body[at : at + tensor["parameters"]["binary_data_size"]])
    if type(data) is not list:
        raise TypeError("the values are no list")
    return data


def single(datatype: str, raw: bytes) -> Any:
    """The one value of raw bytes. Raises struct.error where there are more or fewer, KeyError for the datatype."""
    if datatype == "BYTES":
        (size,) = struct.unpack_from("<I", raw)
        return struct.unpack(f"<4x{size}s", raw)[0].decode()
    return NUMBERS[datatype](raw)[0]


def array(datatype: str, raw: bytes) -> Any:
    """The values of raw bytes. Raises ValueError, struct.error or KeyError."""
    if datatype == "BYTES":
        return [value.decode() for value in deserialize_bytes_tensor(raw).tolist()]
    if datatype not in NUMBERS:
        raise KeyError(datatype)
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


def carried(tensor: Any, raw: bytes | None, *, one: bool = False) -> Any:
    """The values of a tensor of gRPC's message: `raw`, or the field of its datatype; `one` where there is one row."""
    if raw is None:
        return _typed(tensor)
    if tensor.HasField("contents"):
        raise ValueError("a tensor has values twice")
    return [single(tensor.datatype, raw)] if one else array(tensor.datatype, raw)


def _typed(tensor: Any) -> list[Any]:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        return []
    values = list(getattr(tensor.contents, field))
    return [value.decode() for value in values] if field == "bytes_contents" else values


def fields(datatype: str, data: list[Any]) -> dict[str, list[Any]]:
    """An output's values, FP64 or BYTES, as the typed field of gRPC's message."""
    return {"fp64_contents": data} if datatype == "FP64" else {"bytes_contents": [value.encode() for value in data]}


def packed(datatype: str, data: list[Any]) -> bytes:
    """An output's values, FP64 or BYTES, as raw bytes."""
    if datatype == "FP64":
        return struct.pack(f"<{len(data)}d", *data)
    texts = [value.encode() for value in data]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
