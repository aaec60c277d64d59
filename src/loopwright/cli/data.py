"""data: what is in the snapshots of a loop, and what changed between two of them."""

from pathlib import Path
from typing import Any

import click

from loopwright.cli.context import Context, json_option
from loopwright.errors import DataError

SHOWN = 20


@click.group(epilog="Example: loopwright data diff churn 3f2a 91bc")
def data() -> None:
    """The data of a loop: what changed from one snapshot to another."""


@data.command(epilog="Example: loopwright data diff churn 3f2a 91bc")
@click.argument("names", nargs=-1, required=True, metavar="[LOOP] A B")
@json_option
def diff(names: tuple[str, ...], as_json: bool) -> None:
    """Say what changed from snapshot A to snapshot B: columns, rows, distributions.

    A and B are ids of snapshots, or beginnings of them, or Parquet files.
    """
    from loopwright.steps.difference import difference

    if len(names) not in (2, 3):
        raise click.UsageError(f"{len(names)} given; expected two snapshots, and before them the loop")
    *loop, before, after = names
    context = Context.of(loop[0] if loop else None, as_json)
    found = difference(_path(context, before), _path(context, after))
    context.answer(found)
    _show(context, found)


def _path(context: Context, name: str) -> Path:
    """The snapshot that a name means. Raises DataError when it is none, or more than one."""
    if Path(name).is_file():
        return Path(name)
    folder = context.settings.snapshots
    found = [path for path in sorted(folder.glob("*.parquet")) if path.stem.startswith(name)]
    if len(found) != 1:
        what = f"{len(found)} snapshots begin with {name}" if found else f"there is no snapshot {name} in {folder}"
        raise DataError(what, expected="the id of one snapshot", do="see `loopwright history` for the ids")
    return found[0]


def _show(context: Context, found: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    say, rows, schema = context.console.print, found["rows"], found["schema"]
    moved = f": {rows['came']:,} came, {rows['went']:,} went, {rows['common']:,} are in both" if "came" in rows else ""
    say(f"rows: {rows['before']:,} -> {rows['after']:,}{moved}")
    for word in ("added", "removed"):
        if schema[word]:
            say(f"columns {word}: {', '.join(schema[word])}", markup=False)
    for name, (was, now) in schema["retyped"].items():
        say(f"column {name}: {was} -> {now}", markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("column", "distance", "missing", "median"):
        table.add_column(head, justify="left" if head == "column" else "right")
    for one in found["columns"][:SHOWN]:
        medians = " -> ".join("none" if value is None else f"{value:.6g}" for value in one.get("median", ()))
        missing = " -> ".join(f"{share:.2%}" for share in one["missing"])
        table.add_row(escape(one["column"]), f"{one['distance']:.3f}", missing, medians)
    say(table)
    say("[dim]distance: Jensen-Shannon, 0 to 1, what chance alone explains taken off[/]")
