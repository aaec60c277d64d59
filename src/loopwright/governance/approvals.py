"""Who may say yes to a version, and what was said: read from the ledger, whose order decides between two people.

A version that was registered under `gates.approval: required` waits until enough different people approved it, or one
rejected it; whichever the ledger has first stands. The registry's tag follows, and does not count: whoever may write
to MLflow may set it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loopwright.errors import RegistryError, RolloutError
from loopwright.ledger import Entry
from loopwright.loop import Loop
from loopwright.registry import ModelVersion

WAITING, APPROVED, REJECTED, AUTOMATIC = "waiting", "approved", "rejected", "automatic"


@dataclass(frozen=True)
class Decision:
    """What has been said of a version."""

    state: str
    """`waiting`, `approved`, `rejected`, or `automatic` where no person is asked."""
    approved_by: tuple[str, ...] = ()
    last: Entry | None = None
    """The entry that decided."""


def decision(entries: Sequence[Entry], version: int) -> Decision:
    """What the ledger's entries say of a version. Each approval names how many were needed when it was given."""
    registered = next((one for one in reversed(entries) if _is(one, "registered", version)), None)
    said: list[str] = []
    for entry in entries:
        if _is(entry, "rejected", version):
            return Decision(REJECTED, tuple(said), entry)
        if _is(entry, "approved", version):
            said += [entry.facts["by"]] if entry.facts["by"] not in said else []
            if len(said) >= int(entry.facts.get("of", 1)):
                return Decision(APPROVED, tuple(said), entry)
    required = registered is not None and registered.facts.get("approval") == "required"
    return Decision(WAITING if required else AUTOMATIC, tuple(said))


def check(loop: Loop, entries: Sequence[Entry], version: ModelVersion, by: str, *, rejects: bool = False) -> Decision:
    """What was said before, where `by` may speak now. Raises RegistryError saying why not."""
    said, number = decision(entries, version.number), version.number
    if said.state == AUTOMATIC and not version.waiting:
        raise RegistryError(
            f"version {number} of {loop.name} waits for nobody: it was registered with `gates.approval: auto`",
            expected="a version that waits",
            do="take it back with `loopwright demote` or `loopwright archive`" if rejects else "",
        )
    if said.state in (APPROVED, REJECTED) and not (said.state == APPROVED and version.waiting and not rejects):
        assert said.last is not None
        facts = said.last.facts
        raise RegistryError(
            f"version {number} of {loop.name} was {said.state} already, by {facts['by']}: {facts['reason']}",
            expected="a version that waits",
        )
    gates = loop.gates
    if gates.approvers and by not in gates.approvers:
        raise RegistryError(
            f"{by} is none of the approvers of {loop.name}", expected=f"one of {', '.join(gates.approvers)}"
        )
    if not gates.self_approval and not rejects and by == asked_by(entries, number):
        raise RegistryError(
            f"{by} asked for the run that version {number} came of, and `gates.self_approval` is false",
            expected="somebody else to approve it",
        )
    return said


def asked_by(entries: Sequence[Entry], version: int) -> str | None:
    """Who asked for the run that a version came of; None where an alarm or a schedule did."""
    known = {entry.number: entry for entry in entries}
    entry = next((one for one in reversed(entries) if _is(one, "registered", version)), None)
    while entry is not None:
        if entry.kind == "request":
            return str(entry.facts.get("by"))
        entry = known.get(entry.cause) if entry.cause is not None and entry.cause < entry.number else None
    return None


def refusal(loop: Loop, entries: Sequence[Entry], version: ModelVersion) -> str:
    """Why a version may not go live, in words; empty where it may."""
    said = decision(entries, version.number)
    if version.archived:
        return f"version {version.number} of {loop.name} is archived"
    if said.state == REJECTED:
        assert said.last is not None
        return f"version {version.number} of {loop.name} was rejected by {said.last.facts['by']}"
    # Where the ledger knows of no registration, as after a move, the registry's word is all there is.
    if said.state == WAITING or not version.approved:
        given = f": {len(said.approved_by)} of {loop.gates.approvals} did" if said.approved_by else ""
        return f"version {version.number} of {loop.name} is not approved{given}"
    return ""


def require(loop: Loop, entries: Sequence[Entry], version: ModelVersion, shown: str) -> None:
    """Raise RolloutError where a version may not go live; `shown` is the loop's folder as one would type it."""
    if why := refusal(loop, entries, version):
        waits = version.waiting and not version.archived
        raise RolloutError(
            why,
            expected="an approved version, as `gates.approval` is `required`" if waits else "another version",
            do=f'approve it with `loopwright approve {shown} {version.number} --reason "..."`' if waits else "",
        )


def _is(entry: Entry, kind: str, version: int) -> bool:
    return entry.kind == kind and bool(entry.facts.get("version") == version)
