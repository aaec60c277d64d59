"""What an answer says, for every protocol: V1's predictions row by row, and V2's outputs as columns."""

from collections.abc import Sequence
from typing import Any

import orjson

from loopwright.serving.batch import MAX_ROWS

_ROWS = [b"%d" % row for row in range(MAX_ROWS)]

Output = tuple[str, str, list[Any]]


def predictions(
    ids: Sequence[str], values: Sequence[float], classes: Sequence[str], threshold: float = 0.5
) -> list[dict[str, Any]]:
    """V1: one object a row, with its id; probabilities are those of both classes, the threshold decides the class."""
    if not classes:
        return [{"id": one, "prediction": value} for one, value in zip(ids, values, strict=True)]
    negative, positive = classes
    return [
        {
            "id": one,
            "class": positive if value >= threshold else negative,
            "probability": value,
            "probabilities": {negative: 1.0 - value, positive: value},
        }
        for one, value in zip(ids, values, strict=True)
    ]


def several(identity: str, values: list[float], classes: Sequence[str], threshold: float = 0.5) -> bytes:
    """V1: `predictions` of the rows of a request as JSON, byte for byte what orjson makes of them.

    Objects for 1,000 rows, and their names written again for each, cost twice what the numbers do.
    """
    numbers = _each(values)
    row: list[bytes | list[bytes]] = [b'{"id":' + orjson.dumps(identity)[:-1] + b"/", _ROWS[: len(values)]]
    if classes:
        negative, positive = map(orjson.dumps, classes)
        named = (b'","class":' + negative, b'","class":' + positive)
        row += [[named[value >= threshold] for value in values], b',"probability":', numbers]
        row += [b',"probabilities":{' + negative + b":", _each([1.0 - value for value in values])]
        row += [b"," + positive + b":", numbers, b"}},"]
    else:
        row += [b'","prediction":', numbers, b"},"]
    parts = [b""] * (len(row) * len(values))
    for at, part in enumerate(row):
        parts[at :: len(row)] = part if isinstance(part, list) else [part] * len(values)
    return b"[" + b"".join(parts)[:-1] + b"]"


def _each(values: list[float]) -> list[bytes]:
    return orjson.dumps(values)[1:-1].split(b",")


def outputs(values: list[float], classes: Sequence[str], threshold: float = 0.5) -> list[Output]:
    """V2: (name, datatype, values) of `prediction`, or of `probability` (of the positive class) and `class`."""
    if not classes:
        return [("prediction", "FP64", values)]
    return [("probability", "FP64", values), ("class", "BYTES", [classes[value >= threshold] for value in values])]
