"""Signs that a model is told what it will not know: found in the training and holdout rows, before anything is fitted.

Three signs: an input that by itself all but gives the label; entities on both sides of the split, so that the holdout
rows are of known customers; and time travel, which is an input dated after its row, or training rows whose label was
not yet known when the first holdout row was observed.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from loopwright.durations import format_duration
from loopwright.errors import DataError
from loopwright.loop import Loop
from loopwright.statistics import metrics
from loopwright.statistics.paired import auc_parts

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.data.parting import Rows

    Sides = pd.DataFrame | Rows

BINS = 100
"""Intervals of a number, and most values of a category, that an input is looked at by."""
SAMPLE = 200
DATED = 0.9
"""A text column of which this share of a sample reads as dates is one."""


@dataclass(frozen=True)
class Leak:
    """One sign of leakage: its kind (label, entities or time), where, and what was found."""

    kind: str
    column: str
    found: str
    do: str

    def __str__(self) -> str:
        return f"{self.column}: {self.found}. {self.do[0].upper()}{self.do[1:]}"


def leaks(loop: Loop, training: "Sides", holdout: "Sides", classes: list[str]) -> list[Leak]:
    """The signs in the typed rows of a split; `classes` has the positive one last, and is empty for a regression."""
    if loop.data.leakage.policy == "off":
        return []
    return [
        *_label(loop, training, holdout, classes),
        *_entities(loop, training, holdout),
        *_time(loop, training, holdout),
    ]


def require_allowed(found: list[Leak], loop: Loop) -> None:
    """Raise DataError for signs of leakage where `data.leakage` says that they stop the run."""
    if found and loop.data.leakage.policy == "fail":
        raise DataError("the data leaks: " + "; ".join(map(str, found)))


def facts(found: list[Leak]) -> list[dict[str, str]]:
    """The signs as they are written down."""
    return [asdict(one) for one in found]


def _label(loop: Loop, training: "Sides", holdout: "Sides", classes: list[str]) -> Iterator[Leak]:
    """Inputs that alone predict the held-out label: its mean by the input's bins in training, tried on the holdout."""
    limit, name = loop.data.leakage.power, loop.data.label.column
    # Of more than two classes each against the rest: an input that gives one of them away is a leak.
    positives = classes if len(classes) > 2 else [classes[-1]] if classes else [None]
    targets = [(_target(training[name], one), _target(holdout[name], one)) for one in positives]
    if any(truth.nunique() < 2 for _, truth in targets):
        return
    for column, declared in loop.inputs.items():
        fitted, placed = _bins(training[column], holdout[column], declared.numeric)
        powers = []
        for known, truth in targets:
            means = known.groupby(fitted.to_numpy()).mean()
            scores, outcome = placed.map(means).fillna(known.mean()).to_numpy(dtype="float64"), truth.to_numpy()
            area = auc_parts(outcome, scores)[0] if classes else metrics.one("regression", "r2", outcome, scores)
            powers.append(area)
        power = max(powers)
        if declared.numeric and not classes:
            # Bins are too coarse for what is the label times a factor.
            truth = targets[0][1]
            power = max(power, float(holdout[column].corr(truth)) ** 2 if holdout[column].std() else 0.0)
        if power >= limit:
            what = f"an area under the ROC curve of {power:.4f}" if classes else f"{power:.2%} of the variance"
            against = f" = {positives[powers.index(power)]} against the rest" if len(classes) > 2 else ""
            yield Leak(
                "label", column, f"it alone predicts the held-out {name}{against} with {what}",
                "see whether it is made from the label or known only after it; if it is right so, raise "
                "`data.leakage.power`",
            )  # fmt: skip


def _target(label: "pd.Series[Any]", positive: str | None) -> "pd.Series[Any]":
    return label.astype("float64") if positive is None else label.eq(positive)


def _bins(
    training: "pd.Series[Any]", holdout: "pd.Series[Any]", numeric: bool
) -> tuple["pd.Series[Any]", "pd.Series[Any]"]:
    """Each value's bin on both sides: a number's interval, a category itself; what is missing has a bin too."""
    import numpy as np
    import pandas as pd

    if not numeric:
        top = training.value_counts().index[:BINS]
        return tuple(side.where(side.isin(top), "other").where(side.notna(), "missing") for side in (training, holdout))  # type: ignore[return-value]
    edges = np.unique(training.dropna().quantile(np.linspace(0, 1, BINS + 1)).to_numpy())
    sides = [
        pd.Series(np.searchsorted(edges, side.to_numpy(), side="right"), index=side.index)
        for side in (training, holdout)
    ]
    return tuple(side.where(values.notna(), -1) for side, values in zip(sides, (training, holdout), strict=True))  # type: ignore[return-value]


def _entities(loop: Loop, training: "Sides", holdout: "Sides") -> Iterator[Leak]:
    entity = loop.data.entity
    if entity is None or loop.data.holdout.by == "entity":
        return
    both = holdout[entity].isin(training[entity].unique())
    if both.any():
        yield Leak(
            "entities", entity, f"{int(both.sum()):,} of {len(holdout):,} holdout rows are of entities in training",
            "use `data.holdout.by: entity` if the model is asked about entities that it has not seen",
        )  # fmt: skip


def _time(loop: Loop, training: "Sides", holdout: "Sides") -> Iterator[Leak]:
    import pandas as pd

    timestamp, delay = loop.data.timestamp, loop.data.label.delay
    if timestamp is None:
        return
    for column, declared in loop.inputs.items():
        if declared.kind != "string" or not _dated(training[column]):
            continue
        moments = pd.to_datetime(training[column], utc=True, format="mixed", errors="coerce")
        later = int((moments > training[timestamp]).sum())
        if later:
            yield Leak(
                "time", column, f"{later:,} of {len(training):,} training rows have a date in it after {timestamp}",
                "leave it out, or give the value that was known then (`data.joins`)",
            )  # fmt: skip
    if loop.data.holdout.by == "time" and delay:
        unknown = int((training[timestamp] > holdout[timestamp].min() - delay).sum())
        if unknown:
            yield Leak(
                "time", timestamp,
                f"{unknown:,} of {len(training):,} training rows are of the {format_duration(delay)} before the "
                "holdout, when their labels were not known yet",
                "expect the model to be a little worse live than judged, or lengthen the data's history",
            )  # fmt: skip


def _dated(values: "pd.Series[Any]") -> bool:
    import pandas as pd

    sample = values.dropna().head(SAMPLE)
    if sample.empty or not sample.astype(str).str.contains(r"\d{4}-\d{2}|\d[/.]\d").mean() > DATED:
        return False
    return bool(pd.to_datetime(sample, utc=True, format="mixed", errors="coerce").notna().mean() > DATED)
