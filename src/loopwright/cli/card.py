"""card: the model card and the data sheet of a version, as HTML and as Markdown with pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loopwright.cli.context import Context
from loopwright.cli.versioned import on_version, resolve
from loopwright.errors import StateError

if TYPE_CHECKING:
    from loopwright.governance.answers import Answers
    from loopwright.governance.document import Missing


@click.command(epilog="Example: loopwright card churn@7 --to card")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="A folder; by default card-N in the loop.")
@on_version
def card(context: Context, version: str, folder: Path | None) -> None:
    """Write the model card and the data sheet of a version; by default the champion, else the newest.

    What people know of the model stands in loop.yaml under `card`; what is missing there is listed at the end. Exit
    code 7 when the folder cannot be written, 8 when there is no such version.
    """
    from loopwright.governance.pages import written

    found = gathered(context, version)
    pages = written(found)
    folder = (folder or context.folder / f"card-{found.version.number}").expanduser().absolute()
    write(folder, pages)
    missing = list(dict.fromkeys(f"card.{one.key}" for one in still(found) if one.key))
    context.answer(
        {"version": found.version.number, "files": [str(folder / name) for name in pages], "missing": missing}
    )
    context.console.print(f"the card: {folder / 'model-card.html'}", markup=False, soft_wrap=True)
    if missing:
        context.console.print(f"still to be written, in loop.yaml: {', '.join(missing)}")


def gathered(context: Context, version: str) -> "Answers":
    """The facts about the version that a command names."""
    from loopwright.governance import answers

    default = "champion" if context.registry.champion(context.loop.name) is not None else "newest"
    found = resolve(context, version, default)
    return answers.gather(context.loop, context.registry, context.ledger, context.settings, found)


def still(found: "Answers") -> list["Missing"]:
    """What a person still has to write of both."""
    from loopwright.governance import card as cards
    from loopwright.governance import sheet

    return [one for made in (cards.card(found), sheet.sheet(found)) for _, one in made.missing]


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder, each whole. Raises StateError where that cannot be."""
    from loopwright.files import write_text

    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_text(folder / name, text)
    except OSError as error:
        raise StateError(
            f"{folder} cannot be written: {error.strerror or error}",
            expected="a folder that this user may write",
            do="name another one with --to",
        ) from error
