"""A document as sections of few kinds of blocks, written as one HTML page or as Markdown with pictures beside it.

Text is escaped where it is written, so that no value of the data can become markup.
"""

import html as entities
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from loopwright.report import markup, tables


@dataclass(frozen=True)
class Text:
    """A paragraph; what stands in backticks is code."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Cells of text. A head that begins with `#` is a column of numbers."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG as `report.svg.picture` makes it; `name` is its file's, without the ending."""

    name: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Missing:
    """What a person still has to write, and where."""

    what: str
    key: str = ""


Block = Text | Items | Table | Picture | Missing


@dataclass(frozen=True)
class Section:
    """A title and what is below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A title, a line about it, and its sections."""

    title: str
    about: str
    sections: Sequence[Section]

    @property
    def missing(self) -> list[tuple[str, Missing]]:
        """What a person still has to write, with the section that lacks it."""
        return [(one.title, block) for one in self.sections for block in one.blocks if isinstance(block, Missing)]


def html(document: Document) -> str:
    """One page that names no other file and runs no script."""
    style = files("loopwright.report").joinpath("page.css").read_text(encoding="utf-8")
    title = entities.escape(document.title)
    sections = "\n".join(
        markup.section(f"s{number}", section.title, *_blocks(section.blocks))
        for number, section in enumerate(document.sections, 1)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        f"<header><h1>{title}</h1><p>{markup.code(document.about)}</p></header>\n{sections}\n</main></body></html>\n"
    )


def markdown(document: Document, folder: str = "pictures") -> tuple[str, dict[str, str]]:
    """The text in GitHub's Markdown, and the pictures that it shows: path below it -> SVG file."""
    lines, pictures = [f"# {document.title}", "", _inline(document.about)], {}
    for section in document.sections:
        lines += ["", f"## {section.title}"]
        for block in section.blocks:
            lines += ["", *_markdown(block, folder)]
            if isinstance(block, Picture):
                pictures[f"{folder}/{block.name}.svg"] = standalone(block.svg)
    return "\n".join(lines) + "\n", pictures


def standalone(svg: str) -> str:
    """A picture of a page as a file of its own: with its name space and the page's style."""
    style = files("loopwright.report").joinpath("page.css").read_text(encoding="utf-8")
    # The page's font is inherited there; here it has to be said. A picture is shown on paper of its own colour.
    own = f"<style>{style}\nsvg {{ background: var(--paper); font-family: system-ui, sans-serif; }}</style>"
    begin, rest = svg.split(">", 1)
    return f'{begin.replace("<svg", """<svg xmlns="http://www.w3.org/2000/svg" """, 1)}>{own}{rest}\n'


def _blocks(blocks: Sequence[Block]) -> list[str]:
    """The blocks as HTML; pictures that follow each other stand in a row."""
    found = []
    for pictured, group in itertools.groupby(blocks, lambda block: isinstance(block, Picture)):
        parts = [_html(block) for block in group]
        found += [f'<div class="row">{"".join(parts)}</div>'] if pictured else parts
    return found


def _html(block: Block) -> str:
    match block:
        case Text(text):
            return f"<p>{markup.code(text)}</p>"
        case Items(items):
            return f"<ul>{''.join(f'<li>{markup.code(item)}</li>' for item in items)}</ul>"
        case Table(heads, rows, caption):
            return tables.table(heads, [[markup.code(cell) for cell in row] for row in rows], caption=caption)
        case Picture(_, svg, caption):
            told = f'<figcaption class="about">{markup.code(caption)}</figcaption>'
            # As wide as its picture, so that a caption does not push the next picture away.
            width = next(iter(re.findall(r'width="([\d.]+)"', svg)), "296")
            return f'<figure style="margin: 0 0 14px; width: {width}px; max-width: 100%">{svg}{told}</figure>'
        case Missing(what, key):
            return f'<p class="nothing">✎ {markup.code(_still(what, key))}</p>'


def _markdown(block: Block, folder: str) -> list[str]:
    match block:
        case Text(text):
            return [_inline(text)]
        case Items(items):
            return [f"- {_inline(item)}" for item in items]
        case Table(heads, rows, caption):
            named = [f"**{_inline(caption)}**", ""] if caption else []
            head = " | ".join(_inline(one.removeprefix("#")) for one in heads)
            rule = " | ".join("---:" if one.startswith("#") else "---" for one in heads)
            return [*named, f"| {head} |", f"| {rule} |", *(f"| {' | '.join(map(_inline, row))} |" for row in rows)]
        case Picture(name, _, caption):
            return [f"![{_inline(caption)}]({folder}/{name}.svg)"]
        case Missing(what, key):
            return [f"> **To be written by a person:** {_inline(_still(what, key))}"]


def _still(what: str, key: str) -> str:
    return f"{what} (`card.{key}` in loop.yaml)" if key else what


def _inline(text: str) -> str:
    """Text in which nothing but code in backticks is Markdown, on one line."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:
        parts = ["".join(parts)]
    # A cell of a table ends at a bar, even within code.
    plain = [re.sub(r"([\\*_\[\]<>|#])", r"\\\1", part) for part in parts]
    code = ["`" + part.replace("|", "\\|") + "`" for part in parts]
    return "".join(code[at] if at % 2 else plain[at] for at in range(len(parts)))
