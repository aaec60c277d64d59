"""drift: what the monitor saw at its last look, feature by feature, in the terminal."""

from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, on_loop

if TYPE_CHECKING:
    from rich.table import Table

BAR = 20
"""Characters of a bar; a full one is the largest distance that is shown, and at least twice `min_effect`."""


@click.command(epilog="Example: loopwright drift churn --top 5")
@click.option("--monitor", default="", help="The monitor's URL; by default that of `loopwright up`.")
@click.option("--top", type=click.IntRange(min=1), help="Only the features with the highest scores.")
@on_loop
def drift(context: Context, monitor: str, top: int | None) -> None:
    """How far live data is from the reference, by feature: distance, score, and since when an alarm fires.

    A feature drifts at a look when its score is at least 1 (chance does not explain it, under the declared budget of
    false alarms) and its distance at least `min_effect`. What is sudden is as far from the traffic of `monitor.recent`
    before it. Exit code 9 when the monitor does not answer.
    """
    found = _asked(monitor or _monitor(context))
    context.answer(found)
    if not found["features"]:
        context.console.print(
            f"the monitor of {found['loop']} has not looked at anything yet; a look needs "
            f"{found['min_events']:,} predictions in {found['window']}"
        )
        return
    context.console.print(_head(found))
    context.console.print(_table(found, top))
    if not found["enough"]:
        context.console.print(
            f"[yellow]too few:[/] {found['events']:,} of {found['min_events']:,} predictions in {found['window']}; "
            "nothing begins or ends before there are enough"
        )


def _monitor(context: Context) -> str:
    from loopwright.errors import ServingError
    from loopwright.rollout.state import running

    live = running(context.settings.live)
    if live is None or "monitor" not in live.endpoints:
        raise ServingError(
            f"{context.loop.name} is not up on this machine",
            expected="a monitor that runs",
            do=f"`loopwright up {context.shown}`, or name a pod's with --monitor http://HOST:9090 "
            "(`kubectl port-forward POD 9090`)",
        )
    return str(live.endpoints["monitor"])


def _asked(url: str) -> dict[str, Any]:
    import httpx

    from loopwright.errors import ServingError

    try:
        answer = httpx.get(f"{url.rstrip('/')}/v1/drift", timeout=5, trust_env=False)
        found = answer.raise_for_status().json()
        if isinstance(found, dict) and {"features", "events", "min_events"} <= found.keys():
            return found
        problem = "its answer is not a look at drift"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        problem = str(error) or type(error).__name__
    raise ServingError(
        f"the monitor at {url} does not answer: {problem}",
        expected="a Loopwright monitor",
        do="see that it runs, and that this machine reaches it",
    )


def _head(found: dict[str, Any]) -> str:
    from rich.markup import escape

    alarm = "[bold red]alarm[/]" if found["alarm"] else "[green]no alarm[/]"
    return (
        f"[bold]{escape(found['loop'])}[/] version {escape(str(found['version']))}  {alarm}  "
        f"{found['events']:,} predictions in {found['window']}"
    )


def _table(found: dict[str, Any], top: int | None) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    scores = dict(found["features"])
    if found["prediction"] is not None:
        scores["prediction" if "prediction" not in scores else "prediction_"] = found["prediction"]
    # Against recent traffic only what is worth a line: there is one for every feature already.
    firing = dict(found["firing"])
    for name, one in found.get("recent", {}).items():
        since = found["firing_recent"].get(name)
        if one["drifted"] or since:
            scores[f"{name}, sudden"] = one
            firing |= {f"{name}, sudden": since} if since else {}
    ranked = sorted(scores.items(), key=lambda item: (-item[1]["score"], -item[1]["distance"]))[:top]
    full = max([2 * found["min_effect"], *(one["distance"] for _, one in ranked)]) or 1.0
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("feature", "distance", f"│ {found['min_effect']:g}", "score", "since"):
        table.add_column(column, justify="right" if column == "score" else "left", no_wrap=True)
    for name, one in ranked:
        since = firing.get(name, "")
        style = "red" if since else "yellow" if one["drifted"] else ""
        table.add_row(
            escape(name),
            f"{one['distance']:.3f}",
            _bar(one["distance"] / full, found["min_effect"] / full),
            f"{one['score']:.2f}",
            since[:16].replace("T", " ") or ("this look" if one["drifted"] else ""),
            style=style,
        )
    return table


def _bar(share: float, least: float) -> str:
    """A bar, with a mark where an effect begins that is worth an alarm."""
    length, mark = round(share * BAR), min(round(least * BAR), BAR - 1)
    cells = ["█" if at < length else "·" for at in range(BAR)]
    if cells[mark] == "·":
        cells[mark] = "│"
    return "".join(cells)
