"""replay: a version trained again from what was recorded of it, and whether the same model came out.

version -> what is asked for -> here, where this is the recorded environment, else in that one made again -> told
"""

import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loopwright.cli.context import Context, user
from loopwright.cli.versioned import on_version, resolve
from loopwright.errors import BundleError, ReplayError

if TYPE_CHECKING:
    from loopwright.governance.lineage import Lineage
    from loopwright.governance.replay import Replayed

MOST_SHOWN = 12


@click.command(epilog="Example: loopwright replay churn@7")
@click.option("--snapshots", metavar="PLACE", help="Where the snapshot is, if not in the state folder: folder or URL.")
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="A new folder for the bundle that comes of it."
)
@click.option("--here", is_flag=True, help="Train in the environment at hand, whatever the recorded one is.")
@on_version
def replay(context: Context, version: str, snapshots: str | None, keep: Path | None, here: bool) -> int:
    """Train a version again from its snapshot, declaration, feature code and seed, and compare.

    Where Python or a package is not the recorded one, the recorded environment is made in a folder that is removed
    afterwards, by uv or pip from the index that they are configured with. For an estimator of the loop's own whose
    code is not the recorded revision's, that is checked out into that folder, too.

    Exit codes: 0 the same model came out, 2 the estimator cannot be made or trained, 3 the snapshot is not to be had or
    was changed, 5 the ledger does not verify, 8 the version is not what was registered or too little is recorded of it,
    13 another model came out, 15 the recorded environment or revision cannot be had. The ledger gets an entry with the
    outcome.
    """
    from loopwright import revision
    from loopwright.governance import lineage as lines
    from loopwright.governance import replay as again

    # Whatever ends this command ends what it has started, and removes its folders.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    found = lines.of(context.loop.name, context.registry, context.ledger, resolve(context, version, "newest"))
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise BundleError(f"{keep} is not empty", expected="a new folder for the bundle")
    with tempfile.TemporaryDirectory(prefix="loopwright-snapshot-") as folder:
        taken = again.snapshot_file(context.settings.snapshots, found.snapshot, snapshots, Path(folder))
        asked = again.asked_of(found, taken, context.registry, keep)
        context.console.print(f"version {found.version.number} is trained again on snapshot {found.snapshot[:12]} ...")
        now = revision.read(context.folder, patches=False, given=context.settings.revision)
        if here or not (different := [*again.moved(found, asked, now), *again.differs(asked)]):
            outcome = again.here(asked)
        else:
            context.console.print(f"  not in this process: {_listed(different)}")
            # What is installed and run from here on is on the ledger's word.
            context.ledger.verify()
            outcome = again.recorded(found, asked, context.folder, lambda line: context.console.print(f"  {line}"))
    _record(context, found, outcome)
    error = _error(outcome, here)
    context.answer({**outcome.to_dict(), **({"error": str(error), "exit_code": error.exit_code} if error else {})})
    _show(context, outcome)
    if error and not context.json:
        raise error
    return error.exit_code if error else 0


def _listed(different: list[str]) -> str:
    more = len(different) - 2
    return f"{'; '.join(different[:2])}{f'; and {more} more' if more > 0 else ''}"


def _record(context: Context, found: "Lineage", outcome: "Replayed") -> None:
    registered = found.entries.get("registered")
    facts = {
        "version": outcome.version,
        "outcome": outcome.outcome,
        "digest": outcome.digest,
        "greatest": outcome.greatest,
        "place": outcome.place,
        "environment": list(outcome.environment[:MOST_SHOWN]),
        "by": user(),
    }
    cause = registered.number if registered else None
    context.ledger.append(context.loop.name, "replayed", facts, cause=cause)


def _error(outcome: "Replayed", here: bool) -> ReplayError | None:
    from loopwright.governance.replay import DIFFERENT

    if outcome.outcome != DIFFERENT:
        return None
    many = len(outcome.environment)
    if many and here:
        do = f"replay it in its own environment, as {many} things differ here: leave out `--here`"
    elif many or outcome.notes:
        do = "see what could not be made as it was recorded, above and in --json"
    else:
        do = "see whether the estimator has a source of chance that its seed does not set"
    return ReplayError(
        f"another model came out: predictions differ by up to {outcome.greatest:.3g} on {outcome.rows:,} held-out rows",
        expected="the registered model",
        do=do,
    )


def _show(context: Context, outcome: "Replayed") -> None:
    from loopwright.governance.replay import DIFFERENT, IDENTICAL

    out = context.console
    where = "" if outcome.place == "here" else " of the recorded environment"
    if outcome.outcome == IDENTICAL:
        out.print(
            f"[green]the same model came out[/]{where}, byte for byte; it predicts {outcome.rows:,} held-out rows alike"
        )
    elif outcome.outcome != DIFFERENT:
        out.print(f"[green]the same predictions came out[/]{where}: they differ by at most {outcome.greatest:.2g}")
    others = [name for name in outcome.files if name != "origin.json"]
    if others:
        out.print(f"  other bytes in {', '.join(others)}")
    for name, (was, now) in outcome.metrics.items():
        out.print(f"  {name} {was:.6f}, now {now:.6f}")
    for line in outcome.environment[:MOST_SHOWN]:
        out.print(f"  [yellow]environment[/]: {line}")
    if len(outcome.environment) > MOST_SHOWN:
        out.print(f"  and {len(outcome.environment) - MOST_SHOWN} more differences (see --json)")
    for note in outcome.notes:
        out.print(f"  [yellow]note[/]: {note}")
