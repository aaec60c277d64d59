"""approve: a person's yes to a version that waits for one."""

import getpass
from contextlib import suppress

import click

from loopwright.cli.context import Context, on_loop
from loopwright.errors import RegistryError
from loopwright.ledger import DuplicateEntry


@click.command(epilog='Example: loopwright approve churn --version 7 --reason "checked the slices"')
@click.option("--version", type=int, required=True, help="The version that waits.")
@click.option("--reason", required=True, help="Why; written to the ledger.")
@on_loop
def approve(context: Context, version: int, reason: str) -> None:
    """Approve a version that waits (`gates.approval: required`), so that it can be rolled out."""
    name, by = context.loop.name, getpass.getuser()
    found = context.registry.get(name, version)
    if found.approved:
        raise RegistryError(f"version {version} of {name} is approved already", expected="a version that waits")
    registered = [
        entry for entry in context.ledger.entries(name, kind="registered") if entry.facts["version"] == version
    ]
    cause = registered[-1].number if registered else None
    facts = {"version": version, "by": by, "reason": reason}
    # Who said yes is written before it has an effect; said again after a failure in between, it is written once.
    with suppress(DuplicateEntry):
        context.ledger.append(name, "approved", facts, cause=cause, key=f"{name}/approved/{version}")
    context.registry.tag(name, version, "approval", "approved")
    context.answer({"version": version, "approved_by": by})
    context.console.print(f"[green]approved[/] version {version}; next: `loopwright rollout {context.shown}`")
