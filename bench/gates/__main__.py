"""`python -m bench.gates`: simulate challengers that are as good, better and worse, and what the gates let through."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench import sections
from bench.gates.pairs import pair
from bench.kept import Kept
from scipy.stats import beta

from loopwright import declaration
from loopwright.steps import gates

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = sections.marks("gates")
LOOP = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: simulated}
data: {source: rows.csv, label: {column: y}, contract: {x: {type: number}}}
model: {task: classification}
gates: {champion: {%s: %s}}
"""
RULES = {
    "better": "{better_by: 0}",
    "no worse": "{no_worse_by: 0.01}",
    "point": "{better_by: 0, confidence: 0.5}",
    "gain": "{min_gain: 0.02}",
}
# What is simulated: the metric, the rows, the challenger's true gain of AUC, whether customers come several times.
CASES = [
    *(("roc_auc", rows, gain, False) for gain in (0.0, -0.01, 0.02) for rows in (500, 1_500, 5_000, 20_000)),
    *(("f1", 1_500, gain, False) for gain in (0.0, 0.02)),
    ("roc_auc", 6_000, 0.0, True),
]
# By the rule's promise, at most 5 % of challengers that are no better, or worse by the margin, are let through.
PROMISED = {("better", 0.0), ("no worse", -0.01), ("better", -0.01), ("gain", 0.0), ("gain", -0.01)}


def main(arguments: list[str] | None = None) -> int:
    """Simulate and write; the exit code is 1 when more is surely let through than is declared."""
    parser = argparse.ArgumentParser(prog="python -m bench.gates", description=__doc__)
    parser.add_argument("--pairs", type=int, default=500, help="of each case (%(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run has found")
    parser.add_argument("--write-only", action="store_true", help="write the page of the last result")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "gates", help="what is kept")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "gates" / "result.json", help="the numbers")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "gates.md", help="where the table goes")
    options = parser.parse_args(arguments)
    if options.write_only:
        result = json.loads(options.json.read_text())
    else:
        kept = Kept(options.work / "found.json", fresh=options.fresh)
        result = {
            "pairs": options.pairs,
            "cases": [
                kept.get(f"{case} {options.pairs}", lambda case=case: simulate(*case, options.pairs)) for case in CASES
            ],
        }
        kept.done()
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    sections.put(options.docs, "gates", table(result))
    broken = [case for case in result["cases"] for rule in case["passed"] if _broken(case, rule, result["pairs"])]
    for case in broken:
        print(f"more is let through than 5 %: {case}", file=sys.stderr)
    return 1 if broken else 0


def simulate(metric: str, rows: int, gain: float, customers: bool, pairs: int) -> dict[str, Any]:
    """How many of the pairs each rule lets through."""
    began = time.process_time()
    wanted = dict(RULES) if metric == "roc_auc" else {name: RULES[name] for name in ("better", "point")}
    loops = {name: declaration.parse(LOOP % (metric, rule)) for name, rule in wanted.items()}
    passed = dict.fromkeys(loops, 0)
    if customers:
        passed["better, customers unknown"] = 0
    for seed in range(pairs):
        judged = pair(rows, gain, seed, customers=customers)
        for name, loop in loops.items():
            passed[name] += gates.apply(loop, judged)[0].passed
        if customers:
            unknown = gates.Judged(judged.truth, judged.challenger, judged.champion)
            passed["better, customers unknown"] += gates.apply(loops["better"], unknown)[0].passed
    return {
        "metric": metric, "rows": rows, "gain": gain, "customers": customers, "passed": passed,
        "seconds": round(time.process_time() - began, 1),
    }  # fmt: skip


def interval(k: int, n: int) -> tuple[float, float]:
    """The 95 % Clopper-Pearson interval of a share (Biometrika 26, 1934)."""
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    return low, float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0


def table(result: dict[str, Any]) -> str:
    """The section of the page."""
    heads = {
        "better": "`better_by: 0`", "no worse": "`no_worse_by: 0.01`", "gain": "`min_gain: 0.02`",
        "point": "the values alone",
    }  # fmt: skip
    lines = [
        f"| challenger's true AUC | metric, rows | {' | '.join(heads.values())} |",
        "| --- " * (2 + len(heads)) + "|",
    ]
    pairs = result["pairs"]
    for case in result["cases"]:
        cells = [_share(case["passed"][rule], pairs) if rule in case["passed"] else "" for rule in heads]
        truth = {0.0: "the same", -0.01: "0.01 lower", 0.02: "0.02 higher"}[case["gain"]]
        known = ", of 1,500 customers" if case["customers"] else ""
        lines.append(f"| {truth} | `{case['metric']}`, {case['rows']:,}{known} | {' | '.join(cells)} |")
        if case["customers"]:
            cell = _share(case["passed"]["better, customers unknown"], pairs)
            lines.append(f"| {truth} | the same without `data.entity` | {cell} | | | |")
    return "\n".join([*lines, "", f"{pairs} pairs a line; in brackets the 95 % Clopper-Pearson interval."])


def _share(k: int, pairs: int) -> str:
    low, high = interval(k, pairs)
    return f"{k / pairs:.1%} ({low:.1%} to {high:.1%})"


def _broken(case: dict[str, Any], rule: str, pairs: int) -> bool:
    return (rule, case["gain"]) in PROMISED and interval(case["passed"][rule], pairs)[0] > 0.05


if __name__ == "__main__":
    sys.exit(main())
