"""`python -m bench.scale.workers`: the memory of split, training and evaluation, with `scale: dask` and without it.

Each step runs in a process of its own, in turn without workers and with them on the same rows. Memory is the greatest
that a process had resident, all that it imports included (VmHWM); of workers it is the largest one's, looked at every
50 ms while they live. Nothing is timed here. Writes a section of docs/scale.md.
"""

import argparse
import json
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import sections
from bench.scale import rows
from bench.scale.parts import peak

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("split", "train", "evaluate")
SIZES, QUICK = ((100_000, 20), (400_000, 20)), ((2_000, 5),)
WORKERS = 2


def main(arguments: list[str] | None = None) -> int:
    """Measure each size, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale.workers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small size: whether it works")
    parser.add_argument("--write-only", action="store_true", help="write the page of the last result")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "workers", help="data and models")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "scale" / "workers.json", help="the numbers")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "scale.md", help="where the table goes")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "FOLDER", "WORKERS"), help="one step in this process")
    options = parser.parse_args(arguments)
    if options.step:
        name, folder, workers = options.step
        print(json.dumps(step(name, Path(folder), int(workers))))
        return 0
    if options.write_only:
        found = json.loads(options.json.read_text())
    else:
        found = [measure(options.work, *size) for size in (QUICK if options.quick else SIZES)]
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    sections.put(options.docs, "workers", body(found), title="Scale")
    return 0


def measure(work: Path, number: int, features: int) -> dict[str, Any]:
    """The steps on so many rows, without workers and with them."""
    from loopwright.steps.validate import validate

    folder = work / f"{number}-{features}"
    folder.mkdir(parents=True, exist_ok=True)
    loop = rows.loop(features)
    # In snapshots rows stand in the order of their hashes, which is none; so do these.
    rows.frame(number, features).to_parquet(folder / "rows.parquet", row_group_size=100_000)
    validate(loop, folder / "rows.parquet", folder / "valid.parquet", folder / "aside.parquet", folder / "report.json")
    told: dict[str, Any] = {"rows": number, "features": features}
    for workers in (0, WORKERS):
        for name in STEPS:
            command = [sys.executable, "-m", "bench.scale.workers", "--step", name, str(folder), str(workers)]
            answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
            told[f"{name}, {workers}"] = json.loads(answer.stdout.splitlines()[-1])
    return told


def step(name: str, folder: Path, workers: int) -> dict[str, Any]:
    """One step here, with so many workers, or 0 without any: peaks in MB, and the metrics of an evaluation."""
    import shutil

    from loopwright import settings
    from loopwright.loop import Loop
    from loopwright.registry import Registry
    from loopwright.steps.evaluate import evaluate
    from loopwright.steps.split import split
    from loopwright.steps.train import train

    loop = rows.loop(len(_inputs(folder)))
    if workers:
        loop = Loop.model_validate({**loop.model_dump(mode="json"), "scale": {"workers": workers}})
    training, holdout, model = folder / "training", folder / "holdout", folder / f"model-{workers}"
    with _Children() as children:
        if name == "split":
            split(loop, folder / "valid.parquet", training, holdout)
            found: dict[str, Any] = {}
        elif name == "train":
            shutil.rmtree(model, ignore_errors=True)
            train(loop, "", training, holdout, model)
            found = {}
        else:
            found = {"metrics": evaluate(loop, Registry(settings.read(folder)), model, holdout)["metrics"]}
    return {**found, "peak_mb": peak(), "worker_mb": children.peak}


def _inputs(folder: Path) -> list[str]:
    import pyarrow.parquet as pq

    return [name for name in pq.read_schema(folder / "valid.parquet").names if name not in ("id", "label")]


class _Children:
    """Watches the processes that this one starts; `peak` is the most that one of them had resident, in MB."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "_Children":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        while not self._ended.wait(0.05):
            for child in psutil.Process().children(recursive=True):
                with suppress(OSError, psutil.Error):
                    status = Path(f"/proc/{child.pid}/status").read_text()
                    found = re.search(r"VmHWM:\s+(\d+) kB", status)
                    self.peak = max(self.peak, int(found[1]) * 1024 / 1e6 if found else 0.0)


def body(found: Sequence[dict[str, Any]]) -> str:
    """The section: a table, and how far the two models' metrics are apart."""
    lines = [
        f"`python -m bench.scale.workers`: the greatest resident memory of a process in MB, {WORKERS} workers.",
        "",
        "| rows | features | split | train, alone | train, the step's process | each worker | evaluate, alone | "
        "evaluate, the step's process | each worker |",
        "| ---: " * 9 + "|",
    ]
    for one in found:
        alone, shared = ([one[f"{name}, {workers}"] for name in STEPS] for workers in (0, WORKERS))
        cells = [
            f"{one['rows']:,}", one["features"], alone[0]["peak_mb"], alone[1]["peak_mb"], shared[1]["peak_mb"],
            shared[1]["worker_mb"], alone[2]["peak_mb"], shared[2]["peak_mb"], shared[2]["worker_mb"],
        ]  # fmt: skip
        lines.append(
            "| " + " | ".join(f"{cell:,.0f}" if isinstance(cell, float) else f"{cell}" for cell in cells) + " |"
        )
    largest = found[-1]
    metrics = [largest[f"evaluate, {workers}"]["metrics"] for workers in (0, WORKERS)]
    apart = ", ".join(f"{name} {metrics[0][name]:.4f} and {metrics[1][name]:.4f}" for name in ("roc_auc", "log_loss"))
    return "\n".join([*lines, "", f"The models of {largest['rows']:,} rows, alone and of {WORKERS} workers: {apart}."])


if __name__ == "__main__":
    sys.exit(main())
