"""`python -m bench.overhead`: what a pipeline's step costs beside what it does, here and in other tools."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.overhead import peers, report
from bench.venvs import PeerError
from bench.waiting import measure

ROOT = Path(__file__).resolve().parents[2]
RUNNERS = Path(__file__).parent / "runners"


def main(arguments: list[str] | None = None) -> int:
    """Measure each in turn, round by round; what cannot be measured is named."""
    chosen = _options(arguments)
    rounds = 1 if chosen.quick else chosen.rounds
    alone = chosen.quick or chosen.without_peers
    result: dict[str, Any] = {"rounds": rounds, "samples": {}, "versions": {}, "missing": {}, "load": []}
    wanted = [one for one in peers.PIPELINES if not (alone and one.venv)]
    for number in range(rounds):
        result["load"].append(round(os.getloadavg()[0], 1))
        for one in wanted:
            if one.key in result["missing"]:
                continue
            try:
                found = _round(one, chosen.work.resolve(), result["versions"])
            except (PeerError, measure.CommandError, subprocess.SubprocessError) as error:
                result["missing"][one.key] = " ".join(str(error).split())[-300:]
                print(f"{one.key}: {error}", file=sys.stderr, flush=True)
                continue
            result["samples"].setdefault(one.key, []).append(found)
            told = f"{1000 * report.per_step(found, one, 'cpu'):8.1f} ms CPU a step"
            print(f"round {number + 1} of {rounds}  {one.key:<18} {told}", flush=True)
    report.write(result, chosen.docs, chosen.json)
    print(f"written: {chosen.docs.name}, {chosen.json.name}")
    return 1 if result["missing"] else 0


def _round(one: peers.Pipeline, work: Path, versions: dict[str, str]) -> dict[str, dict[str, float]]:
    """The short and the long chain, each in a folder that is kept from round to round, as a user's is."""
    python = peers.python(one, work)
    folder = work / "state" / one.key
    if one.key not in versions:
        versions[one.key] = peers.version(one, python)
        # What is made once and kept, as a database is, is made before the first sample.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _chain(one, python, one.short, folder)
    return {name: _chain(one, python, call, folder) for name, call in (("short", one.short), ("long", one.long))}


def _chain(one: peers.Pipeline, python: Path, call: tuple[str, ...], folder: Path) -> dict[str, float]:
    own = {name: str(folder / value) if name.endswith("_HOME") else value for name, value in one.own.items()}
    script = [str(python), str(RUNNERS / call[0]), *call[1:]]
    return measure.command(script, folder, {**own, "HOME": str(folder)})._asdict()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round without peers, to try it")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each (%(default)s)")
    parser.add_argument("--without-peers", action="store_true", help="install no other tool")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "overhead", help="environments, state")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "benchmarks.md", help="where the section goes")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "overhead" / "result.json", help="the numbers")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
