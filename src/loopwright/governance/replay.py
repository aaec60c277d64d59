"""A version made again: the recorded snapshot, declaration, feature code, seed and threads, and what came of them.

    snapshot -> validate -> split -> train -> another bundle, held against the registered one, file by file

LightGBM on the same rows gives the same bytes again (`deterministic`, a fixed seed, a number of threads), and so does
scikit-learn in the same environment. Where the bytes differ, the predictions on the held-out rows and the metrics say
how far apart the two models are, and the environment's differences say what may be the reason.
"""

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loopwright import environment
from loopwright.errors import BundleError, DataError, RegistryError
from loopwright.governance.lineage import Lineage
from loopwright.loop import Loop
from loopwright.models.bundle import CALIBRATION, LIGHTGBM, SKOPS
from loopwright.models.features import FILE as FEATURES
from loopwright.registry import Registry

IDENTICAL, EQUAL, DIFFERENT = "identical", "equal", "different"
_PREDICTS = frozenset({LIGHTGBM, SKOPS, CALIBRATION, FEATURES})
"""Files of a bundle that a prediction is made with; the manifest has every file's digest, and says nothing besides."""
NEAR = 1e-9
"""Predictions that differ by no more than this, relative to the largest, are taken for equal: sums in another order."""


@dataclass(frozen=True)
class Replayed:
    """What came of a repetition."""

    version: int
    outcome: str
    """`identical`: what predicts has the same bytes. `equal`: its predictions are. `different`: they are not."""
    digest: str
    registered_digest: str
    files: tuple[str, ...]
    """The bundle's files that have other bytes; `origin.json` where the environment is another."""
    rows: int
    """Held-out rows that both models were asked about."""
    greatest: float
    """The greatest difference of two predictions, in the prediction's unit; 0 for the same bytes."""
    metrics: Mapping[str, tuple[float, float]]
    """Metrics that differ: (registered, now)."""
    environment: tuple[str, ...]
    """What is different in this environment."""

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return asdict(self)


def replay(found: Lineage, snapshot: Path, registry: Registry, keep: Path | None = None) -> Replayed:
    """Make a version again from the Parquet file of its snapshot, and compare; `keep` is a folder for the new bundle.

    Raises RegistryError where the version's record does not suffice, BundleError where the registered bundle is not
    what was registered, and DataError where the snapshot is not what its name says.
    """
    from loopwright.data import snapshots
    from loopwright.models import bundle as bundles

    declared, before = _declared(found), found.bundle
    assert before is not None
    assert found.origin is not None
    snapshots.verify(snapshot, set(filter(None, [found.facts("snapshot").get("file_sha256")])))
    with tempfile.TemporaryDirectory(prefix="loopwright-replay-") as name:
        folder = Path(name)
        model = keep if keep is not None else folder / "model"
        holdout = _made(declared, found, snapshot, folder, model)
        after = bundles.read(model)
        files = tuple(sorted(one for one in {*before.contents, *after.contents} if _differs(before, after, one)))
        rows, greatest, scale = _apart(before, after, declared, holdout)
        outcome = _outcome(files, greatest, scale)
        metrics = {} if outcome == IDENTICAL else _metrics(declared, found, registry, model, holdout)
    return Replayed(
        version=found.version.number,
        outcome=outcome,
        digest=after.digest,
        registered_digest=before.digest,
        files=files,
        rows=rows,
        greatest=greatest,
        metrics=metrics,
        environment=tuple(environment.differences(found.origin["environment"], environment.read())),
    )


def snapshot_file(state: Path, snapshot: str, place: str | None, folder: Path) -> Path:
    """The Parquet file of a snapshot: in the state folder, else copied from `place`, a folder or a bucket's URL.

    Raises DataError where it is in neither.
    """
    name = f"{snapshot}.parquet"
    if (state / name).exists():
        return state / name
    if place is not None and "://" not in place and (Path(place) / name).exists():
        return Path(place) / name
    if place is not None and "://" in place:
        from obstore.exceptions import BaseError

        from loopwright import buckets

        try:
            with (folder / name).open("wb") as stream:
                for chunk in buckets.connect(place).get(name):
                    stream.write(chunk)
            return folder / name
        except (BaseError, OSError, ValueError) as error:
            why = str(error).splitlines()[0][:200]
            raise DataError(f"{name} cannot be read from {place}: {why}", do="see the bucket") from error
    raise DataError(
        f"the snapshot {snapshot[:12] or 'that was not recorded'} is not in {place or state}",
        expected="the Parquet file that the run took",
        do="name the folder or the bucket that has it with --snapshots",
    )


def _declared(found: Lineage) -> Loop:
    if found.problem:
        raise BundleError(found.problem)
    if found.declared is None:
        raise RegistryError(
            f"version {found.version.number} of {found.loop} has no record of its training that this release can use",
            expected="a bundle with origin.json, which every version has that is registered now",
            do="train a new version; for an older release's, install that release and replay it there",
        )
    return found.declared


def _made(declared: Loop, found: Lineage, snapshot: Path, folder: Path, model: Path) -> Path:
    """Train again into the folder `model`; returns the file of the held-out rows."""
    from loopwright.steps.split import split
    from loopwright.steps.train import train
    from loopwright.steps.validate import validate

    assert found.origin is not None
    valid, training, holdout = folder / "valid.parquet", folder / "training.parquet", folder / "holdout.parquet"
    validate(declared, snapshot, valid, folder / "set_aside.parquet", folder / "report.json")
    split(declared, valid, training, holdout)
    # A search that a timeout ended would end elsewhere now: what it found is recorded.
    searched = found.facts("trained").get("search") if declared.model.search is not None else None
    threads = int(found.origin["threads"])
    train(declared, found.features.decode(), training, holdout, model, threads=threads, found=searched)
    return holdout


def _outcome(files: Collection[str], greatest: float, scale: float) -> str:
    """What came of it, by the files that differ and by how far predictions are apart."""
    if not _PREDICTS & set(files) and greatest == 0:
        return IDENTICAL
    return EQUAL if greatest <= NEAR * scale else DIFFERENT


def _differs(before: Any, after: Any, name: str) -> bool:
    return bool(before.contents.get(name) != after.contents.get(name))


def _apart(before: Any, after: Any, declared: Loop, holdout: Path) -> tuple[int, float, float]:
    """Rows, the greatest difference of two predictions on them, and the largest prediction."""
    import pandas as pd

    from loopwright.models.columns import from_frame
    from loopwright.models.model import Model

    frame = pd.read_parquet(holdout)[list(declared.inputs)]
    one, two = (Model(bundle).predict(from_frame(bundle.manifest.inputs, frame)) for bundle in (before, after))
    return len(frame), float(np.max(np.abs(one - two))), float(max(1.0, np.max(np.abs(one))))


def _metrics(
    declared: Loop, found: Lineage, registry: Registry, model: Path, holdout: Path
) -> dict[str, tuple[float, float]]:
    """The metrics that are not as they were judged."""
    from loopwright.steps.evaluate import evaluate

    was = found.facts("judged").get("metrics") or registry.evaluation(found.loop, found.version.number)["metrics"]
    now = evaluate(declared, registry, model, holdout)["metrics"]
    return {name: (value, now[name]) for name, value in was.items() if name in now and now[name] != value}
