"""history and audit: the ledger as a story, and whether it still is what was written."""

import click

from loopwright.cli.context import Context, json_option, on_loop
from loopwright.errors import DataError, LedgerError, RegistryError

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
    """Follow the ledger's hash chain, and hold the snapshots and the models that it names against it.

    Exit code 5 when an entry was changed, is missing or out of order, 3 when a snapshot was changed, 8 when a model
    was.
    """
    from loopwright.governance import audit as check

    context = Context.of(loop, as_json)
    try:
        entries = context.ledger.verify()
        own = context.ledger.entries(context.loop.name)
        snapshots = check.snapshots(own, context.settings.snapshots)
        models = check.models(context.loop.name, own, context.registry)
    except (LedgerError, DataError, RegistryError) as error:
        context.answer({"valid": False, "error": str(error)})
        if as_json:
            return error.exit_code
        raise
    context.answer({"valid": True, "entries": entries, "snapshots": snapshots.there, "models": models.there})
    context.console.print(f"[green]the ledger verifies[/]: {entries:,} entries, each as it was written")
    for name, found in (("snapshots", snapshots), ("models", models)):
        context.console.print(f"[green]the {name} verify[/]: {found.there:,} of the {found.named:,} it names are here")
    return 0
