"""V2 tensors: from the inputs of an Open Inference Protocol request to raw columns, and from predictions to outputs.

KServe has decoded the envelope (JSON, binary or gRPC); here each tensor becomes one column, checked before it is
converted.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from kserve import InferInput, InferOutput, InferRequest
from kserve.utils.numpy_codec import to_np_dtype

from loopwright.errors import InputError
from loopwright.loop import Scalar
from loopwright.models.columns import Array, Columns, InputSpec, from_arrays
from loopwright.serving import answers

_DATATYPES = {"integer": "INT64", "number": "FP64", "boolean": "BOOL", "string": "BYTES"}


def describe_inputs(inputs: Sequence[InputSpec]) -> list[dict[str, Any]]:
    """What a request carries, as the model's metadata tell it."""
    return [{"name": spec.name, "datatype": _DATATYPES[spec.type], "shape": [-1]} for spec in inputs]


def describe_outputs(classes: Sequence[Scalar]) -> list[dict[str, Any]]:
    """What an answer carries, as the model's metadata tell it."""
    if not classes:
        return [{"name": "prediction", "datatype": "FP64", "shape": [-1]}]
    found: list[dict[str, Any]] = [
        {"name": "probability", "datatype": "FP64", "shape": [-1]},
        {"name": "class", "datatype": "BYTES", "shape": [-1]},
    ]
    if len(classes) > 2:
        found.append({"name": "probabilities", "datatype": "FP64", "shape": [-1, len(classes)]})
    return found


def rows(request: InferRequest) -> int:
    """How many rows the first tensor says that the request has."""
    shape = request.inputs[0].shape if request.inputs else []
    return int(shape[0]) if shape else 0


def to_columns(request: InferRequest, inputs: Sequence[InputSpec], ignored: Sequence[str]) -> Columns:
    """The raw columns of a request with one tensor a column, or one of all columns (see `is_matrix`).

    Raises InputError naming the tensor that is wrong.
    """
    arrays: dict[str, Array] = {}
    numbers = all(spec.kind == "number" for spec in inputs)
    if len(request.inputs) == 1 and numbers:
        only = request.inputs[0]
        if is_matrix(only.name, only.shape, [spec.name for spec in inputs]):
            return from_arrays(inputs, _matrix(only, inputs))
    for tensor in request.inputs:
        if tensor.name in arrays:
            raise InputError(f'input "{tensor.name}" occurs twice', expected="one tensor a column")
        arrays[tensor.name] = _array(tensor, inputs if numbers else ())
    return from_arrays(inputs, arrays, ignored)


def is_matrix(name: str, shape: Sequence[int], names: Sequence[str]) -> bool:
    """Whether the only tensor of a request carries all inputs as its columns, in their order: shape [n, inputs].

    Clients that know tensors and no columns send this. The inputs have to be numbers, as a tensor has one datatype.
    """
    return isinstance(name, str) and len(shape) == 2 and shape[1] == len(names) > 1 and name not in names


def split(values: Any, count: int, width: int) -> list[Any] | None:
    """The columns of a matrix: a flat list or array by rows, or a list of rows; None for another number of values."""
    if len(values) == count and all(isinstance(row, (list, tuple)) and len(row) == width for row in values):
        return [[row[at] for row in values] for at in range(width)]
    return [values[at::width] for at in range(width)] if len(values) == count * width else None


def to_outputs(predictions: Array, classes: Sequence[str], threshold: float = 0.5) -> list[InferOutput]:
    """`prediction`, or `probability` (of the positive class) and `class`, each of shape [n]; see `answers.outputs`."""
    return [
        InferOutput(name, answers.shape(data, len(predictions)), datatype, data)
        for name, datatype, data in answers.outputs(predictions.tolist(), classes, threshold)
    ]


def _array(tensor: InferInput, together: Sequence[InputSpec]) -> Array:
    """One column's values; `together` are the inputs that one tensor could carry, for what was expected."""
    shape = list(tensor.shape)
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        names = ", ".join(spec.name for spec in together)
        matrix = f"; or one tensor of another name, of the shape [n, {len(together)}], whose columns are {names}"
        raise InputError(
            f'input "{tensor.name}" has the shape {shape}',
            expected="[n] or [n, 1]" + (matrix if len(together) > 1 else ""),
        )
    _check_datatype(tensor)
    values = _raw(tensor) if tensor._raw_data is not None else _flat(tensor)
    if len(values) != shape[0]:
        raise InputError(f'input "{tensor.name}" has {len(values)} values', expected=f"{shape[0]}, as its shape says")
    return values


def _matrix(tensor: InferInput, inputs: Sequence[InputSpec]) -> dict[str, Array]:
    _check_datatype(tensor)
    count, width = tensor.shape
    values = _raw(tensor) if tensor._raw_data is not None else list(tensor.data or ())
    columns = split(values, count, width)
    if columns is None:
        raise InputError(
            f'input "{tensor.name}" has {len(values)} values',
            expected=f"{count * width}, as its shape {[count, width]} says",
        )
    if isinstance(values, list):
        columns = [_text(tensor.name, column) for column in columns]
    return dict(zip((spec.name for spec in inputs), columns, strict=True))


def _check_datatype(tensor: InferInput) -> None:
    if to_np_dtype(tensor.datatype) is None:
        raise InputError(
            f'input "{tensor.name}" has the datatype {tensor.datatype}', expected="FP64, INT64, BOOL or BYTES"
        )


def _raw(tensor: InferInput) -> Array:
    try:
        array = np.asarray(tensor.as_numpy()).reshape(-1)
    except (ValueError, struct.error) as error:
        raise InputError(
            f'input "{tensor.name}" has raw data of another length', expected=f"{tensor.shape} of {tensor.datatype}"
        ) from error
    return _text(tensor.name, array.tolist()) if tensor.datatype == "BYTES" else array


def _flat(tensor: InferInput) -> Array:
    # JSON allows a tensor's values nested by its shape, or flat.
    values = list(tensor.data) if tensor.data is not None else []
    if (
        len(tensor.shape) == 2
        and values
        and all(isinstance(value, (list, tuple)) and len(value) == 1 for value in values)
    ):
        values = [value[0] for value in values]
    return _text(tensor.name, values)


def _text(name: str, values: list[Any]) -> Array:
    array = np.empty(len(values), dtype=object)
    try:
        array[:] = [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError as error:
        raise InputError(f'input "{name}" holds bytes that are no text', expected="UTF-8") from error
    return array
