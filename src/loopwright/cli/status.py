"""status: how the loop is, on one screen."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click

from loopwright.cli import open_runs
from loopwright.cli.context import Context, on_loop
from loopwright.errors import LoopwrightError
from loopwright.ledger import Entry


@click.command(epilog="Example: loopwright status churn --json")
@on_loop
def status(context: Context) -> None:
    """Champion, challenger, weights, predictors, drift, last run, last alarm."""
    found = gather(context)
    context.answer(found)
    show(context, found)


def gather(context: Context) -> dict[str, Any]:
    """The loop's state as a program reads it."""
    from loopwright.rollout.state import running
    from loopwright.trigger.records import runs

    name, settings = context.loop.name, context.settings
    live = running(settings.live)
    versions = context.registry.versions(name) if settings.state.is_dir() else []
    aliases = {alias: version.number for version in versions for alias in version.aliases}
    entries = context.ledger.entries(name) if settings.state.is_dir() else []
    newest = {entry.kind: entry for entry in entries}
    return {
        "loop": name,
        "up": live is not None,
        "endpoints": dict(live.endpoints) if live else {},
        "champion": aliases.get("champion"),
        "challenger": aliases.get("challenger"),
        "previous": aliases.get("previous"),
        "versions": [version.number for version in versions],
        "waiting_for_approval": [version.number for version in versions if version.waiting],
        "weights": {str(version): weight for version, weight in live.weights.items()} if live else {},
        "predictors": {
            str(version): {"state": one.state, "pid": one.pid, "restarts": one.restarts}
            for version, one in live.predictors.items()
        }
        if live
        else {},
        "problems": dict(live.problems) if live else {},
        "rollout": _rollout(context),
        "drift": _drift(live.endpoints["monitor"]) if live else None,
        "last_run": open_runs.newest(context, runs(entries)),
        "last_alarm": _entry(newest.get("alarm")),
        "last_decision": _entry(newest.get("decision")),
        "last_rollout": _entry(
            max(filter(None, map(newest.get, ("promoted", "rolled_back"))), key=_number, default=None)
        ),
    }


def show(context: Context, found: dict[str, Any]) -> None:
    """The loop's state as a person reads it."""
    from rich.markup import escape

    console = context.console
    state = "[green]up[/]" if found["up"] else "[yellow]not up[/]"
    console.print(f"[bold]{found['loop']}[/]  {state}  {found['endpoints'].get('gateway', '')}")
    for role in ("champion", "challenger", "previous"):
        version = found[role]
        if version is None and role != "champion":
            continue
        weight = found["weights"].get(str(version))
        predictor = found["predictors"].get(str(version))
        begin = "loopwright up` and `loopwright rollout" if found["versions"] else "loopwright run"
        parts = [f"version {version}" if version is not None else f"none yet; begin with `{begin}`"]
        parts += ["waits for `loopwright approve`"] if version in found["waiting_for_approval"] else []
        parts += [f"{weight} % of the traffic"] if weight is not None else []
        parts += (
            [f"{predictor['state']} (pid {predictor['pid']}, {predictor['restarts']} restarts)"] if predictor else []
        )
        console.print(f"  {role:<13}{', '.join(parts)}")
    for what, problem in found["problems"].items():
        console.print(f"  [red]problem[/]      {escape(f'{what}: {problem}')}")
    if found["rollout"]:
        from loopwright.cli.steer import described

        for number, line in enumerate(described(found["rollout"])):
            console.print(f"  {'' if number else 'rollout':<13}{line}", markup=False)
    drift = found["drift"]
    if drift and not drift.get("features"):
        console.print(f"  drift        not looked at yet; a look needs {context.loop.monitor.min_events:,} predictions")
    if drift and drift.get("features"):
        word = "[red]alarm[/]" if drift["alarm"] else "[green]none[/]"
        worst = sorted(drift["features"].items(), key=lambda item: -item[1]["distance"])[:3]
        listed = ", ".join(f"{escape(name)} {one['distance']:.3f}" for name, one in worst)
        console.print(f"  drift        {word} in {drift['events']:,} events (largest distances: {listed})")
    run = found["last_run"]
    if run:
        came = f", version {run['version']}" if run["version"] else f": {run['error']}" if run["error"] else ""
        where = f" on the {run['engine']} engine" if run["engine"] != context.settings.engine else ""
        text = f"{run['run']} {run['state']}{where} after {run['seconds']:.1f} s{came}"
        console.print(f"  last run     {text}", markup=False)
    for label, key in (("last alarm", "last_alarm"), ("decision", "last_decision"), ("last rollout", "last_rollout")):
        if found[key]:
            console.print(f"  {label:<13}{found[key]['text']} ({_ago(found[key]['at'])})", markup=False)


def _rollout(context: Context) -> dict[str, Any] | None:
    from loopwright.cli.steer import under_way

    # What is there of it is shown where the rest of it can be: a cluster may be away.
    with suppress(LoopwrightError):
        return under_way(context)
    return None


def _entry(entry: Entry | None) -> dict[str, Any] | None:
    from loopwright.report.story import sentence

    if entry is None:
        return None
    return {"entry": entry.number, "at": entry.at.isoformat(), "text": sentence(entry), "facts": entry.facts}


def _number(entry: Entry) -> int:
    return entry.number


def _drift(monitor: str) -> dict[str, Any] | None:
    import httpx

    with suppress(httpx.HTTPError, ValueError):
        answer = httpx.get(f"{monitor}/v1/drift", timeout=2, trust_env=False)
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
    return None


def _ago(moment: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
