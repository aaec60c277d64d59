"""approve: a person's yes to a version that waits for one."""

import getpass
from contextlib import suppress

import click

from loopwright.cli.context import Context, on_loop
from loopwright.errors import RegistryError, RolloutError
from loopwright.ledger import DuplicateEntry


@click.command(epilog='Example: loopwright approve churn --version 7 --reason "checked the slices"')
@click.option("--version", type=int, required=True, help="The version that waits.")
@click.option("--reason", required=True, help="Why; written to the ledger.")
@click.option("--workflow", is_flag=True, help="Say it to the version's Argo Workflow, which waits for it.")
@on_loop
def approve(context: Context, version: int, reason: str, workflow: bool) -> None:
    """Approve a version that waits (`gates.approval: required`), so that it can be rolled out."""
    name, by = context.loop.name, getpass.getuser()
    if workflow:
        return _tell_workflow(context, version, by, reason)
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


def _tell_workflow(context: Context, version: int, by: str, reason: str) -> None:
    """The Workflow writes down who said yes, and goes on."""
    from loopwright.rollout import kserve, submission

    cluster = kserve.connect(context.settings.namespace)
    if not submission.approve(cluster, context.loop, version, by, reason):
        raise RolloutError(
            f"no Workflow of version {version} of {context.loop.name} waits for a person",
            expected=f"one in the namespace {cluster.namespace}",
            do=f"submit one with `loopwright rollout {context.shown} --version {version} --workflow`",
        )
    context.answer({"version": version, "approved_by": by})
    context.console.print(f"[green]approved[/] version {version}; its Workflow goes on")
