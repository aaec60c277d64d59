"""report: the loop's story as one HTML page with pictures."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, on_loop
from loopwright.errors import LedgerError, RegistryError, StateError

if TYPE_CHECKING:
    from loopwright.ledger import Entry
    from loopwright.report.facts import Facts

MOST_EVALUATIONS = 4
"""The newest registered versions whose curves are drawn; each is a file that the registry fetches."""


@click.command(epilog="Example: loopwright report churn --to report.html")
@click.option(
    "--to", "path", type=click.Path(path_type=Path), help="The file to write; by default report.html in the loop."
)
@click.option(
    "--alarm",
    type=click.IntRange(1),
    help="Instead, the rows of the alarm of this number in the history beside the reference, as Evidently shows them.",
)
@on_loop
def report(context: Context, path: Path | None, alarm: int | None) -> None:
    """Write what happened, and why, as one HTML page that needs no other file.

    Exit code 7 when nothing has happened yet, or when the file cannot be written; of an alarm, 3 when the rows of its
    window are not to be had, and 5 when there is no such alarm.
    """
    if alarm is not None:
        from loopwright.cli import alarm_report

        made = alarm_report.write(context, alarm, path)
        context.answer({"report": str(made), "alarm": alarm})
        context.console.print(f"the report: {made}", markup=False, soft_wrap=True)
        return
    page = write(context, path or context.folder / "report.html")
    context.answer({"report": str(page)})
    context.console.print(f"the report: {page}", markup=False, soft_wrap=True)


def write(context: Context, path: Path, marks: Sequence[tuple[str, float]] = ()) -> Path:
    """Write the page to `path` and return where it is.

    `marks` are moments that the ledger does not know, such as when a drift began: a name each, and seconds since the
    epoch. Raises StateError when nothing has happened yet, or when the page cannot be written.
    """
    from loopwright import files
    from loopwright.report import page

    path = Path(path).expanduser().absolute()
    text = page.render(gather(context, marks))
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        if path.exists() and not path.is_file():
            # To replace a device by a file would take it from everyone.
            raise OSError(22, "it is no file")
        files.write_text(path, text)
    except OSError as error:
        raise StateError(
            f"the report cannot be written to {path}: {error.strerror or error}",
            expected="a file in a folder that exists and that this user may write",
            do="name another one with --to",
        ) from error
    return path


def gather(context: Context, marks: Sequence[tuple[str, float]] = ()) -> "Facts":
    """Read all that the page says. What cannot be read beside the ledger is noted, and the page goes without it.

    Raises StateError when nothing has happened yet.
    """
    from loopwright.report.facts import Facts

    entries = _entries(context)
    if not entries:
        raise StateError(
            f"nothing has happened in {context.loop.name} yet",
            expected="a loop that has run",
            do=f"begin with `loopwright run {context.folder.name}`",
        )
    notes: list[str] = []
    return Facts(
        loop=context.loop,
        entries=entries,
        series=_series(context, notes),
        evaluations=_evaluations(context, entries, notes),
        marks=tuple(marks),
        verified=_verified(context),
        generated=datetime.now(UTC),
        notes=tuple(notes),
    )


def _entries(context: Context) -> "list[Entry]":
    """The loop's entries. A loop that never ran gets no ledger by being asked."""
    own = context.settings.state / "ledger.db"
    if context.settings.ledger_url == f"sqlite:///{own}" and not own.exists():
        return []
    return context.ledger.entries(context.loop.name)


def _verified(context: Context) -> bool | str:
    try:
        context.ledger.verify()
    except LedgerError as error:
        return error.found
    return True


def _series(context: Context, notes: list[str]) -> list[dict[str, Any]]:
    from loopwright.local.state import SERIES, read_series

    try:
        return read_series(context.settings.live)
    except (OSError, ValueError) as error:
        notes.append(f"{SERIES}, what the pictures of traffic and drift are drawn from: {error}")
        return []


def _evaluations(context: Context, entries: "list[Entry]", notes: list[str]) -> dict[int, dict[str, Any]]:
    """The evaluations of the newest registered versions."""
    registered = [entry.facts.get("version") for entry in entries if entry.kind == "registered"]
    # MLflow draws a progress bar for every file otherwise.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    found = {}
    for version in [one for one in registered if isinstance(one, int)][-MOST_EVALUATIONS:]:
        try:
            found[version] = context.registry.evaluation(context.loop.name, version)
        except RegistryError as error:
            notes.append(f"the evaluation of version {version}: {error.found}")
    return found
