"""`python -m bench.retraining`: a year of three simulated streams under several policies of retraining.

Interrupted, the same command goes on where it stopped; after a complete run it begins anew.
"""

import argparse
import json
import sys
from pathlib import Path

from bench.kept import Kept
from bench.retraining import policies, report
from bench.retraining.streams import STREAMS

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run every stream and seed, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.retraining", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="years of each stream (%(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run has found")
    parser.add_argument("--write-only", action="store_true", help="write the page of the numbers that there are")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "retraining", help="what is kept")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "retraining" / "result.json", help="the numbers")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "retraining.md", help="where the tables go")
    arguments = parser.parse_args()
    if arguments.write_only:
        result = json.loads(arguments.json.read_text())
    else:
        kept = Kept(arguments.work / "found.json", fresh=arguments.fresh)
        result = {
            name: [
                kept.get(f"{name} {seed}", lambda make=make, seed=seed: policies.compare(make, seed))
                for seed in range(arguments.seeds)
            ]
            for name, make in STREAMS.items()
        }
        kept.done()
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    report.write(result, arguments.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
