"""The time axis that the pictures share: counted from one moment, in the unit that fits."""

from dataclasses import dataclass

from loopwright.report import svg
from loopwright.report.facts import Moment
from loopwright.report.svg import Box, Scale


def since(moment: Moment) -> str:
    """The moment as an axis names its 0."""
    return f"{moment.letter} ({shorten(moment.text, 24)})"


@dataclass(frozen=True)
class Axis:
    """The time axis that the pictures share: `zero` is its 0, in seconds since the epoch."""

    zero: float
    begin: float
    end: float
    since: str
    """What happened at 0."""

    def scale(self, box: Box) -> Scale:
        """Maps seconds since the epoch to x."""
        return Scale(self.begin, self.end, box.left, box.right)

    def draw(self, box: Box, count: int) -> list[str]:
        """The axis below the box, in the unit that fits."""
        unit, scale, values = self._ticks(box, count)
        name = svg.text(box.right, box.bottom + 34, f"{unit} since {self.since}", "tick", "end")
        return [*svg.axis_bottom(box, scale, values, svg.tidy), name]

    def grid(self, box: Box, count: int) -> str:
        """Lines down the box at the axis' ticks."""
        _, scale, values = self._ticks(box, count)
        return "".join(svg.line(scale(value), box.top, scale(value), box.bottom, "grid") for value in values)

    def _ticks(self, box: Box, count: int) -> tuple[str, Scale, list[float]]:
        size, unit = svg.span(self.end - self.begin)
        low, high = (self.begin - self.zero) / size, (self.end - self.zero) / size
        return unit, Scale(low, high, box.left, box.right), svg.ticks(low, high, count)


def shorten(name: str, most: int) -> str:
    """A name of at most so many characters."""
    return name if len(name) <= most else name[: most - 1] + "…"
