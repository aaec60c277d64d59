"""Whether what the ledger names is still what it was: the snapshots byte by byte, the models by their digests.

The ledger's chain says that its entries are as they were written (`Ledger.verify`), and they carry the SHA-256 of the
rest, so what is checked here is held against the ledger and not against a name or a tag that somebody may change.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import RegistryError
from loopwright.governance.approvals import unchanged
from loopwright.ledger import Entry
from loopwright.registry import Registry

# What MLflow's stores say of files that are not there; any other answer is of a store that is away.
_GONE = re.compile(r"(?i)no such (file|key)|nosuchkey|not found|\b404\b|does not exist|RESOURCE_DOES_NOT_EXIST")


@dataclass(frozen=True)
class Checked:
    """How many there are of those that the ledger names; what was deleted or lies elsewhere is no error."""

    there: int
    named: int


def snapshots(entries: Sequence[Entry], store: Path) -> Checked:
    """Hold the snapshots in the folder `store` against the ledger. Raises DataError for the first that was changed."""
    from loopwright.data.snapshots import verify

    named: dict[str, set[str]] = {}
    for entry in entries:
        if entry.kind == "snapshot":
            named.setdefault(str(entry.facts["id"]), set()).update(filter(None, [entry.facts.get("file_sha256")]))
    there = 0
    for identity, known in named.items():
        path = store / f"{identity}.parquet"
        if path.exists():
            verify(path, known)
            there += 1
    return Checked(there, len(named))


def models(loop: str, entries: Sequence[Entry], registry: Registry) -> Checked:
    """Hold the registered bundles against the ledger. Raises BundleError for the first that was changed, and
    RegistryError where they cannot be read.

    The digest is the ledger's: that of the registry is a tag, which whoever may write there may change too.
    """
    from loopwright.models import bundle

    digests = {int(one.facts["version"]): str(one.facts["digest"]) for one in entries if one.kind == "registered"}
    if not digests:
        return Checked(0, 0)
    there = 0
    for version in registry.versions(loop):
        digest = digests.get(version.number)
        if digest is None:
            continue
        unchanged(entries, version)
        try:
            folder = registry.fetch(loop, version)
        except RegistryError as error:
            if not _GONE.search(error.found):
                raise
            continue  # deleted, as the models of old versions are
        bundle.read(folder, digest)
        there += 1
    return Checked(there, len(digests))
