"""Training-serving skew: one entity's inputs as the model was asked with them, beside what is held of it offline.

Both sides are joined point-in-time: a prediction is held against the entity's newest offline row at that moment, which
is what training would have used. What differs is counted input by input; feature code runs behind the inputs, and is
the same code on both sides. All rows are compared, so nothing is assumed about distributions: skew may well leave them
as they are (two columns exchanged for half of the customers), and drift may come without any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.data import typed
from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.performance.join import moments
from loopwright.statistics.measured import Measured

if TYPE_CHECKING:
    import pandas as pd

AT, OBSERVED = "predicted_at", "observed_at"
MOST_PAIRS = 5


@dataclass(frozen=True)
class Skew:
    """One input on both sides, over all joined rows."""

    feature: str
    rows: int
    differ: int
    """Rows in which the two differ, one of them being missing included."""

    low: float
    """Lower end of the 95 % interval of the share that differs."""

    limit: float
    missing_online: int
    """Rows in which only the model's input is missing, or only (below) the offline value."""

    missing_offline: int
    mean_difference: float | None
    """Numbers: online less offline, over rows where both are there; of the rows that differ the median size too."""

    median_difference: float | None
    pairs: tuple[tuple[Any, Any, int], ...]
    """Text: the commonest (offline, online, rows) that differ."""

    examples: tuple[Mapping[str, Any], ...]

    @property
    def share(self) -> float:
        """The share of rows that differ."""
        return self.differ / self.rows

    @property
    def beyond(self) -> bool:
        """Whether more rows differ than declared, by more than chance explains of so many rows."""
        return self.low > self.limit


@dataclass(frozen=True)
class Compared:
    """All inputs, the worst first; how many predictions found an offline row, how many did not, and what was left."""

    features: tuple[Skew, ...]
    joined: int
    unmatched: int
    left: tuple[str, ...]
    """Inputs that one of the sides does not have."""


def compare(
    loop: Loop, offline: "pd.DataFrame", online: "pd.DataFrame", *, at: str = AT, examples: int = 3
) -> Compared:
    """Hold the inputs in `online` against those in `offline`, each with the loop's entity.

    `online` has its moments in the column `at`, `offline` in the loop's `data.timestamp`; where that is not declared,
    the entity's last offline row is taken. Raises DataError when nothing can be joined, or no input is on both sides.
    """
    if loop.data.timestamp is not None and at not in online.columns:
        raise DataError(f"the predictions have no column {at}", expected="the moment of each", do="name it")
    left = tuple(name for name in loop.inputs if name not in offline.columns or name not in online.columns)
    names = [name for name in loop.inputs if name not in left]
    if not names:
        raise DataError("the two sides have no input in common", expected=f"columns {', '.join(loop.inputs)}")
    joined = _joined(loop, offline, online, at)
    found = joined[joined["_offline"].notna()]
    if found.empty:
        raise DataError(
            f"none of the {len(online):,} predictions has an offline row",
            expected=f"the same {loop.data.entity} on both sides, observed no later than it was predicted for",
            do="look at the entities of both; --ids says which prediction was of which entity",
        )
    there = typed.inputs(loop, offline.iloc[found["_offline"].astype(int)].reset_index(drop=True))
    asked = typed.inputs(loop, online.iloc[found["_online"].astype(int)].reset_index(drop=True))
    about = found.drop(columns=["_offline", "_online"]).reset_index(drop=True)
    skews = [_one(loop, name, there[name], asked[name], about, examples) for name in names]
    ranked = sorted(skews, key=lambda one: (not one.beyond, -one.share))
    return Compared(tuple(ranked), len(found), len(online) - len(found), left)


