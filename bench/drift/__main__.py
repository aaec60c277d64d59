"""`python -m bench.drift`: simulate traffic with and without drift, beside the peers, and write what was found.

Interrupted, the same command goes on where it stopped; after a complete run it begins anew.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.drift import bike, delays, experiments, report
from bench.drift.peers import Peers
from bench.kept import Kept
from bench.venvs import PeerError

ROOT = Path(__file__).resolve().parents[2]
BIKE = ROOT.parent / "shared" / "data" / "bike.csv"


def main() -> int:
    """Run all experiments; the exit code says whether the budget was kept."""
    arguments = _arguments()
    known = json.loads(arguments.json.read_text()) if arguments.write_only or arguments.cases else {}
    result = known if arguments.write_only else run(arguments, known)
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    report.write(result, arguments.docs)
    broken = report.broken(result)
    for one in broken:
        print(f"not kept: {one}", file=sys.stderr)
    return 1 if broken else 0


def run(arguments: argparse.Namespace, known: dict[str, Any]) -> dict[str, Any]:
    """Every experiment, each kept as soon as it is there; of chosen comparisons only these, and the rest as known."""
    kept = Kept(arguments.work / ("cases.json" if arguments.cases else "found.json"), fresh=arguments.fresh)
    result = known if arguments.cases and arguments.share is None else {**known, **_alone(arguments, kept)}
    chosen = [case for case in delays.CASES if not arguments.cases or case.key in arguments.cases]
    made = [*known.get("cases", ()), *_compared(chosen, arguments, kept)]
    kept.done()
    found = {(case["window"], case["features"]): case for case in made}
    order = [(case.window, case.features) for case in delays.CASES]
    return {**result, "cases": [found[one] for one in order if one in found]}


def _alone(arguments: argparse.Namespace, kept: Kept) -> dict[str, Any]:
    """The product by itself: its false alarms, which feature it names, and the bike sharing data."""
    share = arguments.share or 1.0

    def alarms(window: int, features: int, number: int, repeats: int = 1) -> Any:
        runs = round(number * share)
        key = f"false alarms, {window} rows, {features} features, {repeats} repeats, {runs} runs"
        return kept.get(key, lambda: experiments.false_alarms(window, features, runs, repeats=repeats))

    sizes = {features: number for features, number in experiments.RUNS.items() if round(number * share)}
    return {
        "none": [
            alarms(window, features, number) for window in experiments.SIZES for features, number in sizes.items()
        ],
        "repeats": [alarms(10_000, 20, 10, repeats) for repeats in experiments.REPEATS],
        "ranking": [
            kept.get(f"ranking, {window} rows", lambda window=window: experiments.ranking(window, round(60 * share)))
            for window in (500, 1_000, 10_000)
        ],
        "bike": kept.get("bike", lambda: bike.measure(arguments.bike)),
    }


def _compared(cases: Iterable[delays.Case], arguments: argparse.Namespace, kept: Kept) -> list[dict[str, Any]]:
    """The comparisons; one that a peer keeps from being made is named."""
    found, quick = [], arguments.quick
    with Peers(arguments.work) as peers:
        for case in cases:
            try:
                found.append(_case(case, peers, kept, lambda number: max(2, number // 10) if quick else number))
            except PeerError as error:
                print(f"{case.key} is not measured: {error}", file=sys.stderr)
    return found


def _case(case: delays.Case, peers: Peers, kept: Kept, runs: Callable[[int], int]) -> dict[str, Any]:
    tell = Progress()
    calm = kept.get(f"{case.key} without drift", lambda: delays.calibrate(case, peers, runs(case.calm), tell))
    return {
        "window": case.window, "features": case.features, "looks": case.looks, "reference": case.reference,
        "calm": calm,
        "drifts": [
            kept.get(
                f"{case.key} {delays.describe(drift)}",
                lambda drift=drift: delays.measure(case, drift, calm["thresholds"], peers, runs(case.runs), tell),
            )
            for drift in case.drifts
        ],
    }  # fmt: skip


class Progress:
    """One line on a terminal that says what is simulated; nothing elsewhere."""

    def __call__(self, line: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{line}\r")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of all runs: wide intervals")
    parser.add_argument("--share", type=float, help="of the runs without peers, such as 0.2; default all of them")
    parser.add_argument(
        "--cases", nargs="*", default=[],
        help="make only these comparisons again, as 1000-20, and with --share what is without peers",
    )  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run has found")
    parser.add_argument("--write-only", action="store_true", help="write the page of the numbers that there are")
    parser.add_argument("--bike", type=Path, default=BIKE, help="the bike sharing data; left out where it is not there")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "drift", help="environments, arrays")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "drift" / "result.json", help="the numbers")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "alarms.md", help="where the tables go")
    chosen = parser.parse_args()
    if chosen.share is not None and not 0.1 <= chosen.share <= 1:
        parser.error(f"--share: found {chosen.share}, expected 0.1 to 1")
    if chosen.quick and not chosen.cases:
        chosen.share = 0.1
    return chosen


if __name__ == "__main__":
    sys.exit(main())
