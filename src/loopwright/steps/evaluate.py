"""Judge the model on rows that it has not seen: metrics, curves and gates, beside the champion on the same rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwright.errors import BundleError, InputError
from loopwright.loop import Loop
from loopwright.registry import Registry
from loopwright.statistics import metrics
from loopwright.steps import gates

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.models.bundle import Bundle


def evaluate(loop: Loop, registry: Registry, model: Path, holdout: Path) -> dict[str, Any]:
    """The evaluation of the bundle in the folder `model`, as the registry keeps it.

    A champion whose inputs the holdout no longer has cannot be compared; the evaluation says so and its gates fail.
    """
    import pandas as pd

    from loopwright.models import bundle as bundles

    frame = pd.read_parquet(holdout)
    challenger = bundles.read(model)
    truth = target(loop, frame, challenger.manifest.classes)
    predicted = _predict(challenger, frame)
    values = metrics.evaluate(loop.model.task, truth, predicted)
    champion = registry.champion(loop.name)
    before = None
    if champion is not None:
        try:
            before = _predict(bundles.read(registry.fetch(loop.name, champion), champion.digest), frame)
        except InputError as error:
            raise BundleError(
                f"the champion, version {champion.number}, cannot be asked on the new rows: {error}",
                expected="rows that have its input columns",
                do="keep the column in the contract, or remove `gates.champion` for this one run",
            ) from error
    outcome = gates.apply(loop, gates.Judged(truth, predicted, before), values)
    classification = loop.model.task == "classification"
    return {
        "rows": len(frame),
        "classes": list(challenger.manifest.classes),
        "metrics": values,
        "champion": None
        if champion is None or before is None
        else {"version": champion.number, "metrics": metrics.evaluate(loop.model.task, truth, before)},
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
