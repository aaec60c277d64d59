"""How good the model is on parts of the rows: by the values of a column, or by a number's quartiles.

A metric over all rows hides a part that it fails on. A part of few rows says little, and is said to be small.
"""

from collections.abc import Collection
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics import bootstrap, several, shares
from loopwright.statistics.weighted import Measures
from loopwright.steps.evidence import Judged, finite

if TYPE_CHECKING:
    import pandas as pd

SMALL_ROWS, SMALL_CLASS = 100, 10
"""Below this many rows, or of the rarer class, a slice is small: its intervals are wider than what one looks for."""
MOST_VALUES = 20
REPEATS = 200
MISSING, OTHER = "missing", "other"


def slices(measures: Measures, frame: "pd.DataFrame", columns: tuple[str, ...], judged: Judged, seed: int) -> list[Any]:
    """A list of slices as JSON: column, value, rows, small, metrics and their 95 % intervals."""
    return [
        _slice(measures, column, value, mask, judged, seed)
        for column in columns
        for value, mask in parts(frame[column]).items()
    ]


def parts(values: "pd.Series[Any]") -> dict[str, NDArray[np.bool_]]:
    """The rows of each value, the 20 commonest and `other`; of a number with many, of each quartile."""
    import pandas as pd

    missing = values.isna().to_numpy()
    if values.dtype.kind == "f" and (values.dropna() == values.dropna().round()).all():
        values = values.astype("Int64")
    if values.dtype.kind in "fiu" and values.nunique() > MOST_VALUES:
        edges = np.unique(np.quantile(values[~missing].to_numpy(dtype=float), [0, 0.25, 0.5, 0.75, 1]))
        names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
        labels = pd.cut(values.astype(float), edges.tolist(), labels=names, include_lowest=True, ordered=False).astype(
            "string"
        )
        order = names
    else:
        numbers = values.dtype.kind in "fiu"
        order = [str(one) for one in sorted(values.dropna().unique())] if numbers else []
        labels = values.astype("string")
        common = labels.value_counts().index[:MOST_VALUES]
        labels = labels.where(labels.isin(common) | labels.isna(), _free(OTHER, common))
    # Numbers in their order, texts in theirs.
    place = {name: at for at, name in enumerate(order)}
    there = sorted(labels.dropna().unique(), key=lambda name: (place.get(str(name), len(place)), str(name)))
    found = {str(name): (labels == name).fillna(False).to_numpy(dtype=bool) for name in there}
    return {**found, _free(MISSING, found): missing} if missing.any() else found


def _free(name: str, taken: Collection[str]) -> str:
    """The name, in brackets where it is also a value."""
    while name in taken:
        name = f"({name})"
    return name


def _slice(
    measures: Measures, column: str, value: str, mask: NDArray[np.bool_], judged: Judged, seed: int
) -> dict[str, Any]:
    truth, predicted = judged.truth[mask], judged.challenger[mask]
    rows, rarer = len(truth), SMALL_CLASS
    if measures.task == "classification":
        rarer = int(np.bincount(truth.astype(np.intp), minlength=measures.classes).min())
    weighted = several.weigh(measures, truth, predicted)
    groups = None if judged.groups is None else np.unique(judged.groups[mask], return_inverse=True)[1].reshape(-1)
    (draws,) = bootstrap.replicates([weighted], groups, seed, REPEATS)
    counts = several.counts(measures, truth, predicted, groups)
    point = weighted.point()
    intervals = {name: list(shares.told(name, point[name], drawn, counts.get(name))) for name, drawn in draws.items()}
    return {
        "column": column,
        "value": value,
        "rows": rows,
        "small": rows < SMALL_ROWS or rarer < SMALL_CLASS,
        "metrics": finite(point),
        "intervals": {name: bounds for name, bounds in intervals.items() if np.isfinite(bounds).all()},
    }
