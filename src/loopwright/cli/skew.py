"""skew: what the model was asked with beside what is held offline of the same entities, input by input."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, on_loop
from loopwright.cli.events import _bounds, _declared, _window
from loopwright.errors import DataError, LimitError

if TYPE_CHECKING:
    import pandas as pd

    from loopwright.performance.skew import Compared, Skew
    from loopwright.pushgateway import Gauge

JOB = "loopwright_skew"


@click.command(epilog="Example: loopwright skew churn --since 1d --ids requests.parquet")
@click.option("--offline", help="A CSV or Parquet file, folder or glob, or a SQL URL; default `monitor.skew.source`.")
@click.option("--query", default="", help="With a database: the query that gives the offline rows.")
@click.option("--ids", help="A file that says of which entity each prediction was; default its id is the entity.")
@click.option("--online", help="A file of what was asked, with its entity; default the archived events.")
@click.option("--time-column", default="predicted_at", show_default=True, help="When it was asked.")
@click.option("--examples", type=click.IntRange(0, 20), default=1, show_default=True, help="Rows shown of each input.")
@_window
@on_loop
def skew(
    context: Context,
    offline: str | None,
    query: str,
    ids: str | None,
    online: str | None,
    time_column: str,
    examples: int,
    **window: Any,
) -> int:
    """Hold the inputs that were predicted with against the offline values of the same entities at that moment.

    Exit code 12 when an input differs in a larger share of rows than `monitor.skew.max_share`, by more than chance
    explains of so many rows; 3 when there is nothing to compare.
    """
    from loopwright.cli.push import left
    from loopwright.performance import skew as compared

    if context.loop.data.entity is None:
        raise DataError("skew is about entities", expected="`data.entity` in loop.yaml, the column that names them")
    asked = _online(context, online, ids, time_column, window)
    found = compared.compare(context.loop, _offline(context, offline, query), asked, at=time_column, examples=examples)
    left(context, JOB, gauges(found))
    beyond = [one.feature for one in found.features if one.beyond]
    refusal = LimitError(
        f"{len(beyond)} of {len(found.features)} inputs differ from what is held offline: {', '.join(beyond)}",
        expected="the same values on both sides (`monitor.skew.max_share`)",
        do="look at the examples: a model is not asked what it was trained on",
    )
    error = {"error": str(refusal), "exit_code": refusal.exit_code} if beyond else {}
    context.answer({**_told(found), **error})
    _show(context, found)
    if beyond and not context.json:
        raise refusal
    return refusal.exit_code if beyond else 0


def gauges(found: "Compared") -> "list[Gauge]":
    """What is pushed of a comparison."""
    import time

    from loopwright.pushgateway import Gauge

    each = [({"feature": one.feature}, one) for one in found.features]
    return [
        Gauge(
            "loopwright_skew_share",
            "The share of predictions whose input differs from the offline value of the same entity.",
            [(labels, one.share) for labels, one in each],
        ),
        Gauge(
            "loopwright_skew_beyond",
            "Whether that is more than declared, beyond chance, 0 or 1.",
            [(labels, float(one.beyond)) for labels, one in each],
        ),
        Gauge("loopwright_skew_rows", "Predictions that were compared.", [({}, float(found.joined))]),
        Gauge("loopwright_skew_ended_timestamp_seconds", "When inputs were last compared.", [({}, time.time())]),
    ]


def _offline(context: Context, source: str | None, query: str) -> "pd.DataFrame":
    from loopwright.performance import sources

    loop = context.loop
    needed = [name for name in (loop.data.entity, loop.data.timestamp) if name is not None]
    where = source or loop.monitor.skew.source or loop.data.source
    return sources.read(where, context.folder, needed, query, others=True)


def _online(
    context: Context, source: str | None, ids: str | None, time_column: str, window: dict[str, Any]
) -> "pd.DataFrame":
    """What was asked, with the column of the entity."""
    from loopwright.archive.store import resolve
    from loopwright.performance import sources
    from loopwright.performance.served import of_entities, served

    entity = str(context.loop.data.entity)
    moment = [time_column] if context.loop.data.timestamp is not None else []
    if source is not None:
        return sources.read(source, context.folder, [entity, *moment], others=True)
    url, (start, end) = resolve(_declared(context).url, context.settings.state), _bounds(context, window)
    frame = served(url, context.loop.name, window["version"], start, end)
    known = None if ids is None else sources.read(ids, context.folder, ["prediction_id", entity])
    return of_entities(frame, entity, known)


def _told(found: "Compared") -> dict[str, Any]:
    return {
        "joined": found.joined,
        "unmatched": found.unmatched,
        "left_out": list(found.left),
        "features": [{**asdict(one), "share": one.share, "beyond": one.beyond} for one in found.features],
    }


def _show(context: Context, found: "Compared") -> None:
    from rich.markup import escape
    from rich.table import Table

    say = context.console.print
    say(f"{found.joined:,} predictions with an offline row of their entity, {found.unmatched:,} without")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("input", "differ", "share", "limit", "what differs"):
        table.add_column(column, justify="right" if column in ("differ", "share", "limit") else "left")
    for one in found.features:
        style = "red" if one.beyond else "yellow" if one.differ else ""
        cells = (f"{one.differ:,}", f"{one.share:.2%}", f"{one.limit:.2%}", escape(_what(one)))
        table.add_row(escape(one.feature), *cells, style=style)
    say(table)
    for one in found.features:
        for example in one.examples:
            about = ", ".join(f"{name} {value}" for name, value in example.items() if name not in ("offline", "online"))
            values = f"offline {example['offline']!r}, online {example['online']!r}"
            say(f"{one.feature}: {values} ({about})", markup=False)
    if found.left:
        say(f"not on both sides: {', '.join(found.left)}", markup=False)


def _what(one: "Skew") -> str:
    """What is different, in a few words."""
    parts = []
    if one.missing_online:
        parts.append(f"{one.missing_online:,} missing online only")
    if one.missing_offline:
        parts.append(f"{one.missing_offline:,} missing offline only")
    if one.median_difference:
        mean = "" if one.mean_difference is None else f", {one.mean_difference:+.4g} on average"
        parts.append(f"by {one.median_difference:.4g} (median){mean}")
    known = [(before, now, rows) for before, now, rows in one.pairs if before is not None and now is not None]
    parts += [f"{before} -> {now}: {rows:,}" for before, now, rows in known[:2]]
    return "; ".join(parts)
