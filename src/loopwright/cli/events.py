"""events: the archived prediction events, for people and for tools that read Parquet or CSV."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, on_loop
from loopwright.errors import DataError, DeclarationError

if TYPE_CHECKING:
    from loopwright.archive.store import Store

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@click.group(epilog="Example: loopwright events list churn --since 7d")
def events() -> None:
    """The archived prediction events: what there is, how many, and a window of them as a file."""


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A moment as ISO 8601 writes it; without a zone it is UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no moment; expected one such as 2026-11-21T08:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """A duration as the declaration writes it."""
    from loopwright.durations import parse_duration

    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from error


def _window(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which events are meant."""
    for option in (
        click.option("--version", "version", help="Of this version only."),
        click.option("--end", metavar="TIME", callback=_moment, help="Received before this moment; default now."),
        click.option(
            "--start", metavar="TIME", callback=_moment, help="Received from this moment on; default the first."
        ),
        click.option("--since", metavar="DURATION", callback=_duration, help="Received in the last so long: 7d, 1h."),
    ):
        function = option(function)
    return function


@events.command("list", epilog="Example: loopwright events list churn --since 7d --json")
@_window
@on_loop
def listed(context: Context, **options: Any) -> None:
    """The files, as one line a version and day: how many, their rows and bytes."""
    from loopwright.archive import objects

    store, start, end = _open(context), *_bounds(context, options)
    days: dict[tuple[str, str], list[int]] = {}
    for one in objects(store, loop=context.loop.name, version=options["version"], start=start, end=end):
        row = days.setdefault((one.key.version, f"{one.key.hour:%Y-%m-%d}"), [0, 0, 0])
        for place, amount in enumerate((1, one.key.rows, one.size)):
            row[place] += amount
    names = ("version", "date", "files", "rows", "bytes")
    found: list[dict[str, Any]] = [
        dict(zip(names, (*day, *amounts), strict=True)) for day, amounts in sorted(days.items())
    ]
    context.answer({"url": store.url, "days": found})
    if not found:
        context.console.print(f"there are no events of {context.loop.name} in {store.url}", markup=False)
        return
    context.console.print(f"{store.url}", markup=False)
    context.console.print(f"{'version':<10}{'date':<12}{'files':>7}{'rows':>13}{'MB':>9}")
    for day in found:
        context.console.print(
            f"{day['version']:<10}{day['date']:<12}{day['files']:>7,}{day['rows']:>13,}{day['bytes'] / 1e6:>9,.1f}"
        )


@events.command(epilog="Example: loopwright events count churn --start 2026-11-20 --end 2026-11-21")
@_window
@on_loop
def count(context: Context, **options: Any) -> None:
    """How many events there are, a version each. Files that lie in the window as a whole are not opened."""
    from loopwright.archive.reader import count as counted

    start, end = _bounds(context, options)
    found = counted(_open(context), loop=context.loop.name, version=options["version"], start=start, end=end)
    context.answer({"events": sum(found.values()), "versions": found})
    for version, rows in sorted(found.items()):
        context.console.print(f"version {version:<8}{rows:>13,}")
    context.console.print(f"together        {sum(found.values()):>13,}")


@events.command(epilog="Example: loopwright events export churn --version 3 --since 1d --to yesterday.parquet")
@_window
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .parquet or .csv file.")
@click.option("--columns", help="Only these, separated by commas; default all.")
@on_loop
def export(context: Context, to: Path, columns: str | None, **options: Any) -> None:
    """Write a window of events to one file, which appears whole or not at all."""
    from loopwright.archive import read
    from loopwright.archive.export import write

    start, end = _bounds(context, options)
    names = [name.strip() for name in columns.split(",")] if columns else None
    batches = read(
        _open(context).url, loop=context.loop.name, version=options["version"], start=start, end=end, columns=names
    )
    rows = write(batches, to, names)
    context.answer({"file": str(to), "rows": rows})
    context.console.print(f"{rows:,} events are in {to}", markup=False)


@events.command(epilog="Example: loopwright events expire churn")
@on_loop
def expire(context: Context) -> None:
    """Delete the files that are older than the declared retention, as running monitors do by themselves."""
    from loopwright.archive import retention
    from loopwright.archive.store import StoreError, unreadable

    store, kept = _open(context), _declared(context).retention
    if kept is None:
        raise DeclarationError(
            "monitor.archive.retention is null: files are kept for good", do="declare how long to keep them"
        )
    try:
        number = retention.expire(store, context.loop.name, kept, context.settings.clock.now())
    except StoreError as error:
        raise unreadable(store.url, error) from error
    context.answer({"deleted": number})
    context.console.print(f"{number:,} files are deleted")


def _declared(context: Context) -> Any:
    archive = context.loop.monitor.archive
    if archive is None:
        raise DeclarationError(
            f"{context.loop.name} keeps no events",
            expected="`monitor: {archive: {url: ...}}` in loop.yaml",
            do="declare where they are to be kept (docs/events.md)",
        )
    return archive


def _open(context: Context) -> "Store":
    from loopwright.archive.store import opened, resolve

    return opened(resolve(_declared(context).url, context.settings.state))


def _bounds(context: Context, options: dict[str, Any]) -> tuple[datetime, datetime]:
    """The window; times are the loop's."""
    now = context.settings.clock.now()
    if options["since"] is not None and options["start"] is not None:
        raise click.UsageError("--since and --start both say when the window begins; give one")
    start = options["start"] or (now - options["since"] if options["since"] else BEGINNING)
    end = options["end"] or now
    if start >= end:
        raise DataError(f"the window ends at {end.isoformat()}, not after it begins, at {start.isoformat()}")
    return start, end
