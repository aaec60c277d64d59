"""A version goes live: what `rollout`, `render` and the trigger have in common, whatever the data plane."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, user
from loopwright.errors import RegistryError, RolledBack

if TYPE_CHECKING:
    from loopwright.rollout.controller import Look, Outcome
    from loopwright.rollout.target import Target


def data_plane(function: Callable[..., Any]) -> Callable[..., Any]:
    from loopwright.settings import GATEWAYS

    return click.option("--on", type=click.Choice(GATEWAYS), help="The data plane; by default LOOPWRIGHT_GATEWAY.")(
        function
    )


def submitted(context: Context, version: int, progress: Callable[[str], None]) -> str:
    """Leave the rollout to the cluster, pass on what its pods say, and end as the Workflow ends; returns its name."""
    from loopwright.rollout import kserve, submission

    cluster = kserve.connect(context.settings.namespace)
    name = submission.submit(cluster, context.loop, version, context.settings)
    progress(f"the Workflow {name} takes version {version} live; what ends here is only the following of it")
    submission.follow(cluster, name, progress)
    return name


def take_live(
    context: Context,
    number: int,
    cause: int | None,
    progress: Callable[["Look"], None] = lambda look: None,
    *,
    paused: bool = False,
    other_inputs: bool = False,
) -> "Outcome":
    """Roll out a registered version on the data plane that the settings name.

    `cause` is the ledger entry that led to it; by default the version's registration. Raises RolloutError when it may
    not start or go on, and RolledBack when the version was taken back.
    """
    from loopwright.governance import approvals
    from loopwright.rollout.planes import open_target
    from loopwright.rollout.resume import Paused

    loop, registry = context.loop, context.registry
    version = registry.get(loop.name, number)
    approvals.require(loop, context.ledger.entries(loop.name), version, context.shown)
    bundle = str(registry.fetch(loop.name, version))
    cause = cause if cause is not None else registered(context, number)
    waits = Paused(user(), "started with --paused", time.time()) if paused else None
    with open_target(loop, context.settings) as target:
        if _serves_unknown(context, target, number):
            return adopt(context, number)
        _comparable(context, target, number, other_inputs=other_inputs)
        outcome = drive(context, target, number, bundle, version.digest, cause, progress, paused=waits)
    return _ended(context, outcome)


def drive(
    context: Context, target: "Target", version: int, bundle: str, digest: str, cause: int | None,
    progress: Callable[["Look"], None], **options: Any,
) -> "Outcome":  # fmt: skip
    import httpx

    from loopwright.rollout import controller
    from loopwright.rollout.queries import Prometheus

    loop, settings, registry = context.loop, context.settings, context.registry
    with httpx.Client() as client:
        return controller.run(
            target,
            loop,
            version,
            bundle,
            digest,
            context.ledger,
            settings,
            lambda promoted: registry.promote(loop.name, promoted),
            cause,
            progress,
            ask=Prometheus(settings.prometheus_url, client).ask,
            **options,
        )


def _ended(context: Context, outcome: "Outcome") -> "Outcome":
    from loopwright.rollout.course import STOPPED

    if outcome.promoted:
        return outcome
    context.registry.demote(context.loop.name, outcome.version)
    if outcome.reason == STOPPED:
        raise KeyboardInterrupt
    cost = "" if outcome.requests is None else f"; it answered {outcome.requests:,} requests"
    raise RolledBack(
        f"version {outcome.version} was taken back after {outcome.seconds:.1f} s: {outcome.reason}{cost}",
        do=f"see the numbers with `loopwright history {context.shown}`",
    )


def _serves_unknown(context: Context, target: "Target", number: int) -> bool:
    """Whether the version serves, by manifests that somebody applied, while the registry has no champion."""
    if context.registry.champion(context.loop.name) is not None or target.states.load() is not None:
        return False
    return target.gateway.champion() == number


def adopt(context: Context, number: int) -> "Outcome":
    """Make the first version that serves the champion by registry and ledger, too."""
    from loopwright.rollout.journal import Outcome

    context.registry.promote(context.loop.name, number)
    reason = "it was deployed, and nothing was served before"
    facts = {"version": number, "previous": None, "seconds": 0.0, "by": user(), "reason": reason}
    entry = context.ledger.append(context.loop.name, "promoted", facts, cause=registered(context, number))
    return Outcome(number, True, reason, None, None, None, 0.0, None, entry.number)


def _comparable(context: Context, target: "Target", number: int, *, other_inputs: bool) -> None:
    """See that the challenger takes the champion's requests, and that their answers can be compared where they are.

    One that the registry does not know cannot be asked.
    """
    from loopwright.models import bundle
    from loopwright.rollout import inputs

    registry, name, champion = context.registry, context.loop.name, target.gateway.champion()
    if champion is None or champion == number:
        return
    with suppress(RegistryError):
        known = bundle.read(registry.fetch(name, registry.get(name, champion))).manifest
        wanted = bundle.read(registry.fetch(name, registry.get(name, number))).manifest
        if not other_inputs:
            inputs.check(number, wanted.inputs, champion, known.inputs)
        inputs.check_classes(number, wanted.classes, champion, known.classes, context.loop.rollout)


def on_plane(context: Context, on: str | None) -> Context:
    return context if on is None else replace(context, settings=replace(context.settings, gateway=on))


def registered(context: Context, number: int) -> int | None:
    """The ledger entry of a version's approval, or of its registration."""
    for entry in reversed(context.ledger.entries(context.loop.name)):
        if entry.kind in ("registered", "approved") and entry.facts["version"] == number:
            return entry.number
    return None
