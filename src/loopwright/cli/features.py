"""The loop's feature code: read beside loop.yaml, and tried with the estimator before a run depends on both."""

from typing import TYPE_CHECKING

from loopwright.cli.context import Context
from loopwright.errors import DeclarationError

if TYPE_CHECKING:
    import pandas as pd

# Enough to see whether something can be trained at all.
TRIAL_ROWS = 50


def read(context: Context) -> str:
    """The feature code's source, or nothing. Raises DeclarationError when it is declared and cannot be read."""
    name = context.loop.model.features
    if name is None:
        return ""
    path = context.folder / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(
            f"the feature code {path} cannot be read: {error}",
            expected="a Python file with `features(columns)`",
            do="correct `model.features` in loop.yaml, or write the file",
        ) from error


def attempt(context: Context, code: str, rows: "pd.DataFrame") -> None:
    """Train on a few rows, with the feature code and the parameters of the declaration.

    Raises DeclarationError saying what is wrong with them, before a whole run has to find out. Where there is neither,
    and the estimator is one of ours, there is nothing that could be wrong, and nothing is trained.
    """
    if not code and not context.loop.model.parameters and ":" not in context.loop.model.estimator:
        return
    from loopwright.data import splits
    from loopwright.models import columns, features, fit
    from loopwright.models.choices import Choices
    from loopwright.steps.evaluate import target

    loop = context.loop
    inputs, classes = columns.specs(loop.inputs), splits.classes(rows, loop)
    few = rows.groupby(loop.data.label.column).head(TRIAL_ROWS) if classes else rows.head(TRIAL_ROWS)
    raw = columns.from_frame(inputs, few[[spec.name for spec in inputs]])
    derived = features.load(code)(raw) if code else raw
    specs = features.fit_spec(derived)
    matrix, wanted = features.encode(specs, derived), target(loop, few, classes)
    known = Choices(classes=max(len(classes), 2))
    fit.fit(
        loop.model.task, loop.model.estimator, loop.model.parameters, loop.model.seed, matrix, specs, wanted,
        choices=known,
    )  # fmt: skip
