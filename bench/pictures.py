"""What the pictures of delays have in common: a log scale, a row for each rule, and the SVG document around them."""

import math
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

WIDTH, RIGHT, TITLE = 860, 110, 34
"""Of the picture, of the room on the right for what is missed, and of a panel's title."""


def document(title: str, height: float, parts: Sequence[str]) -> str:
    """The SVG of parts that are drawn."""
    # White under everything: the page may be dark, and the text is not.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" font-family="sans-serif" font-size="11" fill="#24292f">\n<title>{escape(title)}</title>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def scale(
    rules: Sequence[dict[str, Any]], left: float, top: float, bottom: float, unit: str = ""
) -> tuple[Callable[[float], float], list[str]]:
    """Where a number stands, from `left` on, and the lines of the powers of ten that hold all of these rules."""
    values = [value for rule in rules for value in (rule["median"], rule["late"]) if value]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(value: float) -> float:
        return left + (WIDTH - left - RIGHT) * (math.log10(value) - low) / max(high - low, 1)

    parts = []
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{10**power:,}{unit}</text>')
    return x, parts


def row(
    rule: dict[str, Any], name: str, colour: str, left: float, y: float, x: Callable[[float], float], digits: int = 0
) -> str:
    """A rule's median (dot) and 90 % quantile (end of the line), and the share that it missed, with so many digits."""
    right = WIDTH - RIGHT
    parts = [f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{colour}">{escape(name)}</text>']
    if rule["median"] is not None:
        start, end = x(rule["median"]), x(rule["late"]) if rule["late"] is not None else right
        dash = "" if rule["late"] is not None else ' stroke-dasharray="3 3"'
        parts.append(
            f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        parts.append(f'<circle cx="{start:.1f}" cy="{y}" r="4" fill="{colour}"/>')
    if rule["missed"] > 0:
        parts.append(f'<text x="{right + 8}" y="{y + 4:.1f}" fill="{colour}">missed {rule["missed"]:.{digits}%}</text>')
    return "".join(parts)
