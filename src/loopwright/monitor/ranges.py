"""What each bin of a profile holds, in words, for people who look at counts by bin."""

from itertools import pairwise

from loopwright.statistics.profile import Bins

LONGEST = 40
"""Characters that are kept of a category's value: it becomes a label's value."""


def ranges(bins: Bins) -> list[str]:
    """A text a bin, in the order of the counts, no two alike."""
    if bins.kind == "category":
        others = [] if bins.known is None else ["rare"]
        return _different(["missing", "other", *(value[:LONGEST] for value in bins.values), *others])
    unit = " characters" if bins.kind == "text" else ""
    edges = [f"{edge:.6g}" for edge in bins.edges.tolist()]
    between = [f"{low} to {high}{unit}" for low, high in pairwise(edges)]
    return _different(["missing", f"below {edges[0]}{unit}", *between, f"above {edges[-1]}{unit}"])


def _different(texts: list[str]) -> list[str]:
    """Edges may agree in six digits, and values in their first characters: the bin's number tells them apart."""
    return [text if texts.count(text) == 1 else f"{text} ({number})" for number, text in enumerate(texts)]
