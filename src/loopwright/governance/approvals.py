"""Who may say yes to a version, and what was said: read from the ledger, whose order decides between two people.

A version that was registered under `gates.approval: required` waits until enough different people approved it, or one
rejected it; whichever the ledger has first stands. The registry's tag follows, and does not count: whoever may write
to MLflow may set it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loopwright.errors import BundleError, RegistryError, RolloutError
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


@dataclass(frozen=True)
class Rules:
    """Who may say yes to a version, as it was registered."""

    required: bool
    approvals: int = 1
    approvers: tuple[str, ...] = ()
    self_approval: bool = True
    recorded: bool = False
    """Whether they are of the `registered` entry, and not of the declaration of whoever asks."""


def rules(loop: Loop, entries: Sequence[Entry], version: int) -> Rules:
    """The rules for a version; of one that was registered before they were kept, those that the loop declares."""
    gates = loop.gates
    entry = registration(entries, version)
    required = gates.approval == "required" if entry is None else entry.facts.get("approval") == "required"
    kept = {} if entry is None else entry.facts.get("rules") or {}
    if not kept:
        return Rules(required, gates.approvals, gates.approvers, gates.self_approval)
    return Rules(
        required, int(kept["approvals"]), tuple(map(str, kept["approvers"])), bool(kept["self_approval"]), recorded=True
    )


def registration(entries: Sequence[Entry], version: int) -> Entry | None:
    """The newest registration of a number: MLflow counts anew after a model was deleted there."""
    return next((one for one in reversed(entries) if _is(one, "registered", version)), None)


def decision(loop: Loop, entries: Sequence[Entry], version: int) -> Decision:
    """What the ledger's entries say of a version since it was registered.

    Where the registration has no rules, each approval names how many were needed when it was given.
    """
    rule = rules(loop, entries, version)
    said: list[str] = []
    for entry in _since(entries, version):
        if not (_is(entry, "rejected", version) or _is(entry, "approved", version)):
            continue
        by = str(entry.facts["by"])
        if rule.recorded and rule.approvers and by not in rule.approvers:
            continue
        if entry.kind == "rejected":
            return Decision(REJECTED, tuple(said), entry)
        if rule.recorded and not rule.self_approval and by == asked_by(entries, version):
            continue
        said += [by] if by not in said else []
        if len(said) >= (rule.approvals if rule.recorded else int(entry.facts.get("of", 1))):
            return Decision(APPROVED, tuple(said), entry)
    return Decision(WAITING if rule.required else AUTOMATIC, tuple(said))


def check(loop: Loop, entries: Sequence[Entry], version: ModelVersion, by: str, *, rejects: bool = False) -> Decision:
    """What was said before, where `by` may speak now. Raises RegistryError saying why not."""
    said, number = decision(loop, entries, version.number), version.number
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
    allowed(loop, entries, number, by, rejects=rejects)
    return said


def allowed(loop: Loop, entries: Sequence[Entry], number: int, by: str, *, rejects: bool = False) -> None:
    """Raise RegistryError where `by` is none of those who may speak of a version."""
    rule = rules(loop, entries, number)
    if rule.approvers and by not in rule.approvers:
        raise RegistryError(
            f"{by} is none of the approvers of {loop.name}", expected=f"one of {', '.join(rule.approvers)}"
        )
    if not rule.self_approval and not rejects and by == asked_by(entries, number):
        raise RegistryError(
            f"{by} asked for the run that version {number} came of, and `gates.self_approval` is false",
            expected="somebody else to approve it",
        )


def asked_by(entries: Sequence[Entry], version: int) -> str | None:
    """Who asked for the run that a version came of; None where an alarm or a schedule did."""
    known = {entry.number: entry for entry in entries}
    entry = registration(entries, version)
    while entry is not None:
        if entry.kind == "request":
            return str(entry.facts.get("by"))
        entry = known.get(entry.cause) if entry.cause is not None and entry.cause < entry.number else None
    return None


def refusal(loop: Loop, entries: Sequence[Entry], version: ModelVersion) -> str:
    """Why a version may not go live, in words; empty where it may."""
    said = decision(loop, entries, version.number)
    if version.archived:
        return f"version {version.number} of {loop.name} is archived"
    if said.state == REJECTED:
        assert said.last is not None
        return f"version {version.number} of {loop.name} was rejected by {said.last.facts['by']}"
    # Of a version that the ledger does not know, as after a move, the registry's word is enough where nobody is asked.
    if said.state == WAITING or not version.approved:
        needed = rules(loop, entries, version.number).approvals
        given = f": {len(said.approved_by)} of {needed} did" if said.approved_by else ""
        return f"version {version.number} of {loop.name} is not approved{given}"
    return ""


def require(loop: Loop, entries: Sequence[Entry], version: ModelVersion, shown: str) -> None:
    """Raise RolloutError where a version may not go live; `shown` is the loop's folder as one would type it.

    Raises BundleError where the registry has another model for it than was registered.
    """
    unchanged(entries, version)
    if why := refusal(loop, entries, version):
        waits = decision(loop, entries, version.number).state == WAITING and not version.archived
        raise RolloutError(
            why,
            expected="an approved version, as `gates.approval` is `required`" if waits else "another version",
            do=f'approve it with `loopwright approve {shown} {version.number} --reason "..."`' if waits else "",
        )


def unchanged(entries: Sequence[Entry], version: ModelVersion) -> None:
    """Hold the registry's digest, a tag that whoever may write there may change, against the ledger's.

    Raises BundleError where they differ; of a version that the ledger does not know there is nothing to compare.
    """
    entry = registration(entries, version.number)
    digest = version.digest if entry is None else entry.facts.get("digest", version.digest)
    if digest != version.digest:
        raise BundleError(
            f"the registry has the digest {version.digest[:12]} of version {version.number}",
            expected=f"{digest[:12]}, as the ledger has it",
            do="restore the tag loopwright.digest and compare the model with a backup",
        )


def _since(entries: Sequence[Entry], version: int) -> Sequence[Entry]:
    """The entries after the registration of a version: earlier words on the number are of another one."""
    newest = registration(entries, version)
    if newest is None:
        return entries
    # A step that was tried again may have registered it twice.
    run = newest.facts.get("run")
    same = [one for one in entries if run and _is(one, "registered", version) and one.facts.get("run") == run]
    first = same[0] if same else newest
    return [one for one in entries if one.number > first.number]


def _is(entry: Entry, kind: str, version: int) -> bool:
    return entry.kind == kind and bool(entry.facts.get("version") == version)
