"""`python -m bench.estimates`: estimates of performance without labels, held against the labels, beside NannyML."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench import sections, venvs
from bench.estimates import ours, traffic

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BEGIN, END = sections.marks("estimates")


def main(arguments: list[str] | None = None) -> int:
    """Run everything and write the numbers and the table; the exit code is 1 when the peer could not be had."""
    parser = argparse.ArgumentParser(prog="python -m bench.estimates", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed and small chunks, to try it")
    parser.add_argument("--without-peers", action="store_true", help="do not install and run NannyML")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "estimates")
    parser.add_argument("--json", type=Path, default=HERE / "result.json")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args(arguments)
    size = {"rows": 2000, "chunks": 3, "chunk": 500} if options.quick else {"rows": 10_000, "chunks": 10, "chunk": 1000}
    try:
        result = run(range(1 if options.quick else 5), size, options.work, peers=not options.without_peers)
    except venvs.PeerError as error:
        # The page compares with NannyML; without its numbers what it says would stand on nothing.
        print(f"{error}; nothing was written, and --without-peers measures without it", file=sys.stderr)
        return 1
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    write(result, options.docs)
    print(f"written: {options.json.name}, {options.docs.name}")
    return 0


def run(seeds: range, size: dict[str, int], work: Path, *, peers: bool) -> dict[str, Any]:
    """The mean absolute error of each estimate against the labels of its chunk, a task, scenario and metric.

    Raises PeerError.
    """
    folder = work / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    estimates: dict[str, dict[str, Any]] = {}
    for task, names in ours.METRICS.items():
        for scenario in traffic.SCENARIOS:
            for seed in seeds:
                case, key = traffic.case(task, scenario, seed, **size), f"{task}-{scenario}-{seed}"
                began = time.perf_counter()
                own = ours.estimate(case)
                seconds = time.perf_counter() - began
                estimates[key] = {
                    "realised": ours.realised(case), "unchanged": ours.unchanged(case), "loopwright": own,
                    "seconds": {"loopwright": seconds},
                }  # fmt: skip
                if task == "regression":
                    estimates[key]["losses"] = ours.by_losses(case)
                description = {"task": task, "metrics": names, "chunk": size["chunk"], "features": traffic.FEATURES}
                (folder / f"{key}.json").write_text(json.dumps(description))
                case.reference.to_csv(folder / f"{key}.reference.csv", index=False)
                case.live.drop(columns="chunk").to_csv(folder / f"{key}.live.csv", index=False)
    version = _peer(work, folder, estimates) if peers else None
    return {"size": size, "seeds": len(seeds), "nannyml": version, "table": _table(estimates)}


def _peer(work: Path, folder: Path, estimates: dict[str, dict[str, Any]]) -> str:
    """Add NannyML's estimates, made in an environment of its own; its version."""
    python = venvs.python(work / "venv", HERE / "requirements" / "nannyml.txt")
    command = [str(python), str(HERE / "nannyml_runner.py"), str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise venvs.PeerError(f"NannyML ended with {answer.returncode}: {answer.stderr.strip()[-300:]}")
    told = json.loads(answer.stdout.splitlines()[-1])
    for key, found in told["cases"].items():
        estimates[key]["nannyml"] = found["values"]
        estimates[key]["seconds"]["nannyml"] = found["seconds"]
    return str(told["version"])


def _table(estimates: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for task, names in ours.METRICS.items():
        for scenario in traffic.SCENARIOS:
            cases = [found for key, found in estimates.items() if key.startswith(f"{task}-{scenario}-")]
            for name in names:
                row: dict[str, Any] = {"task": task, "scenario": scenario, "metric": name}
                row["realised"] = float(np.mean([one["realised"][name] for one in cases]))
                for who in ("unchanged", "loopwright", "losses", "nannyml"):
                    if all(who in one for one in cases):
                        apart = [np.subtract(one[who][name], one["realised"][name]) for one in cases]
                        row[who] = float(np.mean(np.abs(apart)))
                rows.append(row)
    return rows


def write(result: dict[str, Any], page: Path) -> None:
    """Put the table between its markers."""
    size, shown = result["size"], lambda value: "-" if value is None else f"{value:.4f}"
    lines = [
        f"{result['seeds']} models a row, each with {size['chunks']} chunks of {size['chunk']:,} predictions and "
        f"{size['rows']:,} held-out rows; NannyML {result['nannyml'] or 'not run'} with its defaults. Numbers are "
        "mean absolute differences from what the chunk's labels said (`realised` is its mean); `unchanged` believes "
        "the held-out rows.",
        "",
        "| task | live traffic | metric | realised | unchanged | Loopwright, counters | Loopwright, models of error "
        "| NannyML |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["table"]:
        cells = [shown(row.get(name)) for name in ("realised", "unchanged", "loopwright", "losses", "nannyml")]
        lines.append(f"| {row['task']} | {row['scenario']} | `{row['metric']}` | {' | '.join(cells)} |")
    sections.put(page, "estimates", "\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
