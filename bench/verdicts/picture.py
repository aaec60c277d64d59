"""One picture of the detection delays: a panel for each fault, a row for each share and rule, log scales."""

import math
from typing import Any
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, ROW, TITLE, AXIS = 860, 190, 110, 15, 34, 40
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
    # White under everything: the page may be dark, and the text is not.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" '
        f'role="img" font-family="sans-serif" font-size="11" fill="#24292f">\n'
        f"<title>Requests of the challenger until it is rolled back</title>\n"
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(what: str, rows: list[dict[str, Any]], names: dict[str, str], top: int) -> tuple[str, int]:
    values = [v for one in rows for rule in one["rules"].values() for v in (rule["median"], rule["late"]) if v]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    lines = sum(len(one["rules"]) + 1 for one in rows)
    bottom = top + TITLE + lines * ROW

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - low) / (high - low)

    parts = [f'<text x="10" y="{top + 18}" font-size="14" font-weight="bold">{escape(what)}</text>']
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + TITLE}" y2="{bottom}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{10**power:,}</text>')
    y = top + TITLE + ROW / 2
    for one in rows:
        share = "canary, 5/25/50/100 %" if one["weight"] is None else f"at {one['weight']} %"
        parts.append(f'<text x="10" y="{y + 4:.1f}" font-weight="bold">{share}</text>')
        for key, rule in one["rules"].items():
            parts.append(_row(key, rule, names[key], y, x))
            y += ROW
        y += ROW
    return "\n".join(parts), bottom + AXIS - top


def _row(key: str, rule: dict[str, Any], name: str, y: float, x: Any) -> str:
    colour, right = COLOURS[key], WIDTH - RIGHT
    parts = [f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{colour}">{escape(name)}</text>']
    if rule["median"] is not None:
        start, end = x(rule["median"]), x(rule["late"]) if rule["late"] is not None else right
        dash = "" if rule["late"] is not None else ' stroke-dasharray="3 3"'
        parts.append(
            f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        parts.append(f'<circle cx="{start:.1f}" cy="{y}" r="4" fill="{colour}"/>')
    if rule["missed"] > 0:
        parts.append(f'<text x="{right + 8}" y="{y + 4:.1f}" fill="{colour}">missed {rule["missed"]:.1%}</text>')
    return "".join(parts)
