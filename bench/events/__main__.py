"""`python -m bench.events`: measure the monitor's intake and evaluation, and write the section of docs/monitor.md."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.events import evaluation, load, measure, report
from bench.events.measure import ROOT
from bench.venvs import PeerError

PEERS = ("evidently", "nannyml")


def main(arguments: list[str] | None = None) -> int:
    """Measure everything, round by round; a peer that cannot be measured is named."""
    chosen = _options(arguments)
    work = chosen.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    other, core = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    result: dict[str, Any] = {
        "batches": [],
        "v1": [],
        "v2": [],
        "sink": [],
        "floor": [],
        "process": [],
        "missing": {},
        "load": [],
    }
    pythons = {} if chosen.alone else _pythons(work, result["missing"])
    os.sched_setaffinity(0, {other})
    for number in range(chosen.rounds):
        result["load"].append(round(os.getloadavg()[0], 1))
        print(f"round {number + 1} of {chosen.rounds}", flush=True)
        _monitor(work, core, chosen, result)
        with measure.served(measure.floor(), work / "floor.log", core) as (url, pid, _):
            requests = load.events(chosen.events // 2, "/v1/cloudevents/1")
            result["floor"].append(measure.acknowledged(url, pid, requests))
        if "sink" in pythons:
            command = [str(pythons["sink"]), "-m", "uvicorn", "sink:app", "--port", "{port}", "--no-access-log"]
            with measure.served(command, work / "sink.log", core) as (url, pid, _):
                result["sink"].append(measure.sink(url, pid, load.events(chosen.events // 2, "/")))
    result["evaluation"] = evaluation.own(chosen.rounds)
    for name in PEERS:
        try:
            if name in pythons:
                result["evaluation"][name] = evaluation.peer(name, pythons[name], chosen.rounds)
        except subprocess.SubprocessError as error:
            result["missing"][name] = f"{type(error).__name__}"
    report.write(result, chosen.docs, chosen.json)
    print(f"written: {chosen.docs.name}, {chosen.json.name}")
    return 1 if result["missing"] else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.events", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="samples of each (%(default)s)")
    parser.add_argument("--batches", type=int, default=300, help="of 1,000 rows, a round (%(default)s)")
    parser.add_argument("--events", type=int, default=20_000, help="one by one, a round and protocol (%(default)s)")
    parser.add_argument("--alone", action="store_true", help="without the peers, which are installed first")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "events", help="environments, logs")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "monitor.md", help="where the section goes")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "events" / "result.json", help="the numbers")
    return parser.parse_args(arguments)


def _pythons(work: Path, missing: dict[str, str]) -> dict[str, Path]:
    found = {}
    for name in ("sink", *PEERS):
        try:
            found[name] = evaluation.environment(name, work)
        except PeerError as error:
            missing[name] = str(error)
    return found


def _monitor(work: Path, core: int, chosen: argparse.Namespace, result: dict[str, Any]) -> None:
    """One round of everything that is sent to the monitor, each protocol's events with ids of their own process."""
    messages, part = load.batches(20), max(chosen.batches // 10, 1)
    with measure.served(measure.monitor(work), work / "monitor.log", core) as (url, pid, start):
        measure.introduce(url)
        measure.batches(url, pid, messages, 10)  # warm
        over, samples = [], []
        for _ in range(10):
            samples.append(measure.batches(url, pid, messages, part))
            over.append(round(measure.memory(pid), 1))
        used = sum(one["cpu_us"] * one["units"] for one in samples) / 1e6
        units = sum(one["units"] for one in samples)
        result["batches"].append({"units": units, "cpu_us": used / units * 1e6, "per_core_second": units / used})
        for protocol in ("v1", "v2"):
            requests = load.events(chosen.events // 2, "/v1/cloudevents/1", protocol)
            result[protocol].append(measure.events(url, pid, requests))
        result["process"].append({"start": start, "memory": measure.memory(pid), "over_time": over})


if __name__ == "__main__":
    sys.exit(main())
