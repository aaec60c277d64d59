"""How good each version was on joined rows: the metrics of training, exactly, with intervals, by slice too."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.archive.layout import CLASS
from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.loop.spelling import place, spelled
from loopwright.performance.join import LABEL, PREDICTION, VERSION
from loopwright.statistics import metrics
from loopwright.statistics.labelled import Scores, Tally
from loopwright.statistics.labelled_classes import Decisions
from loopwright.statistics.labelled_values import Values
from loopwright.statistics.measured import Measured
from loopwright.statistics.profile import Profile

if TYPE_CHECKING:
    import pandas as pd


def versions(
    loop: Loop, rows: "pd.DataFrame", slices: Sequence[str] = (), thresholds: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """By version: `rows`, `metrics` (value, low, high of the 95 % interval), and the same by slice and its value.

    `thresholds` are by version the probability from which on it decides positive, the loop's where it has none. Of
    more than two classes the predicted one is in the column `predicted_class`; a version that has other classes than
    the loop has no metrics, and `left_out` says why. Raises DataError for a label that the task does not have.
    """
    rows, found = _told(loop, rows) if loop.several else (rows[np.isfinite(_numbers(rows))], {})
    truth, predicted = _truth(loop, rows), _predicted(loop, rows)
    names = _names(rows)
    for version in sorted(names.unique()):
        mine = (names == version).to_numpy()
        at = (thresholds or {}).get(version, loop.model.decided_at)
        one = _measured(loop, truth[mine], predicted[mine], at)
        one["slices"] = {
            name: {
                str(value): _measured(loop, truth[places], predicted[places], at)
                for value, part in rows[mine].groupby(name, dropna=False)
                for places in [rows.index.get_indexer(part.index)]
            }
            for name in slices
            if name in rows
        }
        found[version] = one
    return dict(sorted(found.items()))


def _told(loop: Loop, rows: "pd.DataFrame") -> "tuple[pd.DataFrame, dict[str, Any]]":
    """The rows that say a class of the loop's, and the versions that are left out, as they answer with other classes.

    A version's rows without a class were not understood, as the monitor counts them; where it has no other ones and
    does have probabilities, it is one of two classes.
    """
    if rows.empty:
        return rows.assign(**{CLASS: None}), {}
    if CLASS not in rows:
        raise DataError(
            f"the predictions have no column {CLASS}",
            expected="the predicted one of more than two classes, by name",
            do="name it so; archived events of such a model have it",
        )
    classes, names, said = [str(one) for one in loop.data.label.classes], _names(rows), rows[CLASS].notna()
    known = {one: place(classes, one) >= 0 for one in rows[CLASS][said].unique()}
    other = said & ~rows[CLASS].map(lambda one: known.get(one, False))
    found: dict[str, Any] = {}
    for version in names.unique():
        mine = names == version
        if (mine & other).any():
            why = f"it predicts {str(rows[CLASS][mine & other].iloc[0])[:40]!r}; the loop has {', '.join(classes)}"
        elif not (mine & said).any() and np.isfinite(_numbers(rows[mine])).any():
            why = f"its predictions name no class, as those of two classes; the loop has {', '.join(classes)}"
        else:
            continue
        found[version] = {"rows": int(mine.sum()), "metrics": {}, "slices": {}, "left_out": why}
    return rows[said & ~names.isin(list(found))], found


def _names(rows: "pd.DataFrame") -> "pd.Series[str]":
    """The version of each row; empty where the predictions do not say it."""
    return rows[VERSION].astype(str) if VERSION in rows else rows[PREDICTION].map(lambda _: "")


def _numbers(rows: "pd.DataFrame") -> "np.ndarray[Any, np.dtype[np.float64]]":
    return rows[PREDICTION].to_numpy(dtype=np.float64)


def _truth(loop: Loop, rows: "pd.DataFrame") -> "np.ndarray[Any, np.dtype[np.float64]]":
    import pandas as pd

    if loop.model.task == "regression":
        values = pd.to_numeric(rows[LABEL], errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            wrong = rows[LABEL][~np.isfinite(values)].iloc[0]
            raise DataError(f"a label is {str(wrong)[:40]!r}", expected="a number")
        return values
    if loop.several:
        return _places(loop, rows[LABEL], "label")
    texts = rows[LABEL].map(spelled)
    known, positive = sorted(texts.unique()), loop.data.label.positive
    # Without a declared one the class that sorts last as it was written, which is how training chose it.
    positive = spelled(max(map(str, rows[LABEL].unique()), default="") if positive is None else positive)
    if len(known) > 2 or (known and positive not in known and len(known) == 2):
        raise DataError(f"the labels are {', '.join(known[:5])}", expected=f"two classes, of which {positive} is one")
    return np.asarray(texts == positive, dtype=np.float64)


def _predicted(loop: Loop, rows: "pd.DataFrame") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """What the labels are held against: the predictions, or the places of predicted classes."""
    if not loop.several:
        return _numbers(rows)
    return _places(loop, rows[CLASS], "predicted class")


def _places(loop: Loop, named: "pd.Series[Any]", what: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    classes = [str(one) for one in loop.data.label.classes]
    found = named.map({one: place(classes, one) for one in named.unique()}).to_numpy(dtype=np.float64)
    if not (known := found >= 0).all():
        wrong = str(named[~known].iloc[0])[:40]
        raise DataError(f"a {what} is {wrong!r}", expected=f"one of {', '.join(classes)}")
    return found


def _measured(loop: Loop, truth: Any, predicted: Any, threshold: float) -> dict[str, Any]:
    """Values as scikit-learn defines them; intervals from the sums of `labelled`, whose area has binned scores."""
    task = loop.model.task
    if loop.several:
        tally = Decisions(len(loop.data.label.classes))
        found = tally.measure(tally.of(truth, predicted))
        return {
            "rows": len(truth),
            "metrics": {name: _shown(one.value, *one.interval()) for name, one in found.items()},
        }
    errors = _errors(task, truth, predicted, threshold)
    both = task == "regression" or len(np.unique(truth)) == 2
    names = [name for name in errors if both or name != "roc_auc"]
    shown = {}
    for name in (*names, *(["average_precision"] if task == "classification" and both else [])):
        wanted = truth > 0.5 if task == "classification" else truth
        value = metrics.one(task, name, wanted, predicted, threshold)
        of = errors.get(name)
        low, high = of.interval() if of else (math.nan, math.nan)
        # The interval is moved along with the area, which bins may have changed a little.
        moved = value - of.value if of else 0.0
        shown[name] = _shown(value, low + moved, high + moved)
    return {"rows": len(truth), "metrics": shown}


def _shown(value: float, low: float, high: float) -> dict[str, float | None]:
    return {"value": value, "low": _finite(low), "high": _finite(high)}


def _errors(task: str, truth: Any, predicted: Any, threshold: float) -> Mapping[str, Measured]:
    tally: Tally
    if task == "classification":
        tally = Scores(np.unique(np.quantile(predicted, np.linspace(0, 1, 200))), threshold)
    else:
        profile = Profile.build("", task, [], {}, {}, predicted)
        tally = Values(profile.prediction, float(np.var(truth)))
    return tally.measure(tally.of(truth, predicted))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
