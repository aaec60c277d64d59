"""domain: can archived events be told from the reference, all columns together? A job for who looks into an alarm."""

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loopwright.cli.context import Context, on_loop
from loopwright.cli.events import _bounds, _open, _window
from loopwright.errors import DataError

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

SURE = 0.01
"""A chance below this is called drift: there is one look, of one test, when a person asks."""
TOP = 5


@click.command(epilog="Example: loopwright domain churn --since 1d --group customer_id")
@_window
@click.option("--reference", metavar="FILE", help="CSV or Parquet of the reference's rows; default the version's own.")
@click.option(
    "--group", help="An input whose equal values belong together, such as a customer; one row of each is used."
)
@on_loop
def domain(context: Context, reference: str | None, group: str | None, **options: Any) -> None:
    """Whether a classifier can tell archived events from the rows that their version was made from.

    Finds what no test of one input sees: values that go together in another way. Needs `monitor.archive`. The version
    is the one with most events in the window. Rows that repeat make it too sure: name their --group.
    """
    from loopwright.data import typed
    from loopwright.steps.domain import compare

    loop, (start, end) = context.loop, _bounds(context, options)
    version, now = _events(context, options["version"], start, end)
    before = _reference(context, version, reference)
    # What the archive redacts, or a file does not have, would tell the two apart with certainty.
    both = [name for name in loop.inputs if name in now.columns and name in before.columns]
    if not both:
        raise DataError("events and reference have no input in common", do="give another --reference")
    columns = typed.inputs(loop, now)[both]
    if group is not None and group not in columns.columns:
        raise DataError(
            f"{loop.name} has no input {group}", expected=f"one of {', '.join(columns.columns)}", do="name another"
        )
    found = compare(typed.inputs(loop, before)[both], columns, groups=group, seed=loop.model.seed)
    drifted = found.p_value < SURE
    context.answer(
        {
            "version": version, "events": len(now), "reference_rows": len(before), "start": start, "end": end,
            "auc": found.auc, "p_value": found.p_value, "drifted": drifted, "importance": found.importance,
        }
    )  # fmt: skip
    say = context.console.print
    say(f"version {version}: {len(now):,} events beside {len(before):,} rows of the reference", markup=False)
    if left := [name for name in loop.inputs if name not in both]:
        say(f"not on both sides, and left out: {', '.join(left)}", markup=False)
    can = "can" if drifted else "cannot"
    say(f"they {can} be told apart: area under the ROC curve {found.auc:.3f}, by chance with p = {found.p_value:.2g}")
    for name, loss in list(found.importance.items())[: TOP if drifted else 0]:
        say(f"  {name:<30} {loss:.3f} of the area is lost without it", markup=False)


def _events(context: Context, version: str | None, start: "datetime", end: "datetime") -> "tuple[str, pd.DataFrame]":
    """The window's events of one version."""
    import pandas as pd

    from loopwright.archive import read
    from loopwright.archive.reader import count

    store, name = _open(context), context.loop.name
    if version is None:
        versions = count(store, loop=name, start=start, end=end)
        version = max(versions, key=lambda one: versions[one], default=None)
    batches = [] if version is None else read(store.url, loop=name, version=version, start=start, end=end)
    frames = [batch.to_pandas() for batch in batches]
    if version is None or not frames:
        raise DataError(
            f"there are no events of {name} from {start.astimezone(UTC):%Y-%m-%d %H:%M} to "
            f"{end.astimezone(UTC):%Y-%m-%d %H:%M} in {store.url}",
            do="give another window; `loopwright events list` shows what there is",
        )
    return version, pd.concat(frames, ignore_index=True)


def _reference(context: Context, version: str, given: str | None) -> "pd.DataFrame":
    from loopwright.cli.alarm_report import snapshot
    from loopwright.data import sources
    from loopwright.report import drift_report

    if given is not None:
        return sources.read(given, Path.cwd())
    return drift_report.reference(context.loop, snapshot(context, version))
