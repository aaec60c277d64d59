"""rollout status, pause, resume, promote, abort: what people see of a rollout, and tell it to do.

They tell a rollout in another process. One that no process runs any more is taken over for a decision: it is promoted
or taken back here.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, on_loop, user
from loopwright.cli.going_live import data_plane, drive, on_plane
from loopwright.errors import RolloutError

if TYPE_CHECKING:
    from loopwright.rollout.resume import Saved
    from loopwright.rollout.states import Kind
    from loopwright.rollout.target import Target

PATIENCE = 120.0
"""Seconds that another process is given to do what it was told; it looks every two, and KServe takes some to do it."""


def _reason(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--reason", default="", help="Why; it is written to the ledger.")(function)


@click.command()
@data_plane
@on_loop
def status(context: Context, on: str | None) -> None:
    """The rollout that is under way: strategy, phase, shares, and who paused it."""
    context = on_plane(context, on)
    found = under_way(context)
    context.answer(found)
    if found is None:
        context.console.print(f"no rollout of {context.loop.name} is under way")
        return
    for line in described(found):
        context.console.print(line, markup=False)


def under_way(context: Context) -> dict[str, Any] | None:
    """The rollout that is under way as a program reads it, or nothing."""
    from loopwright.rollout.planes import open_target

    with open_target(context.loop, context.settings) as target:
        saved = target.states.load()
        if saved is None:
            return None
        weights: dict[int, int] | None = None
        with suppress(RolloutError):
            weights = target.gateway.weights()
        return {
            "version": saved.version,
            "champion": saved.champion,
            "strategy": saved.strategy,
            "phase": saved.phase,
            "steps": list(saved.steps),
            "step": saved.steps[saved.index] if saved.phase == "stepping" and saved.index < len(saved.steps) else None,
            "weights": None if weights is None else {str(version): weight for version, weight in weights.items()},
            "kept": saved.champion if saved.phase == "keeping" else None,
            "kept_until": saved.kept_until or None,
            "paused": None if saved.paused is None else asdict(saved.paused),
            "running": _runs(target, saved),
            "on": target.name,
        }


def described(found: dict[str, Any]) -> list[str]:
    """The same as lines for people."""
    shares = ", ".join(f"version {version} {weight} %" for version, weight in sorted((found["weights"] or {}).items()))
    step = "" if found["step"] is None else f", step {found['step']} % of {', '.join(map(str, found['steps']))}"
    lines = [
        f"version {found['version']} over version {found['champion']}: {found['strategy']}, {found['phase']}{step}",
        f"traffic: {shares or 'not known, as nothing is up'}",
    ]
    if found["kept"] is not None:
        until = time.strftime("%H:%M:%S", time.localtime(found["kept_until"]))
        lines.append(f"version {found['kept']} is kept warm until {until}")
    if found["paused"]:
        why = f": {found['paused']['why']}" if found["paused"]["why"] else ""
        lines.append(f"paused by {found['paused']['who']}{why}")
    if not found["running"]:
        lines.append("no process runs it; `loopwright rollout` goes on with it")
    return lines


@click.command()
@_reason
@data_plane
@on_loop
def pause(context: Context, reason: str, on: str | None) -> None:
    """Keep the shares as they are until `resume`; a version that is worse is still taken back."""
    _tell(on_plane(context, on), "pause", reason)


@click.command()
@_reason
@data_plane
@on_loop
def resume(context: Context, reason: str, on: str | None) -> None:
    """Go on after `pause`, or with the declared share after somebody changed it by hand."""
    _tell(on_plane(context, on), "resume", reason)


@click.command()
@_reason
@data_plane
@on_loop
def promote(context: Context, reason: str, on: str | None) -> None:
    """Make the version the champion now, without a verdict: a person's decision."""
    _decide(on_plane(context, on), "promote", reason)


