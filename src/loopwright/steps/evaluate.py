"""Judge the model on rows that it has not seen: metrics, curves and gates, beside the champion on the same rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.errors import DataError, InputError
from loopwright.loop import Loop, spelling
from loopwright.registry import Registry
from loopwright.statistics import bootstrap, metrics, several
from loopwright.steps import gates, sanity, served
from loopwright.steps.evidence import Comparison, Judged, finite, measures_of
from loopwright.steps.fair import fair
from loopwright.steps.slices import slices

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.columns import Columns
    from loopwright.models.model import Model


def evaluate(loop: Loop, registry: Registry, model: Path, holdout: Path) -> dict[str, Any]:
    """The evaluation of the bundle in the folder `model`, as the registry keeps it.

    A model that does not predict numbers is judged by that alone. A champion that cannot be asked on these rows, as
    one of its inputs is gone, cannot be compared with: the evaluation says so, and gates against it fail.
    """
    import pandas as pd

    from loopwright.models import bundle as bundles
    from loopwright.models.model import Model

    frame = pd.read_parquet(holdout)
    bundle = bundles.read(model)
    challenger = Model(bundle)
    truth = target(loop, frame, bundle.manifest.classes)
    columns = _columns(challenger, frame)
    predicted = challenger.predict(columns)
    classification = loop.model.task == "classification"
    found: dict[str, Any] = {"rows": len(frame), "classes": list(bundle.manifest.classes), "champion": None}
    sane = sanity.sane(predicted, probabilities=classification)
    if not sane.passed:
        return {**found, "metrics": {}, "gates": [sane.to_dict()], "passed": False, "curves": {}}
    groups = None if loop.data.entity is None else bootstrap.codes(frame[loop.data.entity].to_numpy())
    judged, version = _beside_champion(
        loop, registry, frame, bundle.manifest.classes, Judged(truth, predicted, None, groups=groups)
    )
    comparison = Comparison(loop, judged)
    # Before the gates, which then need no draws of their own.
    intervals = comparison.intervals()
    on_fairness, fairness = fair(loop, frame, judged)
    outcome = [
        sane,
        *sanity.checks(challenger, columns, loop.gates.monotone),
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
    loop: Loop, registry: Registry, frame: "pd.DataFrame", classes: Sequence[Any], judged: Judged
) -> tuple[Judged, int | None]:
    """What was judged with the champion's predictions of the same rows, and the version that made them."""
    from dataclasses import replace

    from loopwright.models import bundle as bundles
    from loopwright.models.model import Model

    champion = registry.champion(loop.name)
    if champion is None:
        return judged, None
    model = Model(bundles.read(registry.fetch(loop.name, champion), champion.digest))
    # Of classes in another order it is the other one that is positive: its probabilities are of something else.
    own, theirs = (loop.model.task, *map(str, classes)), (model.task, *map(str, model.classes))
    if list(map(spelling.spelled, own)) != list(map(spelling.spelled, theirs)):
        why = f"version {champion.number} learnt something else: {', '.join(theirs)}; this is {', '.join(own)}"
        return replace(judged, incomparable=why), None
    try:
        predicted = model.predict(_columns(model, frame))
        return replace(judged, champion=predicted, threshold=model.threshold), champion.number
    except InputError as error:
        why = f"version {champion.number} cannot be asked on these rows: {error}"
        return replace(judged, incomparable=why), None


def _columns(model: "Model", frame: "pd.DataFrame") -> "Columns":
    from loopwright.models.columns import from_frame

    names = [spec.name for spec in model.inputs if spec.name in frame.columns]
    return from_frame(model.inputs, frame[names])
