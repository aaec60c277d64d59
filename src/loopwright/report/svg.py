"""The few SVG parts that the charts are made of. Text is escaped here, so that no caller can forget it.

Colours are CSS classes (`c0`...`c5` for versions and features, see page.css), so that a picture follows the reader's
light or dark scheme. Lengths are the picture's own units, which are CSS pixels where it is shown at its full width.
"""

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

COLOURS = 6
Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps values from `low`..`high` to lengths `start`..`end`; logarithmic if asked for."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


@dataclass(frozen=True)
class Box:
    """Where a chart's data is drawn: its left, top, right and bottom."""

    left: float
    top: float
    right: float
    bottom: float


def escape(value: object) -> str:
    """Text for element content and for quoted attributes."""
    return html.escape(str(value), quote=True)


def picture(width: float, height: float, title: str, description: str, parts: Iterable[str], kind: str = "") -> str:
    """A whole picture with what a screen reader says of it; `kind` is its class."""
    return (
        f'<svg class="{escape(kind)}" viewBox="0 0 {number(width)} {number(height)}" role="img" '
        f'width="{number(width)}" height="{number(height)}" aria-label="{escape(f"{title}. {description}")}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )


def number(value: float) -> str:
    """A length with at most one decimal: a tenth of a pixel is not seen."""
    return f"{value:.1f}".removesuffix(".0")


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"/>'


def path(points: Sequence[Point], kind: str, title: str = "") -> str:
    """An open line through the points; a single point is a dot."""
    if len(points) == 1:
        return circle(*points[0], 1.5, kind.replace("line", "dot"), title)
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f'<path class="{kind}" d="M{steps}">{_tip(title)}</path>'


def area(upper: Sequence[Point], lower: Sequence[Point], kind: str, title: str = "") -> str:
    """What lies between two lines."""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in (*upper, *reversed(lower)))
    return f'<path class="{kind}" d="M{steps}Z">{_tip(title)}</path>'


def circle(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """A dot."""
    return f'<circle class="{kind}" cx="{number(x)}" cy="{number(y)}" r="{number(radius)}">{_tip(title)}</circle>'


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text; `anchor` is start, middle or end."""
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{number(x)}" y="{number(y)}"{at}>{escape(content)}</text>'


def colour(index: int) -> str:
    """The class of the index-th colour; they repeat after COLOURS."""
    return f"c{index % COLOURS}"


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from low to high: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def axis_left(box: Box, scale: Scale, values: Sequence[float], form: Callable[[float], str]) -> list[str]:
    """Grid lines across the box with their values on its left."""
    parts = []
    for value in values:
        y = scale(value)
        parts.append(line(box.left, y, box.right, y, "grid"))
        parts.append(text(box.left - 8, y + 4, form(value), "tick", "end"))
    return parts


def axis_bottom(box: Box, scale: Scale, values: Sequence[float], form: Callable[[float], str]) -> list[str]:
    """The box's lower edge with ticks and their values below."""
    parts = [line(box.left, box.bottom, box.right, box.bottom, "axis")]
    for value in values:
        x = scale(value)
        parts.append(line(x, box.bottom, x, box.bottom + 4, "axis"))
        parts.append(text(x, box.bottom + 18, form(value), "tick", "middle"))
    return parts


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near as possible to those wanted, in their order, at least `gap` apart and within low..high.

    Labels that would overlap are pushed apart from their common middle; too many for the room share it evenly.
    """
    if not wanted:
        return []
    if (len(wanted) - 1) * gap > high - low:
        gap = (high - low) / (len(wanted) - 1)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    groups: list[list[float]] = []  # [sum of what its members want for the group's first place, members]
    for rank, index in enumerate(order):
        groups.append([wanted[index] - rank * gap, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] >= groups[-1][0] / groups[-1][1]:
            total, members = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += members
    firsts = [total / members for total, members in groups for _ in range(int(members))]
    most = high - (len(wanted) - 1) * gap
    places = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        places[index] = min(max(firsts[rank], low), most) + rank * gap
    return places


def tidy(value: float) -> str:
    """A number for an axis: no more digits than it needs, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def span(seconds: float) -> tuple[float, str]:
    """The unit that fits a length of time: (seconds a unit, its name)."""
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 4 * size:
            return size, name
    return 1.0, "seconds"


def elapsed(seconds: float) -> str:
    """A length of time as people say it: `0.12 s`, `26.1 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    sign, seconds = ("\N{MINUS SIGN}" if seconds < 0 else ""), abs(seconds)
    if seconds < 9.995:
        return f"{sign}{seconds:.2f} s"
    if seconds < 599.95:
        return f"{sign}{seconds:.1f} s"
    # Rounded before it is split, so that no hour has sixty minutes.
    size, small, of_large, of_small = 60, 1, "min", "s"
    if round(seconds) >= 7200:
        size, small, of_large, of_small = 3600, 60, "h", "min"
    if round(seconds / 60) >= 2880:
        size, small, of_large, of_small = 86400, 3600, "d", "h"
    large, rest = divmod(round(seconds / small) * small, size)
    return f"{sign}{large} {of_large}" + (f" {rest // small} {of_small}" if rest // small else "")


def _tip(title: str) -> str:
    return f"<title>{escape(title)}</title>" if title else ""
