"""How good a judged model is on parts of the held-out rows, as tables: slices."""

from collections.abc import Mapping
from typing import Any

from loopwright.report.svg import escape
from loopwright.report.tables import bounds, figure, table

SHOWN = ("roc_auc", "accuracy", "recall", "precision", "rmse", "mae")


def slices(evaluation: Mapping[str, Any]) -> str:
    """The metrics of each slice with their intervals; nothing where there are none."""
    found = evaluation.get("slices") or ()
    if not found:
        return ""
    metrics = [name for name in SHOWN if any(name in one["metrics"] for one in found)]
    heads = ("slice", "#rows", *(f"#{name}" for name in metrics), "")
    rows = [
        (
            f"<code>{escape(one['column'])}</code> {escape(one['value'])}",
            f"{one['rows']:,}",
            *(figure(one["metrics"].get(name)) + bounds(one["intervals"].get(name)) for name in metrics),
            '<span class="muted">small</span>' if one["small"] else "",
        )
        for one in found
    ]
    return table(heads, rows, "metrics", "Slices of the held-out rows, with 95 % intervals")
