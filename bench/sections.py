"""A measurement's section of a page: what stands between its markers, and nothing else of the page."""

from pathlib import Path


def marks(name: str) -> tuple[str, str]:
    """The lines before and after the section of this name."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put(page: Path, name: str, body: str, *, title: str = "", first: bool = False) -> None:
    """Write the section into the page, which is made with the title where there is none."""
    text = page.read_text() if page.exists() else f"# {title}\n"
    page.write_text(replaced(text, name, body, first=first))


def replaced(text: str, name: str, body: str, *, first: bool = False) -> str:
    """The text with the section replaced; without one, with it at the end, or after the first paragraph.

    Raises ValueError where only one of the markers is there: all up to the end of the page would be lost.
    """
    begin, end = marks(name)
    block = f"{begin}\n{body.strip()}\n{end}"
    before, found, rest = text.partition(begin)
    if found:
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{begin} has no {end}")
        return before + block + after
    if end in text:
        raise ValueError(f"{end} has no {begin}")
    if not first:
        return f"{text.rstrip()}\n\n{block}\n"
    head, _, rest = text.partition("\n\n")
    paragraph, _, rest = rest.partition("\n\n")
    return "\n\n".join(part.strip("\n") for part in (head, paragraph, block, rest) if part.strip()) + "\n"
