"""The work of a repetition, in whatever environment it is asked to run: this process, or one of the recorded packages.

    asked: declaration, feature code, snapshot, seed, threads -> validate -> split -> train -> compared -> Replayed

It needs neither ledger nor registry, whose databases another release of MLflow or SQLAlchemy may not read. As a process
(`python -m loopwright.governance.again asked.json told.json`) it is asked and answers in files: the Python and the
packages of a replay in the recorded environment are others than those of who asks for it.
"""

import json
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from loopwright import __version__, environment
from loopwright.errors import LoopwrightError, RecordError
from loopwright.loop import Loop
from loopwright.models.bundle import CALIBRATION, LIGHTGBM, SKOPS, Bundle
from loopwright.models.features import FILE as FEATURES

IDENTICAL, EQUAL, DIFFERENT = "identical", "equal", "different"
_PREDICTS = frozenset({LIGHTGBM, SKOPS, CALIBRATION, FEATURES})
"""Files of a bundle that a prediction is made with; the manifest has every file's digest, and says nothing besides."""
NEAR = 1e-9
"""Predictions that differ by no more than this, relative to the largest, are taken for equal: sums in another order."""


@dataclass(frozen=True)
class Asked:
    """What a repetition needs, as JSON has it."""

    version: int
    loop: dict[str, Any]
    """The declaration as it was."""
    features: str
    """The feature code's source; empty for none."""
    threads: int
    search: dict[str, Any] | None
    """What the search found, where one was declared: one that a timeout ended would end elsewhere now."""
    snapshot: str
    """The Parquet file of the snapshot, verified."""
    registered: str
    """The folder of the registered bundle."""
    digest: str
    environment: dict[str, Any]
    """The recorded one."""
    metrics: dict[str, float]
    """As the version was judged by them."""
    keep: str
    """A folder for the bundle that comes of it; empty for none."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """What `asdict` gave, after a way through JSON. Raises RecordError for another release's."""
        names = {one.name for one in fields(cls)}
        if names != given.keys():
            raise RecordError(
                f"Loopwright {__version__} is asked for a repetition in another release's words",
                expected=f"{', '.join(sorted(names))}",
                do="replay it with `--here`",
            )
        return cls(**given)


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
    """What is different in the environment that it was repeated in."""
    place: str = "here"
    """`here`: in the process of who asked. `recorded`: in one with the packages and the code of the record."""
    notes: tuple[str, ...] = ()
    """What could not be had as it was recorded, in sentences."""

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """What `to_dict` gave, after a way through JSON."""
        metrics = {name: (float(was), float(now)) for name, (was, now) in told["metrics"].items()}
        lists = {name: tuple(told[name]) for name in ("files", "environment", "notes")}
        return cls(**{**told, **lists, "metrics": metrics})


def repeat(asked: Asked) -> Replayed:
    """Make the version again, and compare. Raises BundleError where the registered bundle is another by now."""
    from loopwright.models import bundle as bundles

    declared, before = Loop.model_validate(asked.loop), bundles.read(Path(asked.registered), asked.digest)
    with tempfile.TemporaryDirectory(prefix="loopwright-replay-") as name:
        folder = Path(name)
        model = Path(asked.keep) if asked.keep else folder / "model"
        holdout = _made(declared, asked, folder, model)
        after = bundles.read(model)
        names = {*before.contents, *after.contents}
        files = tuple(sorted(one for one in names if before.contents.get(one) != after.contents.get(one)))
        rows, greatest, scale = _apart(before, after, declared, holdout)
        found = outcome(files, greatest, scale)
        metrics = {} if found == IDENTICAL else _metrics(declared, asked, after, holdout)
    return Replayed(
        version=asked.version,
        outcome=found,
        digest=after.digest,
        registered_digest=before.digest,
        files=files,
        rows=rows,
        greatest=greatest,
        metrics=metrics,
        environment=tuple(environment.differences(asked.environment, environment.read())),
    )


def _made(declared: Loop, asked: Asked, folder: Path, model: Path) -> Path:
    """Train again into the folder `model`; returns the file of the held-out rows."""
    from loopwright.steps.split import split
    from loopwright.steps.train import train
    from loopwright.steps.validate import validate

    valid, training, holdout = folder / "valid.parquet", folder / "training.parquet", folder / "holdout.parquet"
    validate(declared, Path(asked.snapshot), valid, folder / "set_aside.parquet", folder / "report.json")
    split(declared, valid, training, holdout)
    train(declared, asked.features, training, holdout, model, threads=asked.threads, found=asked.search, beside=True)
    return holdout


def outcome(files: Collection[str], greatest: float, scale: float) -> str:
    """What came of it, by the files that differ and by how far predictions are apart."""
    if not _PREDICTS & set(files) and greatest == 0:
        return IDENTICAL
    return EQUAL if greatest <= NEAR * scale else DIFFERENT


def _apart(before: Bundle, after: Bundle, declared: Loop, holdout: Path) -> tuple[int, float, float]:
    """Rows, the greatest difference of two predictions on them, and the largest prediction."""
    import pandas as pd

    from loopwright.models.columns import from_frame
    from loopwright.models.model import Model

    frame = pd.read_parquet(holdout)[list(declared.inputs)]
    one, two = (Model(bundle).predict(from_frame(bundle.manifest.inputs, frame)) for bundle in (before, after))
    return len(frame), float(np.max(np.abs(one - two))), float(max(1.0, np.max(np.abs(one))))


def _metrics(declared: Loop, asked: Asked, after: Bundle, holdout: Path) -> dict[str, tuple[float, float]]:
    """The metrics that are not as they were judged."""
    import pandas as pd

    from loopwright.models.columns import from_frame
    from loopwright.models.model import Model
    from loopwright.steps.evaluate import target
    from loopwright.steps.evidence import Comparison, Judged, finite

    frame = pd.read_parquet(holdout)
    predicted = Model(after).predict(from_frame(after.manifest.inputs, frame[list(declared.inputs)]))
    judged = Judged(target(declared, frame, after.manifest.classes), predicted, None)
    now = finite(Comparison(declared, judged).values[0])
    return {name: (was, now[name]) for name, was in asked.metrics.items() if name in now and now[name] != was}


def main(arguments: list[str]) -> int:
    """Read what is asked, write what came of it; an error that a user can meet is written as its parts."""
    asked, told = map(Path, arguments)
    try:
        found = repeat(Asked.of(json.loads(asked.read_text(encoding="utf-8")))).to_dict()
    except LoopwrightError as error:
        parts = {"found": error.found, "expected": error.expected, "do": error.do, "exit_code": error.exit_code}
        found = {"error": parts}
    told.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
