"""rollout: a version goes live by the declared strategy, judged on live traffic, in the foreground."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from loopwright.cli.context import Context, on_loop
from loopwright.errors import RolledBack, RolloutError

if TYPE_CHECKING:
    from loopwright.rollout.controller import Look, Outcome


@click.command(epilog="Example: loopwright rollout churn --version 7")
@click.option("--version", type=int, help="The version; by default the newest registered one.")
@on_loop
def rollout(context: Context, version: int | None) -> None:
    """Take a version live under `loopwright up`: step by step on verdicts, and back by itself when it is worse.

    Killed, it goes on where it was when it is called again; Ctrl-C takes the challenger back. Exit codes: 10 when it
    cannot start or go on, 11 when the version was judged worse and taken back.
    """

    def show(look: "Look") -> None:
        if look.changed:
            context.console.print(f"version {look.version} at {look.weight} %  {look.text}", markup=False)

    number = version if version is not None else context.registry.newest(context.loop.name).number
    outcome = take_live(context, number, None, show)
    context.answer({"version": outcome.version, "promoted": outcome.promoted, "seconds": outcome.seconds})
    context.console.print(f"[bold green]version {number} is the champion[/] after {outcome.seconds:.1f} s")


def take_live(
    context: Context, number: int, cause: int | None, progress: Callable[["Look"], None] = lambda look: None
) -> "Outcome":
    """Roll out a registered version on the local gateway.

    `cause` is the ledger entry that led to it; by default the version's registration. Raises RolloutError when it may
    not start or go on, and RolledBack when the version was taken back.
    """
    import httpx

    from loopwright.rollout import controller, course
    from loopwright.rollout.local import LocalGateway

    loop, registry = context.loop, context.registry
    version = registry.get(loop.name, number)
    if not version.approved:
        raise RolloutError(
            f"version {number} of {loop.name} is not approved",
            expected="an approved version, as `gates.approval` is `required`",
            do=f'approve it with `loopwright approve {context.shown} --version {number} --reason "..."`',
        )
    bundle = str(registry.fetch(loop.name, version))
    cause = cause if cause is not None else registered(context, number)
    # Straight to the loopback interface, whatever proxy the environment names.
    with httpx.Client(trust_env=False) as client:
        outcome = controller.run(
            LocalGateway(loop, context.settings, client),
            loop,
            number,
            bundle,
            version.digest,
            context.ledger,
            context.settings,
            lambda promoted: registry.promote(loop.name, promoted),
            cause,
            progress,
        )
    if not outcome.promoted:
        registry.demote(loop.name, number)
        if outcome.reason == course.STOPPED:
            raise KeyboardInterrupt
        cost = "" if outcome.requests is None else f"; it answered {outcome.requests:,} requests"
        raise RolledBack(
            f"version {number} was taken back after {outcome.seconds:.1f} s: {outcome.reason}{cost}",
            do=f"see the numbers with `loopwright history {context.shown}`",
        )
    return outcome


def registered(context: Context, number: int) -> int | None:
    """The ledger entry of a version's approval, or of its registration."""
    for entry in reversed(context.ledger.entries(context.loop.name)):
        if entry.kind in ("registered", "approved") and entry.facts["version"] == number:
            return entry.number
    return None
