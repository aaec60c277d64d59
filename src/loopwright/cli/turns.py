"""One run of a loop at a time, also of two that are started at the same moment: the ledger's order decides.

A command looks for runs under way before it begins. Two that look at once both find none, so each looks again when its
own run is written: the later one withdraws. And one that was taken for dead before it could submit ends what it began.
"""

from typing import TYPE_CHECKING

from loopwright.cli import open_runs
from loopwright.cli.context import Context

if TYPE_CHECKING:
    from loopwright.ledger import Entry


def take(context: Context, entry: "Entry") -> None:
    """Raise RunError where another run was written before `entry` and is open; this one is then ended, as cancelled."""
    from loopwright.trigger.records import runs

    name = context.loop.name
    for run in runs(context.ledger.entries(name)):
        if run.entry.number < entry.number and not run.ended:
            why = f"the run {run.name} of {name} was first"
            open_runs.end(context, entry, {"state": "cancelled", "seconds": 0.0, "version": None, "error": why})
            raise open_runs.refused(why)


def keep(context: Context, entry: "Entry") -> None:
    """Raise RunError where another process took this run for dead and closed it, before it was submitted."""
    ends = context.ledger.entries(context.loop.name, kind="run_ended")
    if any(one.facts.get("run") == entry.facts["run"] for one in ends):
        raise open_runs.refused(f"the run {entry.facts['run']} was closed by another one that began at the same moment")
