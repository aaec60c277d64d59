"""One picture of the detection delays: a panel for each fault, a row for each share and rule, log scales."""

from typing import Any
from xml.sax.saxutils import escape

from bench.pictures import TITLE, document, row, scale

LEFT, ROW, AXIS = 190, 15, 40
COLOURS = {
    "loopwright": "#1f6feb",
    "fixed": "#57606a",
    "flagger": "#bf3989",
    "argo_strict": "#9a6700",
    "argo_example": "#cf7a4b",
}


def draw(experiments: list[dict[str, Any]], names: dict[str, str]) -> str:
    """An SVG of the median (dot) and 90 % quantile (end of the line) of each rule; what is never found is said so."""
    panels: dict[str, list[dict[str, Any]]] = {}
    for one in experiments:
        panels.setdefault(one["what"], []).append(one)
    parts, top = [], 10
    for what, rows in panels.items():
        body, height = _panel(what, rows, names, top)
        parts.append(body)
        top += height
    return document("Requests of the challenger until it is rolled back", top, parts)


def _panel(what: str, rows: list[dict[str, Any]], names: dict[str, str], top: int) -> tuple[str, int]:
    rules = [rule for one in rows for rule in one["rules"].values()]
    bottom = top + TITLE + (len(rules) + len(rows)) * ROW
    x, grid = scale(rules, LEFT, top + TITLE, bottom)
    parts = [f'<text x="10" y="{top + 18}" font-size="14" font-weight="bold">{escape(what)}</text>', *grid]
    y = top + TITLE + ROW / 2
    for one in rows:
        share = "canary, 5/25/50/100 %" if one["weight"] is None else f"at {one['weight']} %"
        parts.append(f'<text x="10" y="{y + 4:.1f}" font-weight="bold">{share}</text>')
        for key, rule in one["rules"].items():
            parts.append(row(rule, names[key], COLOURS[key], LEFT, y, x, digits=1))
            y += ROW
        y += ROW
    return "\n".join(parts), bottom + AXIS - top
