"""All that a card, a data sheet and a dossier are made of, gathered once from registry, ledger, bundle and snapshot."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loopwright.errors import RegistryError
from loopwright.governance import approvals, lineage
from loopwright.governance.approvals import Decision
from loopwright.governance.lineage import Lineage
from loopwright.ledger import Entry, Ledger
from loopwright.loop import Loop
from loopwright.registry import ModelVersion, Registry
from loopwright.settings import Settings


@dataclass(frozen=True)
class Column:
    """What a column of the snapshot holds: counts and a range, or the declared categories; no single row."""

    name: str
    kind: str
    missing: int
    distinct: int
    values: str


@dataclass(frozen=True)
class Answers:
    """The facts about one version."""

    loop: Loop
    """The declaration of today: what people say in `card` is theirs to improve."""
    made_by: Loop
    """The declaration that the version was trained by; today's where that was not recorded."""
    lineage: Lineage
    evaluation: Mapping[str, Any]
    attributions: Mapping[str, Any] | None
    decision: Decision
    entries: Sequence[Entry]
    """The loop's ledger entries."""
    columns: Sequence[Column]
    """The snapshot's columns; empty where it is not here."""
    snapshot_state: str
    at: datetime

    @property
    def version(self) -> ModelVersion:
        """The version."""
        return self.lineage.version

    @property
    def about(self) -> str:
        """One line that says what a page is about and when it was written."""
        moment = f"{self.at:%Y-%m-%d %H:%M} UTC"
        return f"{self.loop.name} version {self.version.number}, model `{self.version.digest[:12]}`; written {moment}."


def gather(loop: Loop, registry: Registry, ledger: Ledger, settings: Settings, version: ModelVersion) -> Answers:
    """Read it all. What is not to be had is left empty, and the pages say so."""
    entries = ledger.entries(loop.name)
    found = lineage.of(loop.name, registry, ledger, version)
    made_by = found.declared or loop
    state = lineage.stored(settings, found.snapshot) if found.snapshot else "not recorded"
    judged = dict(found.facts("judged"))
    # Without the registry's the ledger has the metrics and the gates, and no curves.
    with suppress(RegistryError):
        judged |= registry.evaluation(loop.name, version.number)
    return Answers(
        loop,
        made_by,
        found,
        judged,
        found.attributions,
        approvals.decision(loop, entries, version.number),
        entries,
        _columns(made_by, settings, found.snapshot) if state == "here" else (),
        state,
        datetime.now(UTC),
    )


def _columns(loop: Loop, settings: Settings, snapshot: str) -> list[Column]:
    import pandas as pd

    frame = pd.read_parquet(settings.snapshots / f"{snapshot}.parquet")
    return [_column(loop, str(name), frame[name]) for name in frame.columns]


def _column(loop: Loop, name: str, values: Any) -> Column:
    import pandas as pd

    declared = loop.data.contract.get(name)
    missing = int(values.isna().sum())
    distinct = int(values.nunique())
    kind = declared.kind if declared is not None else "not declared"
    if name == loop.data.label.column and loop.model.task == "classification":
        counts = values.astype("string").value_counts()
        return Column(name, "label", missing, distinct, ", ".join(f"{one} {share:,}" for one, share in counts.items()))
    if declared is not None and declared.numeric and declared.kind != "boolean":
        numbers = pd.to_numeric(values, errors="coerce")
        low, middle, high = (numbers.quantile(share) for share in (0, 0.5, 1))
        return Column(name, kind, missing, distinct, f"{low:g} to {high:g}, half below {middle:g}")
    if declared is not None and (declared.values is not None or declared.kind == "boolean"):
        counts = values.astype("string").value_counts(normalize=True).head(8)
        return Column(name, kind, missing, distinct, ", ".join(f"{one} {share:.1%}" for one, share in counts.items()))
    # A name or an identifier could be anybody's: only how many there are.
    return Column(name, "entity" if name == loop.data.entity else kind, missing, distinct, "")
