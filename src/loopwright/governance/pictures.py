"""The pictures of a model card: ROC, precision over recall, calibration, residuals, and what predictions rest on."""

from collections.abc import Mapping
from typing import Any

from loopwright.governance.document import Picture
from loopwright.report import curves, svg
from loopwright.report.curves import HEIGHT, SIDE, Side, pairs
from loopwright.report.svg import Box, Scale

MOST_FEATURES = 15


def judged(version: int, evaluation: Mapping[str, Any]) -> list[Picture]:
    """The curves that the evaluation has, the champion's beside them where there was one."""
    own = evaluation.get("curves") or {}
    if not own:
        return []
    sides, before = [Side(f"version {version}", 0, own)], evaluation.get("champion") or {}
    if evaluation.get("champion_curves"):
        sides.append(Side(f"version {before.get('version')}", 1, evaluation["champion_curves"]))
    on = "on the held-out rows"
    if "residuals" in own:
        return [Picture("residuals", curves.residuals(sides), f"Quantiles of predicted minus true, {on}.")]
    areas = [curves.auc(one.get("metrics")) for one in (evaluation, before)][: len(sides)]
    found, words = [], curves.words(evaluation)
    several = len(evaluation.get("classes") or ()) > 2
    if own.get("roc"):
        mean = ", the mean of each class against the rest" if several else ""
        found.append(Picture("roc", curves.roc(sides, areas, **words), f"True over false positive rate{mean}, {on}."))
    if (drawn := precision_recall(version, evaluation)) is not None:
        found.append(drawn)
    if own.get("calibration"):
        caption = "Observed share over mean prediction, with 95 % intervals (Wilson)."
        if several:
            caption = "How often the predicted class was right over its mean probability, with 95 % intervals (Wilson)."
        found.append(Picture("calibration", curves.calibration(sides, **words), caption))
    return found


def learning(trained: Mapping[str, Any]) -> Picture | None:
    """The learning curve, where training made one."""
    found = trained.get("learning_curve") or {}
    if len(found.get("points") or ()) < 2:
        return None
    caption = f"{found['metric']} by the rows trained on, over parts of the training rows; bars are a standard error."
    return Picture("learning", curves.learning(found), caption)


def precision_recall(version: int, evaluation: Mapping[str, Any]) -> Picture | None:
    """Precision over recall, from the ROC curve's points and the share of positives, which together say the same.

    With a share p of positives, precision = p tpr / (p tpr + (1 - p) fpr) (Davis & Goadrich 2006, ICML).
    """
    curve, confusion = (evaluation.get("curves") or {}).get("roc"), evaluation.get("confusion")
    if not curve or not confusion or len(confusion) != 2:
        return None
    share = sum(confusion[1]) / max(1, sum(map(sum, confusion)))
    points = [
        (true, share * true / (share * true + (1 - share) * false))
        for false, true in pairs(curve.get("fpr"), curve.get("tpr"))
        if true > 0
    ]
    box = Box(36, 46, SIDE - 6, HEIGHT - 44)
    x, y = Scale(0, 1, box.left, box.right), Scale(0, 1, box.bottom, box.top)
    quarters = (0, 0.25, 0.5, 0.75, 1)
    parts = [*svg.axis_left(box, y, quarters, svg.tidy), *svg.axis_bottom(box, x, quarters, svg.tidy)]
    parts += [svg.text(0, 14, "Precision and recall", "title"), svg.text(0, 33, "precision", "tick")]
    parts.append(svg.text(box.right, HEIGHT - 8, "recall", "tick", "end"))
    parts.append(svg.line(box.left, y(share), box.right, y(share), "diagonal"))
    parts.append(svg.path([(x(a), y(b)) for a, b in points], "line c0", f"version {version}"))
    said = f"version {version}; {share:.1%} of the rows are positive"
    drawn = svg.picture(SIDE, HEIGHT, "Precision over recall", said, parts, "chart square")
    return Picture("precision_recall", drawn, f"Precision over recall; the dotted line is chance, {share:.1%}.")


_METHODS = {
    "TreeSHAP": " (TreeSHAP)",
    "linear": " (coefficient times value)",
    "sampled": " (sampled Shapley values)",
}


def importance(attributions: Mapping[str, Any] | None) -> Picture | None:
    """The mean size of each feature's contribution to a prediction, the greatest first."""
    if not attributions:
        return None
    ranked = sorted(zip(attributions["features"], attributions["mean"], strict=True), key=lambda one: -one[1])
    ranked = ranked[:MOST_FEATURES]
    width, row, left = 560.0, 24.0, 200.0
    box = Box(left, 28, width - 60, 28 + row * len(ranked))
    x = Scale(0, max([value for _, value in ranked] + [1e-12]), box.left, box.right)
    parts = [svg.text(0, 14, "What predictions rest on", "title")]
    for at, (name, value) in enumerate(ranked):
        middle = box.top + row * (at + 0.5)
        shown = name if len(name) <= 28 else name[:27] + "…"
        parts.append(svg.text(box.left - 8, middle + 4, shown, "tick", "end"))
        corners = [(box.left, middle - 7), (x(value), middle - 7)], [(box.left, middle + 7), (x(value), middle + 7)]
        parts.append(svg.area(*corners, "area c0", f"{name}: {value:.4g}"))
        parts.append(svg.text(x(value) + 6, middle + 4, f"{value:.3g}", "tick"))
    said = ", ".join(f"{name} {value:.3g}" for name, value in ranked[:5])
    drawn = svg.picture(width, box.bottom + 8, "What predictions rest on", said, parts, "bars")
    rows, method = attributions.get("rows", 0), _METHODS.get(attributions.get("method", ""), "")
    caption = (
        f"The mean size of each feature's contribution{method}, in the model's raw score, on {rows:,} held-out rows."
    )
    return Picture("importance", drawn, caption)
