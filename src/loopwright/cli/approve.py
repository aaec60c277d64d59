"""approve and reject: what a person says of a version that waits for one."""

from contextlib import suppress

import click

from loopwright.cli.context import Context, user
from loopwright.cli.versioned import on_version, registered, resolve
from loopwright.errors import RegistryError, RolloutError, StateError
from loopwright.ledger import DuplicateEntry, Entry


@click.command(epilog='Example: loopwright approve churn 7 --reason "checked the slices"')
@click.option("--reason", required=True, help="Why; written to the ledger.")
@click.option("--workflow", is_flag=True, help="Say it to the version's Argo Workflow, which waits for it.")
@on_version
def approve(context: Context, version: str, reason: str, workflow: bool) -> None:
    """Approve a version that waits (`gates.approval: required`), so that it can be rolled out.

    Exit code 8 when it does not wait, or when you may not approve it (`gates.approvers`, `gates.self_approval`).
    """
    from loopwright.governance import approvals

    by = user()
    if workflow:
        return _tell_workflow(context, _number(version), by, reason)
    name, found = context.loop.name, resolve(context, version)
    approvals.check(context.loop, context.ledger.entries(name), found, by)
    needed = approvals.rules(context.loop, context.ledger.entries(name), found.number).approvals
    _say(context, "approved", found.number, {"by": by, "reason": reason, **({"of": needed} if needed > 1 else {})})
    # The ledger's order decides, should somebody have spoken at the same moment.
    said = approvals.decision(context.loop, context.ledger.entries(name), found.number)
    if said.state == approvals.REJECTED:
        raise RegistryError(f"version {found.number} of {name} was rejected meanwhile", expected="a version that waits")
    if said.state == approvals.APPROVED:
        context.registry.tag(name, found.number, "approval", "approved")
    context.answer({"version": found.number, "approved_by": by, "state": said.state})
    if said.state == approvals.APPROVED:
        context.console.print(f"[green]approved[/] version {found.number}; next: `loopwright rollout {context.shown}`")
    else:
        missing = needed - len(said.approved_by)
        context.console.print(f"[green]noted[/]: version {found.number} waits for {missing} more")
    return None


@click.command(epilog='Example: loopwright reject churn 7 --reason "worse for new customers"')
@click.option("--reason", required=True, help="Why; written to the ledger.")
@on_version
def reject(context: Context, version: str, reason: str) -> None:
    """Reject a version that waits (`gates.approval: required`): it cannot be rolled out any more.

    Exit code 8 when it does not wait, or when you are none of `gates.approvers`.
    """
    from loopwright.governance import approvals

    by, name, found = user(), context.loop.name, resolve(context, version)
    approvals.check(context.loop, context.ledger.entries(name), found, by, rejects=True)
    _say(context, "rejected", found.number, {"by": by, "reason": reason})
    if approvals.decision(context.loop, context.ledger.entries(name), found.number).state != approvals.REJECTED:
        raise RegistryError(f"version {found.number} of {name} was approved meanwhile", expected="a version that waits")
    context.registry.tag(name, found.number, "approval", "rejected")
    context.registry.demote(name, found.number)
    context.answer({"version": found.number, "rejected_by": by, "state": "rejected"})
    context.console.print(f"[red]rejected[/] version {found.number}")


def _say(context: Context, kind: str, version: int, facts: dict[str, object]) -> None:
    """Write it before it has an effect; said again after a failure in between, it is written once."""
    name, cause = context.loop.name, registered(context, version)
    with suppress(DuplicateEntry):
        # The number of a version is given again after its model was deleted; that of its registration is not.
        key = f"{name}/{kind}/{version}/{cause or 0}/{facts['by']}"
        context.ledger.append(name, kind, {"version": version, **facts}, cause=cause, key=key)


def _number(version: str) -> int:
    if not version.isdecimal():
        raise RegistryError(f"{version or 'nothing'!r} is no version's number", expected="one, as `approve churn 7`")
    return int(version)


def _tell_workflow(context: Context, version: int, by: str, reason: str) -> None:
    """The Workflow writes down who said yes, if they may, and goes on; who may not is told so here already."""
    from loopwright.governance import approvals
    from loopwright.rollout import kserve, submission

    entries: list[Entry] = []
    # The ledger may be out of reach from here. The pod reads it; until then the rules are those of the declaration.
    with suppress(StateError):
        entries = context.ledger.entries(context.loop.name)
    approvals.allowed(context.loop, entries, version, by)
    cluster = kserve.connect(context.settings.namespace)
    if not submission.approve(cluster, context.loop, version, by, reason):
        raise RolloutError(
            f"no Workflow of version {version} of {context.loop.name} waits for a person",
            expected=f"one in the namespace {cluster.namespace}",
            do=f"submit one with `loopwright rollout {context.shown} --version {version} --workflow`",
        )
    context.answer({"version": version, "approved_by": by})
    context.console.print(f"[green]approved[/] version {version}; its Workflow goes on")