@click.command()
@click.option("--version", type=int, help="Only this version: where no rollout of it is under way, nothing is done.")
@_reason
@data_plane
@on_loop
def abort(context: Context, version: int | None, reason: str, on: str | None) -> None:
    """Take the version back now; after a blue/green switch, while the former version is kept, at once."""
    context = on_plane(context, on)
    if version is not None and _version(context) != version:
        context.answer({"version": version, "promoted": False, "entry": None})
        context.console.print(f"there is nothing to take back: no rollout of version {version} is under way")
        return
    _decide(context, "abort", reason)


def _version(context: Context) -> int | None:
    """The version that is rolled out now."""
    from loopwright.rollout.planes import open_target

    with open_target(context.loop, context.settings) as target:
        saved = target.states.load()
    return None if saved is None else saved.version


def _told(context: Context, target: "Target", kind: "Kind", reason: str) -> "Saved":
    """Leave the command for the rollout. Raises RolloutError where none is under way."""
    from loopwright.rollout.states import Command

    saved = target.states.load()
    if saved is None:
        raise RolloutError(
            f"no rollout of {context.loop.name} is under way",
            expected=f"one to {kind}",
            do=f"start one with `loopwright rollout {context.shown}`",
        )
    target.states.tell(Command(kind, user(), reason, time.time()))
    return saved


def _tell(context: Context, kind: "Kind", reason: str) -> None:
    from loopwright.rollout.planes import open_target

    with open_target(context.loop, context.settings) as target:
        saved = _told(context, target, kind, reason)
        runs = _runs(target, saved)
        done = runs and _await(lambda: target.states.command() is None)
    context.answer({"version": saved.version, "command": kind, "done": done, "running": runs})
    later = (
        "the process that runs it has not taken it up yet" if runs else "no process runs it; it counts when one does"
    )
    context.console.print(f"version {saved.version}: {kind} {'is done' if done else f'was written down; {later}'}")


def _decide(context: Context, kind: "Kind", reason: str) -> None:
    """Promote or abort, in the process that runs the rollout, or here where none does."""
    from loopwright.rollout.planes import open_target
    from loopwright.rollout.states import Held

    with open_target(context.loop, context.settings) as target:
        saved = _told(context, target, kind, reason)
        try:
            drive(context, target, saved.version, saved.bundle, saved.digest, None, lambda look: None, going_on=True)
        except Held:
            _await(lambda: _over(target, saved, kind))
        except RolloutError:
            # The other process may have done it, and ended, just before it was asked here: the ledger says.
            if not _over(target, saved, kind):
                raise
    end = next(
        (
            one
            for one in reversed(context.ledger.entries(context.loop.name))
            if one.number > saved.entry and one.kind in ("promoted", "rolled_back")
            and one.facts["version"] == saved.version
        ),
        None,
    )  # fmt: skip
    promoted = end is not None and end.kind == "promoted"
    if end is None or promoted != (kind == "promote"):
        found = "is not done yet" if end is None else f"came too late: version {saved.version} was {end.kind}"
        raise RolloutError(f"{kind} {found}", do=f"look with `loopwright rollout status {context.shown}`")
    if not promoted:
        context.registry.demote(context.loop.name, saved.version)
    context.answer({"version": saved.version, "promoted": promoted, "entry": end.number})
    word = "is the champion" if promoted else f"was taken back; version {saved.champion} serves"
    context.console.print(f"version {saved.version} {word}")


def _over(target: "Target", before: "Saved", kind: str) -> bool:
    saved = target.states.load()
    if saved is None or saved.rollout_entry != before.rollout_entry:
        return True
    return kind == "promote" and saved.phase == "keeping"


def _runs(target: "Target", saved: "Saved") -> bool:
    """Whether a process runs the rollout now."""
    from loopwright.rollout.states import Held

    try:
        with target.states.alone(saved.version):
            return False
    except Held:
        return True


def _await(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)  # Files and Kubernetes objects that another process changes: there is no event to wait for.
    return met
