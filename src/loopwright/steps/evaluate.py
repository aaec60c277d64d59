"""Judge the model on rows that it has not seen: metrics, curves and gates, beside the champion on the same rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.errors import DataError, InputError
from loopwright.loop import Loop, spelling
from loopwright.registry import Registry
from loopwright.scale.parts import Part, head, names, parts
from loopwright.scale.spread import Spread, spread
from loopwright.statistics import bootstrap, metrics, several
from loopwright.steps import gates, sanity, served
from loopwright.steps.asked import Asked
from loopwright.steps.evidence import Comparison, Judged, finite, measures_of
from loopwright.steps.fair import fair
from loopwright.steps.slices import slices

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.columns import Columns

EXAMPLES = 200
"""Held-out rows that the model is asked about again, in another order and over HTTP."""


def evaluate(loop: Loop, registry: Registry, model: Path, holdout: Path) -> dict[str, Any]:
    """The evaluation of the bundle in the folder `model`, as the registry keeps it.

    A model that does not predict numbers is judged by that alone. A champion that cannot be asked on these rows, as
    one of its inputs is gone, cannot be compared with: the evaluation says so, and gates against it fail.

    Rows are gone through part by part (`scale`); held are predictions, labels, and what is looked at by column.
    """
    some = parts(holdout)
    # Workers would have one part between them.
    with spread(loop.scaled if len(some) > 1 else None) as where:
        where.require_seen(holdout)
        return _evaluated(loop, registry, model, holdout, some, where)


def _evaluated(
    loop: Loop, registry: Registry, model: Path, holdout: Path, some: Sequence[Part], where: Spread
) -> dict[str, Any]:
    from loopwright.models import bundle as bundles

    frame = _looked_at(loop, holdout)
    bundle = bundles.read(model)
    asked = Asked(bundle)
    truth = target(loop, frame, bundle.manifest.classes)
    predicted = asked.of(where, some)
    classification = loop.model.task == "classification"
    found: dict[str, Any] = {"rows": len(frame), "classes": list(bundle.manifest.classes), "champion": None}
    sane = sanity.sane(predicted, probabilities=classification)
    if not sane.passed:
        return {**found, "metrics": {}, "gates": [sane.to_dict()], "passed": False, "curves": {}}
    groups = None if loop.data.entity is None else bootstrap.codes(frame[loop.data.entity].to_numpy())
    judged, version = _beside_champion(
        loop, registry, some, where, bundle.manifest.classes, Judged(truth, predicted, None, groups=groups)
    )
    columns = asked.columns(head(some, EXAMPLES))
    comparison = Comparison(loop, judged)
    # Before the gates, which then need no draws of their own.
    intervals = comparison.intervals()
    on_fairness, fairness = fair(loop, frame, judged)
    outcome = [
        sane,
        *sanity.checks(asked.model, {**columns, **_monotone(asked, frame, loop)}, loop.gates.monotone),
        *gates.apply(loop, judged, comparison),
        *on_fairness,
        *served.gates(loop.gates.serving, bundle, columns),
    ]
    if version is not None:
        champion = {"metrics": finite(comparison.values[1]), "intervals": intervals[1]}
        found["champion"] = {"version": version, **champion}
    measures = measures_of(loop)
    before = judged.champion
    return {
        **found,
        "incomparable": judged.incomparable or None,
        "metrics": finite(comparison.values[0]),
        "intervals": intervals[0],
        "gains": comparison.gains(),
        "slices": slices(measures, frame, loop.gates.slices, judged, loop.model.seed),
        "fairness": fairness,
        "gates": [gate.to_dict() for gate in outcome],
        "passed": all(gate.passed for gate in outcome),
        "curves": _curves(loop, truth, predicted),
        "champion_curves": None if before is None else _curves(loop, truth, before),
        **_decisions(loop, measures.threshold, truth, predicted, bundle.manifest.classes),
    }


def target(loop: Loop, frame: "pd.DataFrame", classes: Sequence[Any]) -> NDArray[Any]:
    """The label of each row: booleans, true for the positive class, or numbers for a regression.

    Of more than two classes their places, integers. Raises DataError for a label that is none of them.
    """
    label = frame[loop.data.label.column]
    if loop.model.task == "regression":
        return label.to_numpy(dtype=np.float64)
    if loop.several:
        places = label.map({one: spelling.place(classes, one) for one in label.unique()})
        if not (known := places >= 0).all():
            found = str(label[~known].iloc[0])[:40]
            raise DataError(f"a label is {found!r}", expected=f"one of {', '.join(map(str, classes))}")
        return places.to_numpy(dtype=np.intp)
    return np.asarray(label.astype(str) == str(classes[-1]), dtype=bool)


def _curves(loop: Loop, truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Any]:
    return several.curves(truth, predicted) if loop.several else metrics.curves(loop.model.task, truth, predicted)


def _decisions(
    loop: Loop, threshold: float, truth: NDArray[Any], predicted: NDArray[Any], classes: Sequence[Any]
) -> dict[str, Any]:
    """The confusion matrix, and by what was decided: a threshold, or which class is the most probable."""
    if loop.model.task == "regression":
        return {"confusion": None, "threshold": None}
    if loop.several:
        table, each = several.confusion(truth, predicted), several.by_class(truth, predicted, classes)
        return {"confusion": table, "threshold": None, "by_class": each}
    return {"confusion": metrics.confusion(truth, predicted, threshold), "threshold": threshold}


def _beside_champion(
    loop: Loop, registry: Registry, some: Sequence[Part], where: Spread, classes: Sequence[Any], judged: Judged
) -> tuple[Judged, int | None]:
    """What was judged with the champion's predictions of the same rows, and the version that made them."""
    from dataclasses import replace

    from loopwright.models import bundle as bundles

    champion = registry.champion(loop.name)
    if champion is None:
        return judged, None
    asked = Asked(bundles.read(registry.fetch(loop.name, champion), champion.digest))
    model = asked.model
    # Of classes in another order it is the other one that is positive: its probabilities are of something else.
    own, theirs = (loop.model.task, *map(str, classes)), (model.task, *map(str, model.classes))
    if list(map(spelling.spelled, own)) != list(map(spelling.spelled, theirs)):
        why = f"version {champion.number} learnt something else: {', '.join(theirs)}; this is {', '.join(own)}"
        return replace(judged, incomparable=why), None
    try:
        predicted = asked.of(where, some)
        return replace(judged, champion=predicted, threshold=model.threshold), champion.number
    except InputError as error:
        why = f"version {champion.number} cannot be asked on these rows: {error}"
        return replace(judged, incomparable=why), None


def _looked_at(loop: Loop, holdout: Path) -> "pd.DataFrame":
    """The columns that are looked at over all rows: label, entity, and those of slices, fairness and monotony."""
    import pyarrow.parquet as pq

    data, gates = loop.data, loop.gates
    wanted = (data.label.column, data.entity, *gates.slices, *gates.fairness, *gates.monotone)
    there = set(names(holdout))
    kept = [name for name in dict.fromkeys(wanted) if name in there]
    frame: pd.DataFrame = pq.read_table(holdout, columns=kept).to_pandas(ignore_metadata=True)
    return frame


def _monotone(asked: Asked, frame: "pd.DataFrame", loop: Loop) -> "Columns":
    """The inputs of which all values are looked at, to know what they may be."""
    from loopwright.models.columns import from_frame

    inputs = [spec for spec in asked.model.inputs if spec.name in loop.gates.monotone]
    return from_frame(inputs, frame[[spec.name for spec in inputs]])
