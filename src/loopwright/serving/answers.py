"""What an answer says, for every protocol: V1's predictions row by row, and V2's outputs as columns.

Of more than two classes a row is decided to be of the most probable one, of equal ones the first.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from loopwright.serving.batch import MAX_ROWS, row_ids

_ROWS = [b"%d" % row for row in range(MAX_ROWS)]

Output = tuple[str, str, list[Any]]


def predictions(
    ids: Sequence[str], values: Sequence[Any], classes: Sequence[str], threshold: float = 0.5
) -> list[dict[str, Any]]:
    """V1: one object a row, with its id; probabilities are those of all classes, of two the threshold decides."""
    if not classes:
        return [{"id": one, "prediction": value} for one, value in zip(ids, values, strict=True)]
    if len(classes) > 2:
        return [
            {"id": one, **_decided(each, classes), "probabilities": dict(zip(classes, each, strict=True))}
            for one, each in zip(ids, values, strict=True)
        ]
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


def _decided(probabilities: list[float], classes: Sequence[str]) -> dict[str, Any]:
    highest = max(probabilities)
    return {"class": classes[probabilities.index(highest)], "probability": highest}


def several(identity: str, values: list[Any], classes: Sequence[str], threshold: float = 0.5) -> bytes:
    """V1: `predictions` of the rows of a request as JSON, byte for byte what orjson makes of them.

    Objects for 1,000 rows, and their names written again for each, cost twice what the numbers do.
    """
    if len(classes) > 2:
        return orjson.dumps(predictions(row_ids(identity, len(values)), values, classes))
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


def shape(data: Sequence[Any], rows: int) -> list[int]:
    """The shape of a V2 output of so many rows: [rows], or [rows, classes]."""
    return [rows] if len(data) == rows else [rows, len(data) // rows]


def _each(values: list[float]) -> list[bytes]:
    return orjson.dumps(values)[1:-1].split(b",")


def outputs(values: list[Any], classes: Sequence[str], threshold: float = 0.5) -> list[Output]:
    """V2: (name, datatype, values) of `prediction`, or of `probability` (of the positive class) and `class`.

    Of more than two classes `probability` is that of `class`, and `probabilities` are those of all, row by row.
    """
    if not classes:
        return [("prediction", "FP64", values)]
    if len(classes) > 2:
        named = [_decided(each, classes) for each in values]
        return [
            ("probability", "FP64", [one["probability"] for one in named]),
            ("class", "BYTES", [one["class"] for one in named]),
            ("probabilities", "FP64", [value for each in values for value in each]),
        ]
    return [("probability", "FP64", values), ("class", "BYTES", [classes[value >= threshold] for value in values])]
