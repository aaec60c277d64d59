"""Which prediction a label belongs to: the one with its id, or the nearest in time of the same entity.

A label may come twice, and may be corrected: the last one in the source's order stands. A prediction may stand twice
too, as a predictor that got no answer sends its batch again: the last one of a version stands. A label counts for
every version that predicted its id, as of a mirrored request.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from loopwright.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

VERSION, PREDICTION, LABEL = "model_version", "prediction", "label"


@dataclass(frozen=True)
class Joined:
    """The joined rows, with all columns of the predictions and `label`, and what became of the rest."""

    rows: "pd.DataFrame"
    labels: int
    unknown: int
    """Labels without a prediction."""

    repeated: int
    contradicting: int
    """Those of the repeated that say something else than the one before."""

    unlabelled: int
    """Predictions without a label: it may be yet to come."""


def by_id(predictions: "pd.DataFrame", labels: "pd.DataFrame", *, id: str, label: str) -> Joined:
    """Join on the prediction's id. `predictions` has the column `prediction_id`, `labels` those named."""
    given = labels[[id, label]].rename(columns={id: "prediction_id", label: LABEL}).dropna()
    given = given.assign(prediction_id=given["prediction_id"].astype(str))
    groups = given.groupby("prediction_id", sort=False)[LABEL]
    before = groups.shift()
    contradicting = int((before.notna() & (before.astype(str) != given[LABEL].astype(str))).sum())
    newest = given.drop_duplicates("prediction_id", keep="last")
    keys = [name for name in (VERSION, "prediction_id") if name in predictions]
    asked = predictions.assign(prediction_id=predictions["prediction_id"].astype(str)).drop_duplicates(
        keys, keep="last"
    )
    rows = asked.merge(newest, on="prediction_id", how="inner")
    unknown = int((~newest["prediction_id"].isin(asked["prediction_id"])).sum())
    return Joined(rows, len(given), unknown, len(given) - len(newest), contradicting, len(asked) - len(rows))


def by_entity(
    predictions: "pd.DataFrame",
    labels: "pd.DataFrame",
    *,
    entity: str,
    at: str,
    seen: str,
    label: str,
    within: timedelta,
) -> Joined:
    """Join each prediction with the label of its entity that is nearest in time, at most `within` away.

    `at` is the predictions' column of moments, `seen` the labels': when what the label is about was observed, not
    when it became known. Moments without a zone are UTC. Raises DataError for moments that cannot be read.
    """
    import pandas as pd

    asked = predictions.assign(_at=moments(predictions[at], at), _entity=predictions[entity].astype(str))
    keys = [name for name in (VERSION, "_entity", "_at") if name in asked]
    asked = asked.drop_duplicates(keys, keep="last").sort_values("_at", kind="stable")
    given = labels[[entity, seen, label]].dropna()
    given = pd.DataFrame(
        {"_entity": given[entity].astype(str), "_seen": moments(given[seen], seen), LABEL: given[label]}
    )
    before = given.groupby(["_entity", "_seen"], sort=False)[LABEL].shift()
    contradicting = int((before.notna() & (before.astype(str) != given[LABEL].astype(str))).sum())
    newest = given.drop_duplicates(["_entity", "_seen"], keep="last").sort_values("_seen", kind="stable")
    newest = newest.assign(_label_number=range(len(newest)))
    near = pd.merge_asof(
        asked,
        newest,
        left_on="_at",
        right_on="_seen",
        by="_entity",
        direction="nearest",
        tolerance=pd.Timedelta(within),
    )
    rows = near[near["_label_number"].notna()]
    unknown = len(newest) - rows["_label_number"].nunique()
    rows = rows.drop(columns=["_entity", "_at", "_seen", "_label_number"]).reset_index(drop=True)
    return Joined(rows, len(given), unknown, len(given) - len(newest), contradicting, len(asked) - len(rows))


def moments(values: "pd.Series", name: str) -> "pd.Series":
    """A column as moments in UTC, to the microsecond. Raises DataError naming the column."""
    import pandas as pd

    try:
        return pd.to_datetime(values, utc=True, format=None if values.dtype.kind == "M" else "ISO8601").astype(
            "datetime64[us, UTC]"
        )
    except (ValueError, TypeError) as error:
        raise DataError(
            f"the column {name} has no moments: {str(error).splitlines()[0]}",
            expected="moments as ISO 8601 writes them",
        ) from error