def _joined(loop: Loop, offline: "pd.DataFrame", online: "pd.DataFrame", at: str) -> "pd.DataFrame":
    """Each prediction with the positions of its row online and of the row offline, NaN where there is none."""
    import pandas as pd

    entity, timestamp, declared = loop.data.entity, loop.data.timestamp, loop.monitor.skew
    assert entity is not None, "who calls has checked it"
    asked = pd.DataFrame({"entity": _keys(online[entity]), "_online": np.arange(len(online))})
    held = pd.DataFrame({"entity": _keys(offline[entity]), "_offline": np.arange(len(offline), dtype=float)})
    if "prediction_id" in online:
        asked["prediction_id"] = online["prediction_id"].astype(str).to_numpy()
    asked, held = asked.dropna(subset=["entity"]), held.dropna(subset=["entity"])
    if timestamp is None:
        return asked.merge(held.drop_duplicates("entity", keep="last"), on="entity", how="left")
    asked[AT] = moments(online[at], at).iloc[asked["_online"]].set_axis(asked.index)
    held[OBSERVED] = moments(offline[timestamp], timestamp).iloc[held["_offline"].astype(int)].set_axis(held.index)
    asked, held = asked.dropna(subset=[AT]), held.dropna(subset=[OBSERVED])
    return pd.merge_asof(
        asked.sort_values(AT, kind="stable"),
        held.sort_values(OBSERVED, kind="stable"),
        left_on=AT,
        right_on=OBSERVED,
        by="entity",
        direction="backward",
        tolerance=None if declared.max_age is None else pd.Timedelta(declared.max_age),
    )


def _keys(values: "pd.Series") -> Any:
    """Entities as text: 17 of a database and "17" of a file are one, and so is 17.0, which missing ones make of it."""
    text = typed.strings(values)
    return (text.str.removesuffix(".0") if values.dtype.kind == "f" else text).to_numpy()


def _one(
    loop: Loop, name: str, offline: "pd.Series", online: "pd.Series", about: "pd.DataFrame", examples: int
) -> Skew:
    gone = [side.isna().to_numpy() for side in (offline, online)]
    both = ~gone[0] & ~gone[1]
    mean = median = None
    if loop.inputs[name].numeric:
        one, two = offline.to_numpy(dtype=np.float64), online.to_numpy(dtype=np.float64)
        apart = both & ~np.isclose(two, one, rtol=loop.monitor.skew.tolerance, atol=0.0)
        if both.any():
            with np.errstate(invalid="ignore"):
                mean = _finite(np.mean(two[both] - one[both]))
                median = _finite(np.median(np.abs(two[apart] - one[apart]))) if apart.any() else 0.0
    else:
        apart = both & (offline != online).to_numpy()
    differ = apart | (gone[0] != gone[1])
    count, rows = int(differ.sum()), len(differ)
    share = Measured(count / rows, float(np.sqrt(count / rows * (1 - count / rows) / rows)), rows, share=True)
    pairs = [] if loop.inputs[name].numeric else _pairs(offline[differ], online[differ])
    return Skew(
        name,
        rows,
        count,
        share.interval()[0] if count else 0.0,
        loop.monitor.skew.max_share_of.get(name, loop.monitor.skew.max_share),
        int((gone[1] & ~gone[0]).sum()),
        int((gone[0] & ~gone[1]).sum()),
        mean,
        median,
        tuple(pairs),
        tuple(_examples(offline, online, about, np.flatnonzero(differ)[:examples])),
    )


def _pairs(offline: "pd.Series", online: "pd.Series") -> Sequence[tuple[Any, Any, int]]:
    import pandas as pd

    counted = pd.DataFrame({"offline": offline, "online": online}).value_counts(dropna=False).head(MOST_PAIRS)
    return [(_shown(one), _shown(two), int(rows)) for one, two, rows in counted.reset_index().to_numpy().tolist()]


def _examples(offline: "pd.Series", online: "pd.Series", about: "pd.DataFrame", at: Any) -> list[Mapping[str, Any]]:
    return [
        {
            **{name: _shown(about[name].iloc[row]) for name in about.columns},
            "offline": _shown(offline.iloc[row]),
            "online": _shown(online.iloc[row]),
        }
        for row in at
    ]


def _shown(value: Any) -> Any:
    """A value for people and for JSON."""
    if value is None or value != value:
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
