"""`python -m bench.waiting`: what people wait for, beside plain scripts, and how soon each image's process answers."""

import argparse
import os
import resource
import sys
from pathlib import Path
from typing import Any

from bench.waiting import cases, report
from bench.waiting.measure import CommandError

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Measure everything, each in turn, round by round; what cannot be measured is named."""
    chosen = _options(arguments)
    rows, rounds = (1_000, 1) if chosen.quick else (chosen.rows, chosen.rounds)
    place = cases.prepare(chosen.work.resolve(), rows)
    wanted = {**cases.commands(place), **cases.servers(place)}
    names = chosen.only or list(wanted)
    result: dict[str, Any] = {**report.about(), "rows": rows, "rounds": rounds}
    result |= {"samples": {}, "missing": {}, "load": []}
    for number in range(rounds):
        result["load"].append(round(os.getloadavg()[0], 1))
        for name in names:
            if name in result["missing"]:
                continue
            try:
                found = wanted[name]()
            except CommandError as error:
                result["missing"][name] = " ".join(str(error).split())[:300]
                print(f"{name}: {error}", file=sys.stderr, flush=True)
                continue
            result["samples"].setdefault(name, []).append(found._asdict())
            told = f"{found.cpu:6.2f} s CPU  {found.seconds:6.2f} s  {found.peak:6.0f} MB"
            print(f"round {number + 1} of {rounds}  {name:<14} {told}", flush=True)
    result["floor"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    report.write(result, chosen.docs, chosen.json)
    print(f"written: {chosen.docs.name}, {chosen.json.name}")
    return 1 if result["missing"] else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    every = [*report.COMMANDS, *report.PARTS, *report.SERVERS]
    parser = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 rows and one round, to try it")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each (%(default)s)")
    parser.add_argument("--rows", type=int, default=7_000, help="rows of the loop (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=every, metavar="CASE", help=f"of {' '.join(every)}")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build" / "bench" / "waiting", help="the loop and its state"
    )
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "benchmarks.md", help="where the section goes")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "waiting" / "result.json", help="the numbers")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
