"""The end of a scoring job: drift by the monitor's statistics, the ledger's entry, and what is told of it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from loopwright.cli.context import Context
from loopwright.cli.versioned import registered
from loopwright.errors import ContractError

if TYPE_CHECKING:
    from loopwright.scoring.begin import Begun
    from loopwright.scoring.manifest import Manifest, Receipt

KIND = "scored"
SHOWN = 5
"""Broken rules and drifted features that are printed; the manifest has all."""


def end(context: Context, began: "Begun", receipts: "Sequence[Receipt]") -> "Manifest":
    """Sum a job up, record it and have its manifest say that it is complete. Raises OutputError where it is not.

    The entry comes first: a job that is interrupted between the two is recorded once, and ended by the next run.
    """
    from loopwright.ledger import DuplicateEntry
    from loopwright.scoring import begin, manifest
    from loopwright.settings import redacted

    ended = begin.end(began, receipts, drift(context, began, receipts))
    facts = {
        "version": ended.version,
        "digest": ended.digest,
        "job": ended.job,
        **{name: ended.totals[name] for name in ("rows", "scored", "set_aside")},
        "input": redacted(ended.source)[:300],
        "output": redacted(str(began.output)),
        "drifted": [{"name": name, "distance": one["distance"]} for name, one in drifted(ended)],
    }
    key = f"{context.loop.name}/{KIND}/{ended.job}"
    with suppress(DuplicateEntry):
        context.ledger.append(context.loop.name, KIND, facts, cause=registered(context, ended.version), key=key)
    manifest.write(began.output, ended)
    return ended


def drift(context: Context, began: "Begun", receipts: "Sequence[Receipt]") -> dict[str, Any] | None:
    """How far the scored rows are from the training profile, by feature: one look of the monitor at all of them.

    None where the version has no profile, or no row was scored.
    """
    from loopwright.models import bundle as bundles
    from loopwright.monitor.drift import Rule, Window, evaluate
    from loopwright.scoring import counts
    from loopwright.statistics.profile import Profile

    bundle = bundles.read(began.job.bundle, began.job.digest)
    parts = [one.counts for one in receipts if one.counts is not None]
    if bundles.PROFILE not in bundle.contents or not parts:
        return None
    profile, total = Profile.from_json(bundle.contents[bundles.PROFILE]), counts.together(parts)
    window = Window(
        int(total[counts.EVENTS][0]), {name: total[name] for name in profile.watched}, total[counts.PREDICTION]
    )
    look = evaluate(profile, window, Rule.of(context.loop, context.settings.clock))
    if look is None:
        return None
    scores = look.scores()
    return {
        name: {"distance": scores[name].distance, "score": scores[name].score, "drifted": scores[name].drifted}
        for name in look.ranking()
    }


def drifted(manifest: "Manifest") -> list[tuple[str, Mapping[str, Any]]]:
    """The features that have drifted, the farthest first."""
    return [(name, one) for name, one in (manifest.totals["drift"] or {}).items() if one["drifted"]]


def answer(context: Context, manifest: "Manifest", seconds: float | None) -> int:
    """Tell what a complete job came to; `seconds` is how long this run of it took. The exit code is returned.

    Raises ContractError where more rows were set aside than the loop accepts; with --json it is a part of the answer.
    """
    totals = manifest.totals
    refusal = _refusal(context, manifest)
    error = {} if refusal is None else {"error": str(refusal), "exit_code": refusal.exit_code}
    context.answer({**manifest.model_dump(mode="json"), "seconds": seconds, **error})
    if context.json:
        return 0 if refusal is None else refusal.exit_code
    console = context.console
    rate = "" if not seconds else f" in {seconds:,.1f} s"
    parts = len(manifest.partitions)
    console.print(
        f"{totals['scored']:,} predictions of version {manifest.version} in {parts:,} "
        f"partition{'' if parts == 1 else 's'}{rate}; {totals['set_aside']:,} rows set aside",
        markup=False,
    )
    for rule, rows in list(totals["broken"].items())[:SHOWN]:
        console.print(f"  {rows:,} rows break {rule}", markup=False)
    for line in _missing(context, totals):
        console.print(f"  {line}", markup=False)
    found = drifted(manifest)
    if totals["drift"] is None:
        why = "the version has no profile" if totals["scored"] else "no row was scored"
        console.print(f"  drift was not looked at: {why}", markup=False)
    elif not found:
        console.print("  no feature is far from the training data", markup=False)
    for name, one in found[:SHOWN]:
        console.print(f"  {name} is far from the training data: distance {one['distance']:.3f}", markup=False)
    if refusal is not None:
        raise refusal
    return 0


def _missing(context: Context, totals: Mapping[str, Any]) -> list[str]:
    """Columns with more missing values than the contract accepts."""
    lines, rows = [], max(totals["rows"], 1)
    for name, count in totals["missing"].items():
        column = context.loop.data.contract.get(name)
        if column is not None and count / rows > column.missing:
            lines.append(
                f"{name} is missing in {count / rows:.1%} of the rows; the contract accepts {column.missing:.1%}"
            )
    return lines


def _refusal(context: Context, manifest: "Manifest") -> ContractError | None:
    rows, aside = manifest.totals["rows"], manifest.totals["set_aside"]
    most = context.loop.data.set_aside
    if not aside or (aside / rows <= most and aside < rows):
        return None
    worst = ", ".join(f"{rule} in {count:,}" for rule, count in list(manifest.totals["broken"].items())[:3])
    return ContractError(
        f"{aside:,} of {rows:,} rows break the contract and were set aside: {worst}",
        expected=f"at most {most:.1%} (`data.set_aside`)",
        do="correct the input or the contract, and score into another output; the reasons are below "
        f"{manifest_home()}/aside",
    )


def manifest_home() -> str:
    """Where a job keeps what is no prediction, below its output."""
    from loopwright.scoring.manifest import HOME

    return HOME
