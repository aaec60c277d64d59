"""The profile of a model that another runtime trained and serves: rows it was made of, and predictions it has made.

What training does for a model of ours (`steps/train.py`), from files: the inputs that the loop's contract declares are
binned from one, the predictions from the other, of rows that the model was not fitted to. Where those have labels, the
profile also says how good the model was before it went live.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.data import splits, typed
from loopwright.errors import DataError
from loopwright.loop import Column, Loop, spelling
from loopwright.models import columns
from loopwright.statistics.labelled import tally
from loopwright.statistics.profile import Profile
from loopwright.statistics.seasons import Seasonality
from loopwright.steps.evaluate import target
from loopwright.steps.reference_rows import newest_rows, seasons_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

NUMBER = Column(type="number")
DECISION = "decision"
"""Where the decided class stands if nothing else is said, as in what `loopwright score` writes."""


def profile(
    loop: Loop, rows: "pd.DataFrame", held: "pd.DataFrame", prediction: str, classes: Sequence[str] = (),
    decision: str = DECISION,
) -> Profile:  # fmt: skip
    """The profile of `rows` with the predictions in the column `prediction` of `held`, which may be the same rows.

    A prediction is P(positive), or the value of a regression. `classes` are the negative and the positive class where
    `held` has no labels. Of more than two classes, which loop.yaml declares, it is the probability of the decided one,
    which the column `decision` names. Raises DataError for a column that is absent, values that are not what the
    contract declares, predictions that are missing or no probabilities, and decisions that are none of the classes.
    """
    inputs = columns.specs(loop.inputs)
    for frame in (rows, held):
        _timed(loop, frame)
    newest = newest_rows(loop, rows)
    reference = columns.from_frame(inputs, _inputs(loop, newest))
    predicted = _predictions(loop, held, prediction)
    label, regression = loop.data.label.column, loop.model.task == "regression"
    known = held[label].notna().to_numpy() if label in held.columns else np.zeros(len(held), dtype=bool)
    labelled = held.loc[known]
    if regression and len(labelled):
        labelled = labelled.assign(**{label: _numbers(labelled[label], label)})
    names = _classes(loop, labelled, classes)
    decided = _decided(held, decision, names) if loop.several else None
    seasonality = Seasonality(loop.monitor.seasonality, loop.monitor.timezone) if loop.monitor.seasonality else None
    made = Profile.build(
        loop.name,
        loop.model.task,
        names,
        reference,
        {spec.name: spec.kind for spec in inputs},
        predicted,
        bins=loop.monitor.bins,
        decided=decided,
        label_variance=float(labelled[label].var()) if regression and len(labelled) > 1 else None,
        seasonality=seasonality,
        seasons=(seasons_of(loop, newest, seasonality), seasons_of(loop, held, seasonality)) if seasonality else None,
    )
    if labelled.empty:
        return made
    truth = target(loop, labelled, names).astype(np.float64)
    told = (predicted if decided is None else decided.astype(np.float64))[known]
    return replace(made, labelled=tuple(tally(made).of(truth, told).tolist()))


def _timed(loop: Loop, frame: "pd.DataFrame") -> None:
    """Raises DataError where the loop's monitor needs to know when a row was observed, and the file does not say."""
    name = loop.data.timestamp
    if (loop.monitor.seasonality or loop.monitor.reference) and name is not None and name not in frame.columns:
        raise DataError(
            f"the rows have no column {name}",
            expected="`data.timestamp`, by which `monitor.seasonality` and `monitor.reference` choose rows",
            do="complete the file, or leave these keys out of loop.yaml",
        )


def _inputs(loop: Loop, frame: "pd.DataFrame") -> "pd.DataFrame":
    """The declared inputs in their types; from CSV everything comes as text."""
    absent = [name for name in loop.inputs if name not in frame.columns]
    if absent:
        raise DataError(
            f"the rows have no column {', '.join(absent)}",
            expected="every input that `data.contract` declares",
            do="complete the file, or correct loop.yaml",
        )
    found = typed.inputs(loop, frame)
    numeric = [name for name, column in loop.inputs.items() if column.numeric]
    return found.assign(**{name: _numbers(frame[name], name, loop.inputs[name]) for name in numeric})


def _numbers(values: "pd.Series[Any]", name: str, column: Column = NUMBER) -> "pd.Series[float]":
    numbers = typed.numbers(column, values)
    wrong = numbers.isna() & ~typed.blank(values)
    if wrong.any():
        raise DataError(
            f"the column {name} has {str(values[wrong].iloc[0])[:40]!r} in {int(wrong.sum()):,} rows",
            expected="numbers, or nothing where one is missing",
            do="correct the file, or the column's type in loop.yaml",
        )
    return numbers


def _predictions(loop: Loop, held: "pd.DataFrame", name: str) -> "NDArray[np.float64]":
    if name not in held.columns:
        raise DataError(
            f"there is no column {name}", expected=f"one of {', '.join(map(str, held.columns))}", do="name another"
        )
    found = _numbers(held[name], name).to_numpy()
    wrong = ~np.isfinite(found)
    if loop.model.task == "classification":
        wrong |= (found < 0) | (found > 1)
    if wrong.any():
        expected = "the probability of the positive class" if loop.model.task == "classification" else "a number"
        raise DataError(
            f"the prediction in {name} is {found[wrong][0]:g} in {int(wrong.sum()):,} of {len(found):,} rows",
            expected=f"{expected} in each row",
            do="leave out rows without a prediction, or name another column",
        )
    return np.asarray(found)


def _decided(held: "pd.DataFrame", name: str, classes: Sequence[str]) -> "NDArray[np.intp]":
    """The place of each row's decided class among the classes."""
    if name not in held.columns:
        raise DataError(
            f"there is no column {name}",
            expected="the decided class of each row, beside its probability",
            do="name its column with --decision",
        )
    places = held[name].map({one: spelling.place(classes, one) for one in held[name].unique()})
    if (wrong := ~(places >= 0)).any():
        raise DataError(
            f"the decision in {name} is {str(held[name][wrong].iloc[0])[:40]!r} in {int(wrong.sum()):,} rows",
            expected=f"one of {', '.join(classes)}",
            do="correct the file, or `data.label.classes` in loop.yaml",
        )
    return places.to_numpy(dtype=np.intp)


def _classes(loop: Loop, labelled: "pd.DataFrame", given: Sequence[str]) -> list[str]:
    if loop.model.task == "regression":
        return []
    if loop.several:
        names = splits.classes(labelled, loop)
        if given and [*map(spelling.spelled, given)] != [*map(spelling.spelled, names)]:
            raise DataError(
                f"the classes are {', '.join(given)}",
                expected=f"those of `data.label.classes`, in its order: {', '.join(names)}",
                do="leave --classes out",
            )
        return names
    if given:
        names = list(given)
    elif len(labelled):
        label = loop.data.label.column
        names = splits.classes(labelled.assign(**{label: labelled[label].astype(str)}), loop)
    else:
        raise DataError(
            f"the predictions have no labels in a column {loop.data.label.column}",
            expected="labels, or the names of the two classes",
            do="give --classes NEGATIVE,POSITIVE",
        )
    if len(set(names)) != 2:
        raise DataError(f"there are {len(set(names))} classes: {', '.join(names[:5])}", expected="two")
    return names
