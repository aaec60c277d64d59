"""Which rows judge a model and are never trained on.

A split by entity hashes the entity, and a random one the row's content, so that a customer or a row is on the same side
in every snapshot: what judges version 9 has trained none of the versions before it, and champion and challenger are
compared on rows that both have not seen. Another seed is another split. By time the newest rows judge, of which a
champion of before may have been trained on none.
"""

import hashlib
from typing import TYPE_CHECKING, Any

from loopwright.errors import DataError
from loopwright.loop import Loop, spelling

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

# Below this many rows, and of each class, a part says nothing about a model.
LEAST_ROWS = 20
LEAST_OF_A_CLASS = 5


def split(frame: "pd.DataFrame", loop: Loop) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Training rows and holdout rows, by `data.holdout`.

    Raises DataError when a part is too small, or when it lacks a class of a classification.
    """
    holdout, data = loop.data.holdout, loop.data
    require_classes(frame, loop)
    if holdout.by == "entity":
        assert data.entity is not None
        judged = by_entity(frame[data.entity], loop)
    elif holdout.by == "time":
        assert data.timestamp is not None
        judged = by_time(frame[data.timestamp], loop)
    else:
        judged = by_content(frame, loop, days=data.timestamp is not None and days(frame[data.timestamp]))
    require_parts(frame, judged, loop)
    return frame[~judged].reset_index(drop=True), frame[judged].reset_index(drop=True)


def by_entity(entities: "pd.Series[Any]", loop: Loop) -> "Mask":
    """Which rows (n,) judge, by the entity of each."""
    share = loop.data.holdout.share
    return (entities.map(lambda entity: place(str(entity), loop.model.seed)) < share).to_numpy(dtype=bool)


def by_time(moments: "pd.Series[Any]", loop: Loop) -> "Mask":
    """Which rows (n,) judge, by the moments of all."""
    # Rows of one moment stay on one side, or the newest training rows would tell the holdout's.
    return (moments > moments.quantile(1 - loop.data.holdout.share)).to_numpy(dtype=bool)


def by_content(frame: "pd.DataFrame", loop: Loop, *, days: bool) -> "Mask":
    """Which of some rows (n,) judge, by what each says; `days` says of all rows what `days` says of moments."""
    share = loop.data.holdout.share
    return (_contents(frame, days).map(lambda row: place(row, loop.model.seed)) < share).to_numpy(dtype=bool)


def days(moments: "pd.Series[Any]") -> bool:
    """Whether all moments are midnights: then a row's text names the day alone."""
    known = moments.dropna()
    return bool((known == known.dt.normalize()).all())


def require_parts(frame: "pd.DataFrame", judged: "Mask", loop: Loop) -> None:
    """Raise DataError when a part is too small, or when it lacks a class; of the frame the label is looked at."""
    for mask, name in ((~judged, "training"), (judged, "holdout")):
        if (rows := int(mask.sum())) < LEAST_ROWS:
            raise DataError(
                f"{len(frame):,} rows leave {rows:,} for {name}",
                expected=f"at least {LEAST_ROWS} rows in each part",
                do="provide more rows, or change `data.holdout`",
            )
        require_classes(frame[mask], loop, f"in the {name} part ", LEAST_OF_A_CLASS)


def place(identity: str, seed: int) -> float:
    """Where an entity or a row falls in [0, 1), evenly and for one seed for ever the same."""
    return int.from_bytes(hashlib.sha256(f"{seed} {identity}".encode()).digest()[:8], "big") / 2**64


def classes(frame: "pd.DataFrame", loop: Loop) -> list[str]:
    """The two values of a classification's label, the positive one last; more in their declared order.

    Empty for a regression.
    """
    if loop.model.task == "regression":
        return []
    label = loop.data.label
    if label.classes:
        return [str(one) for one in label.classes]
    found = sorted(frame[label.column].dropna().unique().tolist())
    if label.positive is None:
        return found
    # YAML reads `true` and `1` as values of their own; the data has them as text.
    at = spelling.place(found, label.positive)
    if at < 0:
        raise DataError(
            f"the label {label.column} has {', '.join(found[:5])}",
            expected=f"the positive class {str(label.positive)!r} among them",
            do="correct `data.label.positive`",
        )
    return [*found[:at], *found[at + 1 :], found[at]]


def _contents(frame: "pd.DataFrame", days: bool) -> "pd.Series[str]":
    """Each row as text, whatever the order of the columns."""
    columns = [_texts(frame[name], days).fillna("\0").tolist() for name in sorted(frame.columns)]
    rows = ["\x1f".join(row) for row in zip(*columns, strict=True)]
    return frame.index.to_series().map(dict(zip(frame.index, rows, strict=True)))


def _texts(values: "pd.Series[Any]", days: bool) -> "pd.Series[Any]":
    """As pandas writes them: it writes moments as days where all that it is given are, and not only these rows."""
    if values.dtype.kind == "M" and not days:
        return values.map(str, na_action="ignore").astype("string")
    return values.astype("string")


def require_classes(frame: "pd.DataFrame", loop: Loop, part: str = "", least: int = 1) -> None:
    """Raise DataError for labels that no classification can be learnt from, or fewer than `least` of one."""
    if loop.model.task == "regression":
        return
    found = sorted(map(str, frame[loop.data.label.column].dropna().unique()))
    declared = classes(frame, loop) if loop.several else []
    if declared and (unknown := [one for one in found if one not in declared]):
        raise DataError(
            f"{part}the label {loop.data.label.column} has {', '.join(unknown[:5])}",
            expected=f"one of {', '.join(declared[:8])} (`data.label.classes`)",
            do="correct the source, or name the class",
        )
    if absent := [one for one in declared if one not in found]:
        raise DataError(
            f"{part}the label {loop.data.label.column} is never {', '.join(absent[:5])}",
            expected=f"at least {least} row{'s' * (least != 1)} of each class",
            do="provide such rows, or leave the class out of `data.label.classes`",
        )
    if not declared and len(found) != 2:
        shown = ", ".join(found[:5]) or "none"
        raise DataError(
            f"{part}the label {loop.data.label.column} has {len(found)} class{'es' * (len(found) != 1)} ({shown})",
            expected="two classes, or all of them in `data.label.classes`",
            do="check the label column and the source; for a number to predict use `task: regression`",
        )
    counts = frame[loop.data.label.column].value_counts()
    if counts.min() < least:
        raise DataError(
            f"{part}the label {loop.data.label.column} is {counts.idxmin()} in {counts.min()} of {len(frame):,} rows",
            expected=f"at least {least} rows of each class",
            do="provide more rows, or change `data.holdout`",
        )
