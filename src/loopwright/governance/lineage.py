"""Where a version comes from, and what came of a snapshot: the ledger's entries put together, from both ends.

    version -> registered -> judged -> trained -> split -> validated -> snapshot -> run -> decision -> alarm
                                                                                    |
                                                                     code: revision and patch

What the ledger has by its chain is told from it; the bundle adds the declaration and the environment of the training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loopwright.errors import BundleError, DataError, RegistryError
from loopwright.ledger import Entry, Ledger
from loopwright.loop import Loop
from loopwright.models import bundle as bundles
from loopwright.models.bundle import ATTRIBUTIONS, ORIGIN, Bundle
from loopwright.models.features import FILE as FEATURES
from loopwright.registry import ModelVersion, Registry
from loopwright.revision import CODE
from loopwright.settings import Settings

_LATER = (
    "replayed",
    "approved",
    "rejected",
    "demoted",
    "archived",
    "rollout",
    "promoted",
    "rolled_back",
    "rollout_failed",
    "scored",
)


@dataclass(frozen=True)
class Lineage:
    """All that is recorded of how a version came about, and of what became of it."""

    loop: str
    version: ModelVersion
    causes: Sequence[Entry]
    """The chain that led to the registration, the first cause first; empty where the ledger does not have it."""
    code: Entry | None
    """The revision of the run; None where the run's folder was in no repository."""
    later: Sequence[Entry]
    """What was decided and done with the version, in its order."""
    bundle: Bundle | None
    """What was registered, verified; None where there is a `problem`."""
    problem: str = ""
    """Why the bundle could not be read; it is not what was registered, or not to be had."""

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The chain by kind; there is one entry a kind."""
        return {entry.kind: entry for entry in self.causes}

    @cached_property
    def origin(self) -> Mapping[str, Any] | None:
        """The bundle's `origin.json`; None of a version that was registered before there was one."""
        return self._json(ORIGIN)

    @cached_property
    def attributions(self) -> Mapping[str, Any] | None:
        """How much each input moved the predictions on the training rows; None where that was not computed."""
        return self._json(ATTRIBUTIONS)

    @property
    def features(self) -> bytes:
        """The feature code's source; empty for none."""
        return b"" if self.bundle is None else self.bundle.contents.get(FEATURES, b"")

    def _json(self, name: str) -> Mapping[str, Any] | None:
        if self.bundle is None or name not in self.bundle.contents:
            return None
        return dict(self.bundle.json(name))

    @cached_property
    def declared(self) -> Loop | None:
        """The declaration that the version was made by, where this release reads it."""
        if self.origin is None:
            return None
        try:
            return Loop.model_validate(self.origin["loop"])
        except ValueError:
            return None

    def facts(self, kind: str) -> Mapping[str, Any]:
        """The facts of the entry of a kind; empty where there is none."""
        entry = self.entries.get(kind)
        return {} if entry is None else entry.facts

    @property
    def snapshot(self) -> str:
        """The id of the snapshot, by the ledger, else by the registry."""
        return str(self.facts("snapshot").get("id") or self.version.tags.get("loopwright.snapshot", ""))

    def to_dict(self) -> dict[str, Any]:
        """The lineage as JSON."""
        version = self.version
        return {
            "loop": self.loop,
            "version": version.number,
            "aliases": list(version.aliases),
            "registered": version.created.isoformat(),
            "mlflow_run": version.run_id,
            "model": {"digest": version.digest, "problem": self.problem or None, **_chosen(self.origin)},
            "data": {
                **self.facts("snapshot"),
                "snapshot": self.snapshot,
                "contract": dict(self.facts("validated")),
                "split": dict(self.facts("split")),
            },
            "code": None if self.code is None else dict(self.code.facts),
            "environment": None if self.origin is None else dict(self.origin["environment"]),
            "judged": dict(self.facts("judged")),
            "causes": [_line(entry) for entry in self.causes],
            "later": [_line(entry) for entry in self.later],
        }


