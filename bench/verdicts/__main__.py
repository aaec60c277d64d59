"""`python -m bench.verdicts`: simulate rollouts of equal and of worse challengers, and write what was found."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.verdicts import experiments, report

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run all experiments; the exit code says whether every promise was kept."""
    arguments = _arguments()
    result = json.loads(arguments.json.read_text()) if arguments.write_only else _run(arguments)
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    report.write(result, arguments.docs, arguments.picture)
    print(f"written: {arguments.json.name}, {arguments.docs.name}, {arguments.picture.name}")
    broken = experiments.broken(result)
    for one in broken:
        print(f"not kept: {one}", file=sys.stderr)
    return 1 if broken else 0


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    equal, worse = (40, 20) if arguments.quick else (arguments.equal, arguments.worse)
    tell = Progress()
    result: dict[str, Any] = {"equal": [], "worse": []}
    for one in experiments.EQUAL:
        result["equal"].append(experiments.run_equal(one, equal, tell))
    for other in experiments.WORSE_ONES:
        for weight in other.weights:
            result["worse"].append(experiments.run_worse(other, weight, worse, tell))
    result["ab"] = [experiments.type_one_error(10 * equal, margin=margin) for margin in (0.0, 0.01)]
    result["disagreement"] = experiments.disagreement_error(equal)
    result["processor_seconds"] = round(time.process_time())
    tell("")
    return result


class Progress:
    """One line that says what is simulated; once an experiment where the output is no terminal."""

    def __init__(self) -> None:
        self._last, self._terminal = "", sys.stderr.isatty()

    def __call__(self, line: str) -> None:
        name = line.rpartition(" ")[0]
        if self._terminal:
            sys.stderr.write(f"\r\033[K{line}")
        elif name != self._last and name:
            print(f"{time.process_time():6.0f} s  {name}", file=sys.stderr, flush=True)
        self._last = name


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rollouts: a minute, wide intervals")
    parser.add_argument("--equal", type=int, default=300, help="rollouts of each pair of equal versions (%(default)s)")
    parser.add_argument("--worse", type=int, default=200, help="rollouts of each worse challenger (%(default)s)")
    parser.add_argument("--write-only", action="store_true", help="write the page of the numbers that there are")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "verdicts" / "result.json", help="the numbers")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "verdicts.md", help="where the tables go")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "verdicts.svg", help="where the picture goes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
