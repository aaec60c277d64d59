"""The loop's feature code: read beside loop.yaml, and tried on a few rows before a run depends on it."""

from typing import TYPE_CHECKING

from loopwright.cli.context import Context
from loopwright.errors import DeclarationError

if TYPE_CHECKING:
    import pandas as pd


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
    """Run the feature code on a few rows. Raises DeclarationError saying what is wrong with it."""
    if not code:
        return
    from loopwright.models import columns, features

    inputs = columns.specs(context.loop.inputs)
    features.load(code)(columns.from_frame(inputs, rows[[spec.name for spec in inputs]]))
