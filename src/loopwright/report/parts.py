"""How good a judged model is on parts of the held-out rows, as tables: slices, and groups that fairness compares."""

from collections.abc import Mapping
from typing import Any

from loopwright.report.svg import escape
from loopwright.report.tables import bounds, figure, table

SHOWN = ("roc_auc", "roc_auc_ovr", "accuracy", "recall", "precision", "f1_macro", "rmse", "mae")
BY_CLASS = ("precision", "recall", "f1", "roc_auc")


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


def classes(evaluation: Mapping[str, Any]) -> str:
    """Each of more than two classes against the rest; nothing where there are two, or none."""
    rows = [
        (escape(one["class"]), f"{one['rows']:,}", *(figure(one.get(name)) for name in BY_CLASS))
        for one in evaluation.get("by_class") or ()
    ]
    heads = ("class", "#rows", *(f"#{name}" for name in BY_CLASS))
    return table(heads, rows, "metrics", "Each class against the rest") if rows else ""


def fairness(evaluation: Mapping[str, Any]) -> str:
    """The groups of each protected attribute, and how far their decisions are apart; nothing where there are none."""
    return "".join(_attribute(found) for found in evaluation.get("fairness") or ())


def _attribute(found: Mapping[str, Any]) -> str:
    rates = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
    heads = (found["attribute"], "#rows", *(f"#{rate.replace('_', ' ')}" for rate in rates))
    rows = [
        (
            escape(one["group"]),
            f"{one['rows']:,}",
            *(figure(one.get(rate)) + bounds(one["intervals"].get(rate)) for rate in rates),
        )
        for one in found["groups"]
    ]
    for name, count in found["too_small"].items():
        rows.append((f"{escape(name)}, not compared", f"{count:,}", *[""] * len(rates)))
    measures = [
        (escape(name.replace("_", " ")), figure(value) + bounds(found["intervals"].get(name)))
        for name, value in found["measures"].items()
    ]
    between = (f"between the groups of {found['attribute']}", "#")
    return table(heads, rows, "metrics", f"Decisions by {found['attribute']}, with 95 % intervals") + (
        table(between, measures, "metrics", f"Fairness by {found['attribute']}") if measures else ""
    )
