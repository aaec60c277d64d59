"""promote, demote and archive: the registry's aliases by hand, for versions that nothing of ours serves.

What is served changes by a rollout, which moves the aliases itself. Where another system reads `champion` from MLflow,
or the loop is down, a person moves them here, with a reason that the ledger keeps.
"""

from typing import TYPE_CHECKING

import click

from loopwright.cli.context import Context, user
from loopwright.cli.versioned import on_version, registered, resolve
from loopwright.errors import RegistryError

if TYPE_CHECKING:
    from loopwright.registry import ModelVersion

_REASON = click.option("--reason", required=True, help="Why; written to the ledger.")


@click.command(epilog='Example: loopwright promote churn 7 --reason "scores the nightly batch from today"')
@_REASON
@on_version
def promote(context: Context, version: str, reason: str) -> None:
    """Make a version the champion in the registry, without a rollout; the champion before it becomes `previous`.

    Exit code 8 when it is not approved or is archived, or when something of ours serves the loop: then roll it out.
    """
    from loopwright.governance import approvals

    name, found = context.loop.name, resolve(context, version)
    entries, before = context.ledger.entries(name), context.registry.champion(name)
    if "champion" in found.aliases:
        raise RegistryError(f"version {found.number} of {name} is the champion", expected="another version")
    approvals.unchanged(entries, found)
    if why := approvals.refusal(context.loop, entries, found):
        raise RegistryError(why, expected="an approved version that is not archived")
    _require_unserved(context, f"loopwright rollout {context.shown} --version {found.number}")
    previous = None if before is None else before.number
    facts = {"version": found.number, "previous": previous, "seconds": 0.0, "by": user(), "reason": reason}
    context.ledger.append(name, "promoted", facts, cause=registered(context, found.number))
    context.registry.promote(name, found.number)
    context.answer({"version": found.number, "champion": found.number, "previous": previous})
    context.console.print(f"[green]promoted[/]: version {found.number} is the champion of {name}")


@click.command(epilog='Example: loopwright demote churn 8 --reason "trained on the broken export"')
@_REASON
@on_version
def demote(context: Context, version: str, reason: str) -> None:
    """Take the alias from a challenger, or from a champion, whose place `previous` takes again.

    Exit code 8 when it is neither, or when it is the champion and something of ours serves the loop, or `previous` is
    archived or not approved.
    """
    name, found = context.loop.name, resolve(context, version)
    alias = next((one for one in ("champion", "challenger") if one in found.aliases), None)
    if alias is None:
        raise RegistryError(
            f"version {found.number} of {name} is neither champion nor challenger", expected="a version that is"
        )
    back = None
    if alias == "champion":
        back = next((one for one in context.registry.versions(name) if "previous" in one.aliases), None)
        to = f"--version {back.number}" if back else "--version N"
        _require_unserved(context, f"loopwright rollout {context.shown} {to}")
        _require_fit(context, back)
    by = user()
    facts = {"version": found.number, "alias": alias, "by": by, "reason": reason}
    entry = context.ledger.append(name, "demoted", facts, cause=registered(context, found.number))
    if back is not None:
        again = {"version": back.number, "previous": None, "seconds": 0.0, "by": by, "reason": reason}
        context.ledger.append(name, "promoted", again, cause=entry.number)
    context.registry.unalias(name, alias, None if back is None else back.number)
    champion = context.registry.champion(name)
    context.answer({"version": found.number, "champion": None if champion is None else champion.number})
    then = f"; version {back.number} is the champion again" if back is not None else ""
    context.console.print(f"version {found.number} of {name} is {alias} no more{then}")


@click.command(epilog='Example: loopwright archive churn 3 --reason "superseded, kept for the record"')
@_REASON
@on_version
def archive(context: Context, version: str, reason: str) -> None:
    """Mark a version as archived: it stays in the registry, and cannot be rolled out or promoted any more.

    Exit code 8 when it is champion or challenger, or archived already.
    """
    name, found = context.loop.name, resolve(context, version)
    held = [alias for alias in ("champion", "challenger") if alias in found.aliases]
    if held or found.archived:
        raise RegistryError(
            f"version {found.number} of {name} is {held[0] if held else 'archived already'}",
            expected="a version that nothing waits for or serves",
            do="demote it first" if held else "",
        )
    facts = {"version": found.number, "by": user(), "reason": reason}
    context.ledger.append(name, "archived", facts, cause=registered(context, found.number))
    context.registry.tag(name, found.number, "archived", "yes")
    context.answer({"version": found.number, "archived": True})
    context.console.print(f"version {found.number} of {name} is archived")


def _require_fit(context: Context, back: "ModelVersion | None") -> None:
    """Raises RegistryError where the version before may not be the champion again."""
    from loopwright.governance import approvals

    if back is None:
        return
    entries = context.ledger.entries(context.loop.name)
    approvals.unchanged(entries, back)
    if why := approvals.refusal(context.loop, entries, back):
        raise RegistryError(
            f"{why}, and would be the champion again",
            expected="a version before it that is approved and not archived",
            do="promote another version with `loopwright promote`, which takes the alias from this one",
        )


def _require_unserved(context: Context, instead: str) -> None:
    """Raises RegistryError where a data plane of ours serves the loop: an alias alone would not move its traffic."""
    served: object = None
    if context.settings.gateway == "local":
        from loopwright.rollout.state import running

        served = running(context.settings.live)
    else:
        from loopwright.rollout.planes import open_target

        with open_target(context.loop, context.settings) as target:
            served = target.gateway.champion()
    if served is not None:
        raise RegistryError(
            f"{context.loop.name} is being served, and moving an alias does not move its traffic",
            expected="a rollout, which moves both",
            do=f"use `{instead}`",
        )
