"""`python -m bench.scale`: what each part costs as data, features, loops and requests grow; writes docs/scale.md.

Interrupted, the same command goes on where it stopped. CPU time is compared, not time on the clock.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.kept import Kept
from bench.scale import report, rows, stores
from bench.serving.report import machine

ROOT = Path(__file__).resolve().parents[2]
SERVING = ROOT / "bench" / "serving" / "result.json"
STEPS = ("snapshot", "validate", "split", "train", "evaluate")
# (features, versions), (rows, features), (entries, loops), loops; what follows is measured to see that it works.
MONITORS = [(5, 2), (20, 2), (100, 2), (500, 2), (20, 1), (20, 4)]
TABLES = [(10_000, 20), (100_000, 20), (1_000_000, 20), (20_000, 20), (20_000, 100), (20_000, 400)]
LEDGERS = [(400, 1), (2_000, 1), (2_000, 25)]
SCRAPED = [10, 100]
QUICK = MONITORS[:2], [(1_000, 5), (2_000, 5)], [(80, 1), (160, 2)], list[int]()


def main(arguments: list[str] | None = None) -> int:
    """Measure what is not known yet, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, without Prometheus: whether it works")
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run has found")
    parser.add_argument("--write-only", action="store_true", help="write the page of the last result")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "scale", help="data, ledgers, logs")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "scale" / "result.json", help="the numbers")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "scale.md", help="where the tables go")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.write_only:
        result = json.loads(options.json.read_text())
    else:
        kept = Kept(options.work / "found.json", fresh=options.fresh)
        sizes = QUICK if options.quick else (MONITORS, TABLES, LEDGERS, SCRAPED)
        result = measure(options.work, kept, *sizes)
        kept.done()
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    report.write(result, json.loads(SERVING.read_text()), options.docs)
    return 0


def measure(
    work: Path,
    kept: Kept,
    monitors: list[tuple[int, int]],
    tables: list[tuple[int, int]],
    ledgers: list[tuple[int, int]],
    scraped: list[int],
) -> dict[str, Any]:
    """Every part at every size, each kept as soon as it is there."""
    page = work / "page.txt"
    return {
        "machine": machine(),
        "monitors": [
            kept.get(f"monitor, {features} features, {versions} versions", lambda f=features, v=versions: {
                "features": f, "versions": v,
                **_part("monitor", f, v, *([page] if (f, v) == (20, 2) else [])),
            })
            for features, versions in monitors
        ],
        "steps": [
            kept.get(f"pipeline, {count} rows, {features} features", lambda n=count, f=features: _pipeline(work, n, f))
            for count, features in tables
        ],
        "ledgers": [
            kept.get(f"ledger, {entries} entries, {loops} loops", lambda e=entries, n=loops: _ledger(work, e, n))
            for entries, loops in ledgers
        ],
        "trigger": kept.get("trigger", lambda: stores.trigger(work / "trigger")),
        "prometheus": [
            kept.get(f"prometheus, {loops} loops", lambda n=loops: _prometheus(n, page, work)) for loops in scraped
        ],
    }  # fmt: skip


def _part(*arguments: Any) -> dict[str, float]:
    """One part in a process of its own."""
    command = [sys.executable, "-m", "bench.scale.parts", *map(str, arguments)]
    answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def _pipeline(work: Path, number: int, features: int) -> dict[str, Any]:
    folder = work / f"rows-{number}-{features}"
    folder.mkdir(exist_ok=True)
    rows.loop(features, folder)
    rows.frame(number, features).to_parquet(folder / "rows.parquet")
    model = folder / "model"
    if model.exists():
        for file in model.iterdir():
            file.unlink()
    return {
        "rows": number,
        "features": features,
        "steps": {name: _part("step", name, folder, features) for name in STEPS},
    }


def _ledger(work: Path, entries: int, loops: int) -> dict[str, Any]:
    file = work / f"ledger-{entries}-{loops}.db"
    file.unlink(missing_ok=True)
    found = _part("ledger", entries, loops, f"sqlite:///{file}")
    return {"entries": entries, "loops": loops, **found, "kb": file.stat().st_size / entries / 1e3}


def _prometheus(loops: int, page: Path, work: Path) -> dict[str, Any] | None:
    if not page.exists():
        _part("monitor", 20, 2, page)
    found = stores.prometheus(loops, page.read_text(), work / "prometheus")
    return None if found is None else {"loops": loops, **found}


if __name__ == "__main__":
    sys.exit(main())
