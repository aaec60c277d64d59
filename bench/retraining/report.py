"""From numbers to the page: a table a stream between markers of docs/retraining.md, and a picture of the weeks."""

from pathlib import Path
from typing import Any

import numpy as np
from bench import sections

BEGIN, END = sections.marks("retraining")
NAMES = {
    "none": "never",
    "monthly": "every 30 days",
    "weekly": "every 7 days",
    "even": "evenly, as often as alarms",
    "random": "at random, as often as alarms",
    "alarm": "Loopwright's alarms",
}
COLOURS = {"none": "#8c959f", "random": "#bf3989", "weekly": "#9a6700", "alarm": "#1f6feb"}
WIDTH, HEIGHT, LEFT, TOP = 860, 170, 60, 34

Found = dict[str, list[dict[str, Any]]]


def write(result: Found, docs: Path) -> None:
    """Put the section into the page, which is made where there is none, and draw the picture beside it."""
    docs.with_name("retraining_weeks.svg").write_text(picture(result))
    sections.put(docs, "retraining", body(result), title="Retraining, by simulation")


def body(result: Found) -> str:
    """The section: for each stream what every policy reached, spent and wasted, over the mean of its years."""
    parts = []
    for name, years in result.items():
        what = "R2" if name == "demand" else "AUC"
        parts += [f"### {name}", "", f"Mean of {len(years)} years.", ""]
        parts.append(f"| retrained | mean {what} | worst week | runs | not needed | above random, each year |")
        parts.append("| --- | ---: | ---: | ---: | ---: | --- |")
        for key, title in NAMES.items():
            rows = [year["policies"][key] for year in years]
            mean = {one: np.mean([row[one] for row in rows]) for one in ("score", "worst", "runs", "unneeded")}
            above = [year["policies"][key]["score"] - year["policies"]["random"]["score"] for year in years]
            said = "" if key == "random" else ", ".join(f"{value:+.3f}" for value in above)
            parts.append(
                f"| {title} | {mean['score']:.3f} | {mean['worst']:.3f} | {mean['runs']:.0f} | {mean['unneeded']:.1f} "
                f"| {said} |"
            )
        parts.append("")
    return "\n".join([*parts, "![Score by week of the first year of each stream](retraining_weeks.svg)"])


def picture(result: Found) -> str:
    """The score of each week in the first year of each stream; a line below for each run that an alarm started."""
    parts = []
    for number, (name, years) in enumerate(result.items()):
        parts.append(_panel(name, years[0], number * (HEIGHT + 50) + 10))
    height = len(result) * (HEIGHT + 50) + 40
    for i, (key, colour) in enumerate(COLOURS.items()):
        x, y = LEFT + i * 200, height - 14
        parts.append(f'<line x1="{x}" x2="{x + 24}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 30}" y="{y}">{NAMES[key]}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" font-family="sans-serif" font-size="11" fill="#24292f">\n<title>Score by week</title>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(name: str, year: dict[str, Any], top: float) -> str:
    shown = {key: np.asarray(year["policies"][key]["weeks"]) for key in COLOURS}
    low, high = 0.0, 1.0
    number = len(shown["alarm"])

    def x(day: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * day / (7 * number)

    def y(value: float) -> float:
        return top + TOP + (HEIGHT - TOP) * (high - min(max(value, low), high)) / (high - low)

    parts = [
        f'<text x="10" y="{top + 16}" font-size="14" font-weight="bold">{name}: '
        f"{'R2' if name == 'demand' else 'AUC'} of each week (cut off at 0)</text>"
    ]
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
    for day in year["matters"]:
        parts.append(f'<line x1="{x(day):.1f}" x2="{x(day):.1f}" y1="{y(1)}" y2="{y(0)}" stroke="#24292f"/>')
    for day in year["idle"]:
        parts.append(
            f'<line x1="{x(day):.1f}" x2="{x(day):.1f}" y1="{y(1)}" y2="{y(0)}" stroke="#24292f" '
            f'stroke-dasharray="3 3"/>'
        )
    for key, weeks in shown.items():
        points = " ".join(f"{x(7 * i + 3.5):.1f},{y(value):.1f}" for i, value in enumerate(weeks))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[key]}" stroke-width="1.6"/>')
    for day in year["days"]:
        parts.append(
            f'<line x1="{x(day):.1f}" x2="{x(day):.1f}" y1="{y(0) + 3}" y2="{y(0) + 12}" stroke="#1f6feb" '
            f'stroke-width="2"/>'
        )
    return "\n".join(parts)
