"""Two pictures: rows until the alarm, a row for each rule; and the bike hire series with the alarms' dates on it."""

import math
from datetime import date
from typing import Any
from xml.sax.saxutils import escape

from bench.pictures import TITLE, WIDTH, document, row, scale

LEFT, ROW, AXIS = 250, 16, 44
COLOURS = {
    "loopwright": "#1f6feb",
    "tuned": "#79a8f5",
    "ks_bh": "#57606a",
    "evidently": "#bf3989",
    "nannyml": "#9a6700",
    "adwin": "#cf7a4b",
    "conformal": "#1a7f37",
}


def delays(cases: list[dict[str, Any]], names: dict[str, str]) -> str:
    """The median (dot) and the 90 % quantile (end of the line) of each rule; what is missed is said beside it."""
    parts, top = [], 10
    for case in cases:
        body, height = _panel(case, names, top)
        parts.append(body)
        top += height
    return document("Rows from the onset of a drift to the alarm", top, parts)


def _panel(case: dict[str, Any], names: dict[str, str], top: int) -> tuple[str, int]:
    rules = [rule for one in case["drifts"] for rule in one["rules"].values()]
    bottom = top + TITLE + (len(rules) + len(case["drifts"])) * ROW
    x, grid = scale(rules, LEFT, top + TITLE, bottom, " rows")
    what = f"window of {case['window']:,} rows, {case['features']} feature{'s' if case['features'] > 1 else ''}"
    parts = [f'<text x="10" y="{top + 18}" font-size="14" font-weight="bold">{what}</text>', *grid]
    y = top + TITLE + ROW / 2
    for one in case["drifts"]:
        parts.append(f'<text x="10" y="{y + 4:.1f}" font-weight="bold">{escape(one["drift"])}</text>')
        y += ROW
        for key, rule in one["rules"].items():
            parts.append(row(rule, names[key], COLOURS[key], LEFT, y, x))
            y += ROW
    return "\n".join(parts), bottom + AXIS - top


def bike(found: dict[str, Any], labels: dict[str, str]) -> str:
    """Mean hires an hour by week, and a line at the alarm of the hires under each reference."""
    height, left, bottom, top = 340, 60, 290, 50
    weeks = [(date.fromisoformat(day), value) for day, value in found["series"]]
    first, last = weeks[0][0].toordinal(), weeks[-1][0].toordinal()
    most = math.ceil(max(value for _, value in weeks) / 100) * 100

    def x(day: date) -> float:
        return left + (WIDTH - left - 20) * (day.toordinal() - first) / (last - first)

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / most

    parts = ['<text x="10" y="20" font-size="14" font-weight="bold">Mean hires an hour, by week; alarms on them</text>']
    for value in range(0, most + 1, 100):
        parts.append(f'<line x1="{left}" x2="{WIDTH - 20}" y1="{y(value)}" y2="{y(value)}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{left - 6}" y="{y(value) + 4}" text-anchor="end">{value}</text>')
    for month in range(24):
        day = date(2011 + month // 12, month % 12 + 1, 1)
        if month % 3 == 0:
            parts.append(f'<text x="{x(day):.1f}" y="{bottom + 18}">{day:%b %Y}</text>')
    year = x(date(2012, 1, 1))
    parts.append(f'<rect x="{left}" y="{top}" width="{year - left:.1f}" height="{bottom - top}" fill="#f6f8fa"/>')
    parts.append(f'<text x="{left + 8}" y="{top + 16}" fill="#57606a">the reference, 2011</text>')
    points = " ".join(f"{x(day):.1f},{y(value):.1f}" for day, value in weeks)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#24292f" stroke-width="1.5"/>')
    for key, colour, side, anchor in (("season", "#1f6feb", -5, "end"), ("year", "#bf3989", 5, "start")):
        if "cnt" not in found["alarms"][key]:
            continue
        day = date.fromisoformat(found["alarms"][key]["cnt"])
        parts.append(
            f'<line x1="{x(day):.1f}" x2="{x(day):.1f}" y1="{top - 10}" y2="{bottom}" stroke="{colour}" '
            f'stroke-width="2"/><text x="{x(day) + side:.1f}" y="{bottom - 10}" text-anchor="{anchor}" fill="{colour}">'
            f"{day:%d %b %Y}: {escape(labels[key])}</text>"
        )
    return document("Bike hires by week, with the alarms' dates", height, parts)
