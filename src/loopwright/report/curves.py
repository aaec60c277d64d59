"""The pictures of one judgement: ROC, calibration and residuals, challenger and champion on the same held-out rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loopwright.report import svg
from loopwright.report.svg import Box, Scale

SIDE = 296.0
HEIGHT = SIDE + 10
_BOX = Box(36, 46, SIDE - 6, HEIGHT - 44)
_Z = 1.959964  # the normal distribution's 97.5 % quantile: intervals of 95 %


@dataclass(frozen=True)
class Side:
    """One of the two models that are compared: its name, its colour and its curves."""

    name: str
    colour: int
    curves: Mapping[str, Any]


def auc(metrics: Mapping[str, Any] | None) -> float | None:
    """The area under the ROC curve, or the mean of those of more than two classes."""
    known = metrics or {}
    found: float | None = known.get("roc_auc", known.get("roc_auc_ovr"))
    return found


def words(evaluation: Mapping[str, Any]) -> dict[str, bool]:
    """How the pictures of an evaluation are to be named: of more than two classes they are of other things."""
    return {"several": len(evaluation.get("classes") or ()) > 2}


def roc(sides: Sequence[Side], areas: Sequence[float | None], *, several: bool = False) -> str:
    """True positives over false positives; `areas` are the areas under the curves, where they are known.

    Of more than two classes (`several`) it is the mean of each against the rest.
    """
    note = "mean of one against the rest" if several else ""
    x, y, parts = _unit("ROC", note, "false positive rate", "true positive rate")
    parts.append(svg.line(x(0), y(0), x(1), y(1), "diagonal"))
    said = []
    for index, (side, auc) in enumerate(zip(sides, areas, strict=True)):
        curve = side.curves.get("roc") or {}
        points = pairs(curve.get("fpr"), curve.get("tpr"))
        if points:
            parts.append(svg.path([(x(a), y(b)) for a, b in points], f"line {_kind(side, index)}", side.name))
        value = "" if auc is None else f"  AUC {auc:.3f}"
        said.append(side.name + value)
        # Below the diagonal there is room: no model worth a picture is there.
        parts.append(
            svg.text(_BOX.right - 6, _BOX.bottom - 30 + 18 * index, side.name + value, f"name {_kind(side)}", "end")
        )
    return svg.picture(SIDE, HEIGHT, "ROC curve", ", ".join(said), parts, "chart square")


def calibration(sides: Sequence[Side], *, several: bool = False) -> str:
    """Observed share over mean prediction, by group, with what chance alone would do to so many rows."""
    counts = [count for side in sides for _, _, count in calibrated(side.curves)]
    below = "mean probability of the predicted class" if several else "mean prediction of a group"
    x, y, parts = _unit("Calibration", _groups(counts), below, f"share that was {'right' if several else 'positive'}")
    parts.append(svg.line(x(0), y(0), x(1), y(1), "diagonal"))
    for index, side in reversed(list(enumerate(sides))):
        groups = calibrated(side.curves)
        kind = _kind(side, index)
        points = [(x(predicted), y(observed)) for predicted, observed, _ in groups]
        for predicted, observed, count in groups if index == 0 else []:
            low, high = interval(observed, count)
            parts.append(svg.line(x(predicted), y(low), x(predicted), y(high), f"interval {kind}"))
        if len(points) > 1:
            parts.append(svg.path(points, f"line thin {kind}", side.name))
        for predicted, observed, count in groups:
            tip = f"{side.name}: predicted {predicted:.3f}, observed {observed:.3f} of {count:,} rows"
            parts.append(svg.circle(x(predicted), y(observed), 3.5 if index == 0 else 2.5, f"point {kind}", tip))
    for index, side in enumerate(sides):
        at = _BOX.bottom - 30 + 18 * index
        parts.append(svg.text(_BOX.right - 6, at, side.name, f"name {_kind(side)}", "end"))
    said = f"{', '.join(side.name for side in sides)}; {_groups(counts)}"
    return svg.picture(SIDE, HEIGHT, "Calibration", said, parts, "chart square")


def residuals(sides: Sequence[Side]) -> str:
    """The residuals' quantiles of a regression: predicted minus true, in the label's units."""
    found = [pairs(*((side.curves.get("residuals") or {}).get(name) for name in ("share", "value"))) for side in sides]
    values = [value for points in found for _, value in points]
    low, high = min([0.0, *values]), max([0.0, *values])
    box = Box(52, 36, SIDE - 6, HEIGHT - 44)
    x, y = Scale(0, 1, box.left, box.right), Scale(low, high if high > low else low + 1, box.bottom, box.top)
    parts = svg.axis_left(box, y, svg.ticks(low, y.high, 5), svg.tidy)
    parts += svg.axis_bottom(box, x, (0, 0.25, 0.5, 0.75, 1), _percent)
    parts.append(svg.text(0, 14, "Residuals, predicted minus true", "title"))
    parts.append(svg.text(box.right, HEIGHT - 8, "share of the rows", "tick", "end"))
    parts.append(svg.line(box.left, y(0), box.right, y(0), "diagonal"))
    for index, (side, points) in enumerate(zip(sides, found, strict=True)):
        if points:
            parts.append(svg.path([(x(a), y(b)) for a, b in points], f"line {_kind(side, index)}", side.name))
        parts.append(svg.text(box.left + 8, box.top + 14 + 18 * index, side.name, f"name {_kind(side)}"))
    said = ", ".join(side.name for side in sides)
    return svg.picture(SIDE, HEIGHT, "Residuals, predicted minus true", said, parts, "chart square")


def learning(found: Mapping[str, Any]) -> str:
    """The learning curve of a model: a metric on rows left out, with its standard error, and on those trained on."""
    points, metric = found["points"], str(found["metric"])
    ends = [one["left_out"] + sign * one["error"] for one in points for sign in (-1, 1)]
    values = [*ends, *(one["training"] for one in points)]
    low, high = min(values), max(values)
    box = Box(52, 46, SIDE - 6, HEIGHT - 44)
    most = points[-1]["rows"]
    x, y = Scale(0, most, box.left, box.right), Scale(low, high if high > low else low + 1, box.bottom, box.top)
    parts = svg.axis_left(box, y, svg.ticks(low, y.high, 5), svg.tidy)
    parts += svg.axis_bottom(box, x, svg.ticks(0, most, 4), lambda rows: f"{rows:,.0f}")
    note = "dashed: rows trained on"
    parts += [svg.text(0, 14, "Learning curve", "title"), svg.text(box.right, 14, note, "note", "end")]
    parts.append(svg.text(0, 33, f"{metric} of rows left out", "tick"))
    parts.append(svg.text(box.right, HEIGHT - 8, "rows trained on", "tick", "end"))
    for one in points:
        at = x(one["rows"])
        parts.append(svg.line(at, y(one["left_out"] - one["error"]), at, y(one["left_out"] + one["error"]), "line c0"))
    for index, (key, name) in enumerate((("left_out", "rows left out"), ("training", "rows trained on"))):
        line = [(x(one["rows"]), y(one[key])) for one in points]
        parts.append(svg.path(line, "line c0" + (" before" if index else ""), name))
    said = ", ".join(f"{one['left_out']:.4f} with {one['rows']:,} rows" for one in points)
    return svg.picture(SIDE, HEIGHT, "Learning curve", f"{metric} on rows left out: {said}", parts, "chart square")


def pairs(first: Any, second: Any) -> list[svg.Point]:
    """The finite pairs of two lists; what is not a number is left out."""
    return [(a, b) for a, b in zip(first or (), second or (), strict=False) if _finite(a) and _finite(b)]


def calibrated(curves: Mapping[str, Any]) -> list[tuple[float, float, int]]:
    """(mean prediction, observed share, rows) of each group."""
    found = curves.get("calibration") or {}
    points = zip(*(found.get(name) or () for name in ("predicted", "observed", "count")), strict=False)
    return [(a, b, int(n)) for a, b, n in points if _finite(a) and _finite(b) and _finite(n)]


def interval(share: float, rows: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share that was observed on so many rows (E. B. Wilson, JASA 22, 1927)."""
    if rows < 1:
        return 0.0, 1.0
    middle, square = share + _Z**2 / (2 * rows), _Z**2 / rows
    half = _Z * math.sqrt(share * (1 - share) / rows + square / (4 * rows))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def _unit(title: str, note: str, below: str, left: str) -> tuple[Scale, Scale, list[str]]:
    """A square from 0 to 1 both ways, with its title, a note beside that and its axes' names."""
    x, y = Scale(0, 1, _BOX.left, _BOX.right), Scale(0, 1, _BOX.bottom, _BOX.top)
    quarters = (0, 0.25, 0.5, 0.75, 1)
    parts = [*svg.axis_left(_BOX, y, quarters, svg.tidy), *svg.axis_bottom(_BOX, x, quarters, svg.tidy)]
    parts += [svg.text(0, 14, title, "title"), svg.text(_BOX.right, 14, note, "note", "end")]
    parts.append(svg.text(_BOX.right, HEIGHT - 8, below, "tick", "end"))
    parts.append(svg.text(0, 33, left, "tick"))
    return x, y, parts


def _kind(side: Side, index: int = 0) -> str:
    """The challenger's line is whole, the champion's is dashed: not by colour alone."""
    return svg.colour(side.colour) + (" before" if index else "")


def _groups(counts: Sequence[int]) -> str:
    if not counts:
        return "no groups"
    low, high = min(counts), max(counts)
    rows = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"bars 95 %, {rows} rows each"


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
