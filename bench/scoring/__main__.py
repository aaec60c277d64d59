"""`python -m bench.scoring`: score the same rows by `loopwright score` and by mlflow.pyfunc, in turns, in one run."""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import sections
from bench.scoring.made import CATEGORIES, LEAVES, NUMBERS, TREES, Made, make

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = sections.marks("scoring")
PAIRED, PARALLEL = 4.0, 1.9
"""What issue 8 asks for: so many times mlflow.pyfunc on one core, and so many times one core on two."""
SMALL, LARGE = 1_000_000, 4_000_000
"""Two sizes, so that what begins and ends a job can be told from what each row costs."""


def main(arguments: list[str] | None = None) -> int:
    """Measure and write; the exit code is 1 when both did not give the same predictions."""
    parser = argparse.ArgumentParser(prog="python -m bench.scoring", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each, in turns (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="few rows and one round: whether it works")
    parser.add_argument("--write-only", action="store_true", help="write the page of the last result")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "scoring", help="model, rows, outputs")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "scoring" / "result.json", help="the numbers")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "scoring.md", help="where the table goes")
    options = parser.parse_args(arguments)
    if options.write_only:
        result = json.loads(options.json.read_text())
    else:
        small, large = (2_000, 8_000) if options.quick else (SMALL, LARGE)
        result = measured(options.work.resolve(), small, large, 1 if options.quick else options.rounds)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    sections.put(options.docs, "scoring", table(result))
    return 0 if result["same"] else 1


def measured(work: Path, small: int, large: int, rounds: int) -> dict[str, Any]:
    """All samples, in turns."""
    where = make(work, small)
    make(work, large)
    cores = sorted(os.sched_getaffinity(0))[:2]
    samples: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for who, rows, workers in (
            ("loopwright", small, 1), ("mlflow", small, 1), ("loopwright", large, 1), ("loopwright", small, 2),
            ("loopwright", large, 2),
        ):  # fmt: skip
            sample = _sample(where, who, rows, workers, cores[:workers])
            samples.setdefault(f"{who} {rows} {workers}", []).append(sample)
    same = _same(where, small)
    return {
        "rows": [small, large], "rounds": rounds, "same": same, "samples": samples, "cores": len(cores),
        "machine": _machine(), "at": time.strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in ("lightgbm", "mlflow", "numpy", "pandas", "pyarrow")},
    }  # fmt: skip


def _sample(where: Made, who: str, rows: int, workers: int, cores: list[int]) -> dict[str, float]:
    output = where.folder / f"out-{who}"
    shutil.rmtree(output, ignore_errors=True)
    made = subprocess.run(
        [
            sys.executable, "-m", "bench.scoring.runners", who, str(where.folder), str(rows), str(output),
            "--workers", str(workers),
        ],
        check=True, capture_output=True, text=True, cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, cores),
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    found: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    assert found["predictions"] == rows
    print(f"{found['cpu']:8.2f} s CPU {found['wall']:8.2f} s  {who} {rows:,} rows, {workers}", file=sys.stderr)
    return found


def _same(where: Made, rows: int) -> bool:
    """Whether both gave the same predictions for the same customers, to 1e-12."""
    import numpy as np
    import pyarrow.dataset as ds

    _sample(where, "loopwright", rows, 1, sorted(os.sched_getaffinity(0)))
    both = []
    for who in ("loopwright", "mlflow"):
        parts = (where.folder / f"out-{who}").glob("part-*.parquet")
        files = sorted(parts, key=lambda one: [int(number) for number in re.findall(r"\d+", one.name)])
        both.append(ds.dataset([str(one) for one in files]).to_table(["customer", "prediction"]))
    ours, theirs = both
    close = np.allclose(ours["prediction"].to_numpy(), theirs["prediction"].to_numpy(), rtol=0, atol=1e-12)
    return bool(close and ours["customer"].to_pylist() == theirs["customer"].to_pylist())


def table(result: dict[str, Any]) -> str:
    """The section of the page."""
    small, large = result["rows"]
    samples = result["samples"]
    ours, theirs = samples[f"loopwright {small} 1"], samples[f"mlflow {small} 1"]
    paired = [peer["cpu"] / own["cpu"] for own, peer in zip(ours, theirs, strict=True)]
    one = [_each(samples, small, large, 1, at) for at in range(result["rounds"])]
    two = [_each(samples, small, large, 2, at) for at in range(result["rounds"])]
    faster = [single / double for single, double in zip(one, two, strict=True)]
    lines = [
        "| | rows a second of CPU | peak memory | times mlflow.pyfunc |",
        "| --- | --- | --- | --- |",
        f"| `loopwright score`, one core | {_rate(small, ours)} | {_peak(ours)} | {_spread(paired)} |",
        f"| mlflow.pyfunc and pandas, one core | {_rate(small, theirs)} | {_peak(theirs)} | 1 |",
        "",
        "| target | measured | |",
        "| --- | --- | --- |",
        f"| at least {PAIRED:g} times mlflow.pyfunc and pandas on one core | {_spread(paired)} times "
        f"| {_met(paired, PAIRED)} |",
        f"| at least {PARALLEL:g} times one worker with two workers on two cores, each row | {_spread(faster)} times "
        f"| {_met(faster, PARALLEL)} |",
        "",
        f"`python -m bench.scoring`, {result['at']}: {result['machine']}. {small:,} rows of {NUMBERS} numbers and "
        f"{CATEGORIES} categories in Parquet; LightGBM, {TREES} trees of {LEAVES} leaves, the same in both. Each "
        "sample is a process of its own pinned to its cores; what is counted begins when the model is loaded and ends "
        f"with the last file. Ratios are of pairs in one run: the median of {result['rounds']}, the least and the "
        f"greatest. A row's time with one and with two workers is that of {large:,} rows less that of {small:,}, so "
        f"that starting the workers (about {_starting(samples, small, result['rounds']):.1f} s, once a job) is not in "
        "it. Ours holds each row against the contract and counts drift as well. Predictions were "
        + ("the same to 1e-12. " if result["same"] else "NOT the same. ")
        + ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        + ".",
    ]
    return "\n".join(lines)


def _each(samples: dict[str, Any], small: int, large: int, workers: int, at: int) -> float:
    """Seconds that a row takes, without what begins and ends a job."""
    more, less = (samples[f"loopwright {rows} {workers}"][at]["wall"] for rows in (large, small))
    return max(float(more - less), 1e-9) / (large - small)


def _starting(samples: dict[str, Any], small: int, rounds: int) -> float:
    """What two workers take longer than half of what one does."""
    pairs = [(samples[f"loopwright {small} {workers}"][at]["wall"] for workers in (2, 1)) for at in range(rounds)]
    return statistics.median(two - one / 2 for two, one in pairs)


def _rate(rows: int, found: list[dict[str, float]]) -> str:
    return f"{rows / statistics.median(one['cpu'] for one in found):,.0f}"


def _peak(found: list[dict[str, float]]) -> str:
    return f"{statistics.median(one['peak_mb'] for one in found):,.0f} MB"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _met(values: list[float], target: float) -> str:
    return "met" if statistics.median(values) >= target else "not met"


def _machine() -> str:
    text = Path("/proc/cpuinfo").read_text()
    names = re.findall(r"model name\s*: (.*)", text)
    return f"{os.cpu_count()} cores of {names[0] if names else 'an unknown processor'}"


if __name__ == "__main__":
    sys.exit(main())
