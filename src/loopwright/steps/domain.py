"""Drift of all columns together: can a classifier tell the rows of two frames apart?

Features may each look as before and yet go together differently: a correlation that turns round is seen by no test of
one column. Rows of the reference and of now are labelled, a classifier learns to tell them apart on one half, and is
tried on the other half, both ways round. Its area under the ROC curve is the effect: 0.5 when there is nothing to tell
(Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests", ICLR). It needs rows, not counts, and is a job for
somebody who looks into an alarm, not for the monitor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 50_000
"""Rows of each frame that are used at most, drawn at random: with more, only what does not matter is added."""
LEAST_ROWS = 100


@dataclass(frozen=True)
class DomainTest:
    """How well rows of two frames can be told apart."""

    auc: float
    """Area under the ROC curve on rows the classifier has not seen, 0.5 to tell nothing, 1 to tell all."""

    p_value: float
    """The chance of such an area without drift, for independent rows (or groups of them)."""

    importance: dict[str, float]
    """What the area loses when a column is shuffled, the greatest first."""


def compare(
    reference: "pd.DataFrame", current: "pd.DataFrame", *, groups: str | None = None, seed: int = 0
) -> DomainTest:
    """Try to tell the rows of `current` from those of `reference`, by the columns that both have.

    `groups` names a column whose equal values belong together (a customer of many rows): of each value in each frame
    one row is used, drawn at random, so that repeated rows are neither learnt by heart nor counted twice.
    Raises DataError without common columns, or with fewer than 100 rows in a frame.
    """
    rng = np.random.default_rng(seed)
    one, two = (_drawn(frame, groups, rng) for frame in (reference, current))
    names = [name for name in one.columns if name in two.columns and name != groups]
    if not names or min(len(one), len(two)) < LEAST_ROWS:
        raise DataError(
            f"{len(one)} and {len(two)} rows with {len(names)} columns in common cannot be told apart",
            expected=f"at least {LEAST_ROWS} rows in each (of different groups), and a column that both have",
            do="give frames with the same columns, and more rows",
        )
    values, categorical = _encoded(one[names], two[names])
    label = np.repeat([0, 1], [len(one), len(two)])
    half = np.concatenate([rng.permutation(len(frame)) % 2 for frame in (one, two)]) == 0
    parts = [_half(values, label, train, categorical, rng, seed) for train in (half, ~half)]
    areas, chances, losses = zip(*parts, strict=True)
    # The two halves are not independent of each other; twice the smaller of two chances is one again (Bonferroni).
    importance = dict(zip(names, np.mean(losses, axis=0).tolist(), strict=True))
    ranked = dict(sorted(importance.items(), key=lambda item: -item[1]))
    return DomainTest(float(np.mean(areas)), min(1.0, 2 * min(chances)), ranked)


def _drawn(frame: "pd.DataFrame", groups: str | None, rng: np.random.Generator) -> "pd.DataFrame":
    rows: pd.DataFrame = frame.iloc[rng.permutation(len(frame))]
    if groups is not None and groups in rows.columns:
        rows = rows.drop_duplicates(groups)
    return rows.head(MOST_ROWS)


def _encoded(one: "pd.DataFrame", two: "pd.DataFrame") -> tuple[NDArray[np.float64], list[bool]]:
    """The rows of both as numbers, and which columns are categories; of these the 200 commonest values are kept."""
    import pandas as pd

    both, columns, categorical = pd.concat([one, two], ignore_index=True), [], []
    for name in both.columns:
        column = both[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            columns.append(pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan))
        else:
            text = column.astype("string")
            top = text.value_counts().index[:200]
            columns.append(text.map(dict(zip(top, range(len(top)), strict=True))).to_numpy(np.float64, na_value=np.nan))
        categorical.append(not pd.api.types.is_numeric_dtype(column))
    return np.column_stack(columns), categorical


def _half(
    values: NDArray[np.float64], label: NDArray[Any], train: NDArray[np.bool_], categorical: Sequence[bool],
    rng: np.random.Generator, seed: int,
) -> tuple[float, float, list[float]]:  # fmt: skip
    """(area, chance, what the area loses a column) of a classifier of one half on the other."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=15, categorical_features=list(categorical), random_state=seed
    )
    model.fit(values[train], label[train])
    rows, truth = values[~train], label[~train]
    area = _area(truth, model.predict_proba(rows)[:, 1])
    ones = float(truth.sum())
    zeros = len(truth) - ones
    # Mann & Whitney's U without drift, given the classifier; ties make its variance smaller, and the test careful.
    deviation = math.sqrt((ones + zeros + 1) / (12 * ones * zeros))
    chance = 0.5 * math.erfc((area - 0.5) / deviation / math.sqrt(2))
    losses = []
    for column in range(rows.shape[1]):
        shuffled = rows.copy()
        shuffled[:, column] = rng.permutation(shuffled[:, column])
        losses.append(area - _area(truth, model.predict_proba(shuffled)[:, 1]))
    return area, chance, losses


def _area(truth: NDArray[Any], score: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, score))
