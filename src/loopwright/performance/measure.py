"""How good each version was on joined rows: the metrics of training, exactly, with intervals, by slice too."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.performance.join import LABEL, PREDICTION, VERSION
from loopwright.statistics import metrics
from loopwright.statistics.labelled import Scores, Tally
from loopwright.statistics.labelled_values import Values
from loopwright.statistics.measured import Measured
from loopwright.statistics.profile import Profile

if TYPE_CHECKING:
    import pandas as pd


def versions(loop: Loop, rows: "pd.DataFrame", slices: Sequence[str] = ()) -> dict[str, Any]:
    """By version: `rows`, `metrics` (value, low, high of the 95 % interval), and the same by slice and its value.

    Raises DataError for a label that the task does not have.
    """
    rows = rows[np.isfinite(rows[PREDICTION].to_numpy(dtype=np.float64))]
    truth = _truth(loop, rows)
    names = rows[VERSION].astype(str) if VERSION in rows else rows[PREDICTION].map(lambda _: "")
    found: dict[str, Any] = {}
    for version in sorted(names.unique()):
        mine = (names == version).to_numpy()
        one = _measured(loop.model.task, truth[mine], rows[PREDICTION].to_numpy(dtype=np.float64)[mine])
        one["slices"] = {
            name: {
                str(value): _measured(loop.model.task, truth[rows.index.get_indexer(part.index)], part[PREDICTION])
                for value, part in rows[mine].groupby(name, dropna=False)
            }
            for name in slices
            if name in rows
        }
        found[version] = one
    return found


def _truth(loop: Loop, rows: "pd.DataFrame") -> "np.ndarray[Any, np.dtype[np.float64]]":
    import pandas as pd

    if loop.model.task == "regression":
        values = pd.to_numeric(rows[LABEL], errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            wrong = rows[LABEL][~np.isfinite(values)].iloc[0]
            raise DataError(f"a label is {str(wrong)[:40]!r}", expected="a number")
        return values
    texts = rows[LABEL].map(_text)
    known = sorted(texts.unique())
    positive = _text(loop.data.label.positive) if loop.data.label.positive is not None else known[-1] if known else ""
    if len(known) > 2 or (known and positive not in known and len(known) == 2):
        raise DataError(f"the labels are {', '.join(known[:5])}", expected=f"two classes, of which {positive} is one")
    return np.asarray(texts == positive, dtype=np.float64)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _measured(task: str, truth: Any, predicted: Any) -> dict[str, Any]:
    """Values as scikit-learn defines them; intervals from the sums of `labelled`, whose area has binned scores."""
    predicted = np.asarray(predicted, dtype=np.float64)
    errors = _errors(task, truth, predicted)
    both = task == "regression" or len(np.unique(truth)) == 2
    names = [name for name in errors if both or name != "roc_auc"]
    shown = {}
    for name in (*names, *(["average_precision"] if task == "classification" and both else [])):
        wanted = truth > 0.5 if task == "classification" else truth
        value = metrics.one(task, name, wanted, predicted)
        of = errors.get(name)
        low, high = of.interval() if of else (math.nan, math.nan)
        # The interval is moved along with the area, which bins may have changed a little.
        moved = value - of.value if of else 0.0
        shown[name] = {"value": value, "low": _finite(low + moved), "high": _finite(high + moved)}
    return {"rows": len(truth), "metrics": shown}


def _errors(task: str, truth: Any, predicted: Any) -> Mapping[str, Measured]:
    tally: Tally
    if task == "classification":
        tally = Scores(np.unique(np.quantile(predicted, np.linspace(0, 1, 200))))
    else:
        profile = Profile.build("", task, [], {}, {}, predicted)
        tally = Values(profile.prediction, float(np.var(truth)))
    return tally.measure(tally.of(truth, predicted))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
