"""What a model that can be served gets right, whatever its metrics: asked of the bundle as serving will load it.

Feature code that looks at other rows of a request (a mean, a rank) predicts well in a batch of thousands and nonsense
in a request of one; a metric does not see it, as the holdout is one batch.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from loopwright.steps.gates import Gate

if TYPE_CHECKING:
    from loopwright.models.columns import Columns
    from loopwright.models.model import Model

Floats = NDArray[np.float64]
Direction = Literal["increasing", "decreasing"]

ROWS = 200
"""Rows that are asked about again, in another order and one by one."""
SINGLE = 20
STEPS = 9
"""Values that a monotone input is set to: its quantiles among the held-out rows."""
TOLERANCE = 1e-9


def sane(predicted: Floats, *, probabilities: bool = False) -> Gate:
    """Predictions are finite, not all the same and, of a classification, shares of one: what breaks first.

    They are (n,), or of more than two classes (n, classes).
    """
    finite = float(np.isfinite(predicted).mean())
    detail = ""
    if finite < 1:
        detail = f"{1 - finite:.1%} are not finite"
    elif float(np.ptp(predicted, axis=0).max()) == 0:
        detail = "all the same"
    elif predicted.ndim == 2 and (off := float(np.abs(predicted.sum(axis=1) - 1).max())) > TOLERANCE:
        detail = f"the classes' probabilities are up to {off:.3g} off a sum of 1"
    elif probabilities and (predicted.min() < 0 or predicted.max() > 1):
        detail = (
            f"probabilities from {predicted.min():.4g} to {predicted.max():.4g}: with the other class's, no sum of 1"
        )
    return Gate("sanity", "predictions", not detail, finite, 1.0, detail or "finite and varied")


def checks(model: "Model", columns: "Columns", monotone: Mapping[str, Direction]) -> Iterator[Gate]:
    """The checks that ask the model again, of the first of the (n,) columns."""
    some = {name: values[:ROWS] for name, values in columns.items()}
    yield _order(model, some)
    for name, direction in monotone.items():
        yield _monotone(model, some, columns[name], name, direction)


def _order(model: "Model", columns: "Columns") -> Gate:
    """A row's prediction is the same wherever it stands, and alone."""
    expected = model.predict(columns)
    turned = model.predict({name: values[::-1] for name, values in columns.items()})[::-1]
    alone = [
        model.predict({name: values[at : at + 1] for name, values in columns.items()})[0]
        for at in range(min(SINGLE, len(expected)))
    ]
    off = max(float(np.abs(turned - expected).max()), float(np.abs(alone - expected[: len(alone)]).max()))
    same = off <= TOLERANCE * max(1.0, float(np.abs(expected).max()))
    words = "the same in another order and alone"
    if not same:
        words = f"up to {off:.3g} off in another order or alone: does the feature code look at other rows?"
    return Gate("sanity", "row order", same, off, TOLERANCE, words)


def _monotone(model: "Model", columns: "Columns", values: Floats, name: str, direction: Direction) -> Gate:
    """With all else as it is, the prediction does not go the other way when the input rises."""
    grid = np.unique(np.nanquantile(values, np.linspace(0, 1, STEPS)))
    rows = len(next(iter(columns.values())))
    steps = np.diff(np.stack([model.predict({**columns, name: np.full(rows, value)}) for value in grid]), axis=0) * (
        1.0 if direction == "increasing" else -1.0
    )
    wrong = float((steps < -TOLERANCE).any(axis=0).mean()) if len(steps) else 0.0
    worst = max(0.0, -float(steps.min())) if len(steps) else 0.0
    words = f"{direction} in every one of {rows:,} rows"
    if wrong:
        words = f"not {direction} in {wrong:.1%} of {rows:,} rows, by up to {worst:.4g}"
    return Gate("sanity", f"monotone {name}", wrong == 0, wrong, 0.0, words)
