"""What an answer says, for every protocol: V1's predictions row by row, and V2's outputs as columns."""

from collections.abc import Sequence
from typing import Any

Output = tuple[str, str, list[Any]]


def predictions(ids: Sequence[str], values: Sequence[float], classes: Sequence[str]) -> list[dict[str, Any]]:
    """V1: one object a row, with its id; probabilities are those of both classes."""
    if not classes:
        return [{"id": one, "prediction": value} for one, value in zip(ids, values, strict=True)]
    negative, positive = classes
    return [
        {
            "id": one,
            "class": positive if value >= 0.5 else negative,
            "probability": value,
            "probabilities": {negative: 1.0 - value, positive: value},
        }
        for one, value in zip(ids, values, strict=True)
    ]


def outputs(values: list[float], classes: Sequence[str]) -> list[Output]:
    """V2: (name, datatype, values) of `prediction`, or of `probability` (of the positive class) and `class`."""
    if not classes:
        return [("prediction", "FP64", values)]
    return [("probability", "FP64", values), ("class", "BYTES", [classes[value >= 0.5] for value in values])]
