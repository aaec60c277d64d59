"""How a job begins, goes on and ends: the manifest is found or written, what is left is said, and it is summed up."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loopwright.data import files
from loopwright.errors import OutputError
from loopwright.loop import Loop
from loopwright.scoring import manifest as manifests
from loopwright.scoring.job import Done, Job
from loopwright.scoring.manifest import Manifest, Receipt
from loopwright.scoring.output import Output
from loopwright.scoring.plan import Plan, Unit


@dataclass(frozen=True)
class Begun:
    """A job that may go on."""

    job: Job
    plan: Plan
    manifest: Manifest
    output: Output
    done: Done
    """The parts that were there before."""

    def left(self, share: tuple[int, int] = (0, 1)) -> list[Unit]:
        """The units that are not done; of `share` (number, of how many) every so many-th."""
        number, of = share
        mine = [unit for unit in self.plan.units if unit.number % of == number]
        complete = manifests.complete(self.done)
        return [unit for unit in mine if unit.number not in complete]


def begin(job: Job, plan: Plan, output: Output, known: Manifest | None, at: datetime, *, anew: bool = False) -> Begun:
    """Write the manifest of a new job, or see that the one that is there is of this job.

    With `anew` the manifest of another job that has written nothing is replaced. Raises OutputError when an output is
    another's.
    """
    wanted = Manifest(
        job=job.name or manifests.new_job(),
        begun=at.astimezone(UTC).isoformat(timespec="seconds"),
        loop=job.loop.name,
        version=job.version,
        digest=job.digest,
        source=plan.source,
        fingerprint=plan.fingerprint,
        contract=_contract(job.loop),
        units=len(plan.units),
        rows=plan.rows,
        id=job.id,
        explain=job.explain,
        part_rows=job.part_rows,
    )
    if known is None:
        if manifests.create(output, wanted):
            return Begun(replace(job, name=wanted.job), plan, wanted, output, {})
        # Another process began in the moment since the output was looked at.
        known = manifests.read(output) or wanted
    if anew and manifests.different(known, wanted) and output.sizes().keys() == {manifests.MANIFEST}:
        manifests.write(output, wanted)
        return Begun(replace(job, name=wanted.job), plan, wanted, output, {})
    manifests.require_same(known, wanted, output)
    return Begun(replace(job, name=known.job), plan, known, output, manifests.receipts(output, known.job))


def require_apart(source: str, root: Path, output: Output) -> None:
    """Raise OutputError where partitions would be read as a part of the input, a path or URL relative to `root`."""
    if files.takes(source, root, f"{output}/{manifests.part_name(0, 0)}"):
        raise OutputError(
            f"{output} is a part of the input {source}",
            expected="an output that the input does not include",
            do="name a folder elsewhere with --output",
        )


def end(begun: Begun, receipts: Iterable[Receipt], drift: dict[str, Any] | None) -> Manifest:
    """The manifest of a job that is done, to be written when that is recorded. Raises OutputError where it is not."""
    manifests.require_own(begun.output, begun.manifest.job)
    done = sorted(receipts, key=lambda one: (one.unit, one.part))
    complete = manifests.complete({(one.unit, one.part): one for one in done})
    if missing := [unit.name for unit in begun.plan.units if unit.number not in complete]:
        raise OutputError(
            f"{len(missing):,} of {len(begun.plan.units):,} units are not scored yet, such as {missing[0]}",
            expected="a receipt for each part",
            do="run the same command again",
        )
    partitions = tuple({name: getattr(one, name) for name in ("file", "scored", "sha256")} for one in done)
    return begun.manifest.model_copy(
        update={"state": "complete", "totals": {**manifests.summed(done), "drift": drift}, "partitions": partitions}
    )


def _contract(loop: Loop) -> str:
    """The SHA-256 of what decides which rows are scored."""
    said = loop.model_dump(mode="json")["data"]
    text = manifests.dumps({name: said[name] for name in ("contract", "rules", "entity")})
    return hashlib.sha256(text.encode()).hexdigest()