def of(loop: str, registry: Registry, ledger: Ledger, version: ModelVersion) -> Lineage:
    """The lineage of a version. A bundle that is not as it was registered is said to be so, and is not used."""
    entries = ledger.entries(loop)
    registered = _newest(entries, "registered", version.number)
    causes = _chain(entries, registered)
    run = next((entry for entry in causes if entry.kind == "run"), None)
    code = next((one for one in entries if one.kind == CODE and run is not None and one.cause == run.number), None)
    later = [one for one in entries if one.kind in _LATER and one.facts.get("version") == version.number]
    bundle, problem = _bundled(loop, registry, version, entries)
    return Lineage(loop, version, causes, code, later, bundle, problem)


def made_from(loop: str, entries: Sequence[Entry], versions: Sequence[ModelVersion], wanted: str) -> dict[str, Any]:
    """What was made from the snapshot whose id begins with `wanted`, as JSON: its runs, and what came of each.

    Raises DataError when no snapshot of the loop, or more than one, begins so.
    """
    taken = [entry for entry in entries if entry.kind == "snapshot" and str(entry.facts["id"]).startswith(wanted)]
    names = sorted({str(entry.facts["id"]) for entry in taken})
    if len(names) != 1 or not wanted:
        known = {str(entry.facts["id"])[:12]: None for entry in entries if entry.kind == "snapshot"}
        raise DataError(
            f"{len(names)} snapshots of {loop} begin with {wanted!r}",
            expected=f"one; the newest are {', '.join(list(known)[-5:]) or 'none yet'}",
            do="give more of its id",
        )
    numbered = {version.number: version for version in versions}
    runs: dict[str, dict[str, Any]] = {}
    for entry in taken:
        run = str(entry.facts.get("run", ""))
        runs[run] = {"run": run, "at": entry.at.isoformat(), "entry": entry.number, **_came_of(entries, run, numbered)}
    first = taken[0].facts
    return {
        "snapshot": names[0],
        "rows": first.get("rows"),
        "source": first.get("source"),
        "taken": taken[0].at.isoformat(),
        "runs": list(runs.values()),
    }


def _came_of(entries: Sequence[Entry], run: str, versions: Mapping[int, ModelVersion]) -> dict[str, Any]:
    ended = [
        one for one in entries if one.kind in ("judged", "registered", "run_ended") and one.facts.get("run") == run
    ]
    facts = {one.kind: one.facts for one in ended}
    number = facts.get("registered", {}).get("version")
    version = versions.get(number) if number is not None else None
    state = facts.get("run_ended", {}).get("state", "under way")
    return {
        "state": state,
        "passed": facts.get("judged", {}).get("passed"),
        "version": number,
        "aliases": [] if version is None else list(version.aliases),
        "promoted": number is not None and _newest(entries, "promoted", number) is not None,
    }


def _chain(entries: Sequence[Entry], last: Entry | None) -> list[Entry]:
    known = {entry.number: entry for entry in entries}
    chain: list[Entry] = []
    while last is not None:
        chain.append(last)
        # A cause is older than what it caused, so a forged cycle ends here.
        last = known.get(last.cause) if last.cause is not None and last.cause < last.number else None
    return chain[::-1]


def _newest(entries: Sequence[Entry], kind: str, version: int) -> Entry | None:
    return next((one for one in reversed(entries) if one.kind == kind and one.facts.get("version") == version), None)


def _bundled(
    loop: str, registry: Registry, version: ModelVersion, entries: Sequence[Entry]
) -> tuple[Bundle | None, str]:
    from loopwright.governance.approvals import unchanged

    try:
        unchanged(entries, version)
        return bundles.read(registry.fetch(loop, version), version.digest), ""
    except (BundleError, RegistryError) as error:
        return None, str(error)


def _chosen(origin: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if origin is None else {**origin["loop"]["model"], "threads": origin["threads"]}


def _line(entry: Entry) -> dict[str, Any]:
    from loopwright.report.facts import said

    return {"number": entry.number, "at": entry.at.isoformat(), "kind": entry.kind, "text": said(entry)}


def stored(settings: Settings, snapshot: str) -> str:
    """Whether a snapshot is on this machine and is what its id says: `here`, `not here`, or why it is not the same."""
    from loopwright.data import snapshots

    path = settings.snapshots / f"{snapshot}.parquet"
    if not path.exists():
        return "not here"
    try:
        snapshots.verify(path)
    except DataError as error:
        return str(error)
    return "here"
