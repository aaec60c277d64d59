"""The HTML that all parts of the page share: sections, notes, and pictures for wide and for narrow screens."""

from collections.abc import Callable

from loopwright.report.charts import NARROW, WIDE
from loopwright.report.svg import elapsed, escape


def section(name: str, title: str, *parts: str) -> str:
    """A part of the page that a link can name."""
    return f'<section id="{name}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def note(text: str) -> str:
    """What a reader must know to read what follows."""
    return f'<p class="about">{code(text)}</p>'


def words(text: str) -> str:
    """What stands where there is nothing to show."""
    return f'<p class="nothing">{code(text)}</p>'


def code(text: str) -> str:
    """Escaped text, in which what stands in backticks is code."""
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def details(*tables: str) -> str:
    """The tables behind a picture, folded away; nothing where there are none."""
    shown = "".join(tables)
    return f"<details><summary>The numbers</summary>{shown}</details>" if shown else ""


def both(draw: Callable[[float], str]) -> str:
    """A picture drawn twice; the style sheet shows one."""
    return f'<div class="wide">{draw(WIDE)}</div><div class="narrow">{draw(NARROW)}</div>'


def thinned(seconds: float, what: str) -> str:
    """That a picture is thinned, and how; nothing where it is not."""
    return f" Each point is {what} of {elapsed(seconds)}." if seconds else ""
