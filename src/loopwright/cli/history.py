"""history and audit: the ledger as a story, and whether it still is what was written."""

import click

from loopwright.cli.context import Context, json_option, on_loop
from loopwright.errors import DataError, LedgerError

_STYLE = {"good": "green", "bad": "red", "plain": ""}


@click.command(epilog="Example: loopwright history churn --newest 20")
@click.option("--newest", type=click.IntRange(1), help="Only the newest so many entries.")
@click.option("--why", type=click.IntRange(1), help="Only the causes of the entry with this number, the first first.")
@on_loop
def history(context: Context, newest: int | None, why: int | None) -> None:
    """Tell what happened and why: one line an entry, under its first cause."""
    from loopwright.report import story

    entries = context.ledger.causes(why) if why else context.ledger.entries(context.loop.name, newest=newest)
    context.answer(
        [
            {
                "number": entry.number,
                "at": entry.at.isoformat(),
                "kind": entry.kind,
                "cause": entry.cause,
                "facts": entry.facts,
                "text": story.sentence(entry),
                "hash": entry.hash,
            }
            for entry in entries
        ]
    )
    if not entries:
        context.console.print(f"nothing has happened in {context.loop.name} yet; begin with `loopwright run`")
    for told in story.tell(entries):
        for line in told.lines:
            first = line.entry.number == told.root.number
            cause = f" [dim]because of {line.entry.cause}[/]" if line.entry.cause is not None else ""
            style = _STYLE[line.tone]
            text = f"[{style}]{_escape(line.text)}[/]" if style else _escape(line.text)
            indent = "" if first else "  "
            context.console.print(
                f"[dim]{line.entry.at.astimezone():%Y-%m-%d %H:%M:%S} {line.entry.number:>4}[/] {indent}{text}{cause}",
                soft_wrap=True,
            )


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@click.group(epilog="Example: loopwright audit verify churn")
def audit() -> None:
    """Whether the ledger still is what was written."""


@audit.command(epilog="Example: loopwright audit verify churn")
@click.argument("loop", required=False, default=None, metavar="[LOOP]")
@json_option
def verify(loop: str | None, as_json: bool) -> int:
    """Follow the ledger's hash chain, and read the snapshots that it names again.

    Exit code 5 when an entry was changed, is missing or out of order, 3 when a snapshot was changed.
    """
    from loopwright.data import snapshots

    context = Context.of(loop, as_json)
    try:
        entries = context.ledger.verify()
        named = {entry.facts["id"] for entry in context.ledger.entries(context.loop.name, kind="snapshot")}
        there = [path for path in (context.settings.snapshots / f"{one}.parquet" for one in named) if path.exists()]
        for path in there:
            snapshots.verify(path)
    except (LedgerError, DataError) as error:
        context.answer({"valid": False, "error": str(error)})
        if as_json:
            return error.exit_code
        raise
    context.answer({"valid": True, "entries": entries, "snapshots": len(there)})
    context.console.print(f"[green]the ledger verifies[/]: {entries:,} entries, each as it was written")
    context.console.print(f"[green]the snapshots verify[/]: {len(there):,} of the {len(named):,} it names are here")
    return 0
