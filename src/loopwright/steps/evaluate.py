"""Judge the model on rows that it has not seen: metrics, curves and gates, beside the champion on the same rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.errors import InputError
from loopwright.loop import Loop
from loopwright.registry import Registry
from loopwright.statistics import metrics
from loopwright.steps import gates

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.bundle import Bundle


def evaluate(loop: Loop, registry: Registry, model: Path, holdout: Path) -> dict[str, Any]:
    """The evaluation of the bundle in the folder `model`, as the registry keeps it.

    A model that does not predict numbers is judged by that alone. A champion that cannot be asked on these rows, as
    one of its inputs is gone, cannot be compared with: the evaluation says so, and gates against it fail.
    """
    import pandas as pd

    from loopwright.models import bundle as bundles

    frame = pd.read_parquet(holdout)
    challenger = bundles.read(model)
    truth = target(loop, frame, challenger.manifest.classes)
    predicted = _predict(challenger, frame)
    found: dict[str, Any] = {"rows": len(frame), "classes": list(challenger.manifest.classes), "champion": None}
    sane = gates.sane(predicted)
    if not sane.passed:
        return {**found, "metrics": {}, "gates": [sane.to_dict()], "passed": False, "curves": {}}
    values = metrics.evaluate(loop.model.task, truth, predicted)
    before, champion, incomparable = None, registry.champion(loop.name), ""
    if champion is not None:
        try:
            before = _predict(bundles.read(registry.fetch(loop.name, champion), champion.digest), frame)
        except InputError as error:
            incomparable = f"version {champion.number} cannot be asked on these rows: {error}"
        else:
            asked = metrics.evaluate(loop.model.task, truth, before)
            found["champion"] = {"version": champion.number, "metrics": asked}
    outcome = [sane, *gates.apply(loop, gates.Judged(truth, predicted, before, incomparable), values)]
    classification = loop.model.task == "classification"
    return {
        **found,
        "incomparable": incomparable or None,
        "metrics": values,
        "gates": [gate.to_dict() for gate in outcome],
        "passed": all(gate.passed for gate in outcome),
        "curves": metrics.curves(loop.model.task, truth, predicted),
        "champion_curves": None if before is None else metrics.curves(loop.model.task, truth, before),
        "confusion": metrics.confusion(truth, predicted) if classification else None,
        "threshold": metrics.THRESHOLD if classification else None,
    }


def target(loop: Loop, frame: "pd.DataFrame", classes: Sequence[Any]) -> NDArray[Any]:
    """The label of each row: booleans, true for the positive class, or numbers for a regression."""
    label = frame[loop.data.label.column]
    if loop.model.task == "regression":
        return label.to_numpy(dtype=np.float64)
    return np.asarray(label.astype(str) == str(classes[-1]), dtype=bool)


def _predict(bundle: "Bundle", frame: "pd.DataFrame") -> NDArray[np.float64]:
    from loopwright.models.columns import from_frame
    from loopwright.models.model import Model

    names = [spec.name for spec in bundle.manifest.inputs if spec.name in frame.columns]
    return Model(bundle).predict(from_frame(bundle.manifest.inputs, frame[names]))
