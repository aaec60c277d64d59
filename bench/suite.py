"""`python -m bench.suite`: all of bench/, in under half an hour on two cores that have nothing else to do.

What is timed runs alone, one part after the other, and first; what is only simulated runs after it, two at a time. Each
part writes its own page; what ran, for how long and how it ended goes into docs/benchmarks.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import sections

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Part:
    """One folder of bench/: how it is called in the suite, and to see in seconds that it works, without peers."""

    name: str
    what: str
    page: str
    minutes: float
    """Planned, on a quiet machine."""
    timed: bool
    call: tuple[str, ...] = ()
    smoke: tuple[str, ...] = ()


# Rounds and repeats are fewer here than by the parts' own defaults, where it takes that to fit into half an hour.
PARTS = (
    Part(
        "serving",
        "the predictor beside other model servers",
        "benchmarks.md",
        6,
        True,
        ("--rounds", "2", "--seconds", "1.5", "--fresh"),
        ("--only", "loopwright", "monitored", "--rows", "1", "--protocols", "v1", "--seconds", "0.3", "--rounds", "1"),
    ),
    Part(
        "events",
        "the monitor's intake and evaluation",
        "monitor.md",
        2,
        True,
        ("--rounds", "2"),
        ("--alone", "--rounds", "1", "--batches", "100", "--events", "4000"),
    ),
    Part(
        "waiting",
        "commands, a run, the images' processes",
        "benchmarks.md",
        3,
        True,
        ("--rounds", "3"),
        ("--quick", "--only", "help", "plain", "run", "monitor"),
    ),
    Part(
        "overhead", "a pipeline's steps beside other tools", "benchmarks.md", 3, True, ("--rounds", "2"), ("--quick",)
    ),
    Part("scoring", "batch scoring beside mlflow.pyfunc", "scoring.md", 3, True, ("--rounds", "3"), ("--quick",)),
    Part("scale", "what each part costs as it grows", "scale.md", 6, False, ("--fresh",), ("--quick",)),
    Part(
        "verdicts",
        "rollouts, simulated",
        "verdicts.md",
        4,
        False,
        ("--equal", "100", "--worse", "70"),
        ("--equal", "2", "--worse", "2"),
    ),
    Part(
        "drift",
        "alarms, simulated",
        "alarms.md",
        6,
        False,
        ("--fresh", "--share", "0.2", "--cases", "1000-1"),
        ("--write-only",),
    ),
    Part("gates", "challengers, simulated", "gates.md", 3, False, ("--pairs", "300", "--fresh"), ("--pairs", "2")),
    Part("retraining", "a year of retraining, simulated", "retraining.md", 3.5, False, ("--fresh",), ("--write-only",)),
    Part(
        "estimates",
        "performance before labels, simulated",
        "performance.md",
        1.5,
        False,
        (),
        ("--quick", "--without-peers"),
    ),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the parts; the exit code is 1 when one of them did not end as it should."""
    parser = argparse.ArgumentParser(prog="python -m bench.suite", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these parts")
    parser.add_argument("--list", action="store_true", help="print the parts and the minutes planned, and run none")
    parser.add_argument("--smoke", type=Path, metavar="FOLDER", help="see that each works; pages and numbers go there")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "suite", help="where the logs go")
    chosen = parser.parse_args(arguments)
    if chosen.list:
        for part in PARTS:
            print(f"{part.name:<12} {part.minutes:4.1f} min  {part.what}, docs/{part.page}")
        print(f"{'all':<12} {_planned(PARTS):4.1f} min  simulations two at a time; without installing the peers, once")
        return 0
    chosen.work.mkdir(parents=True, exist_ok=True)
    parts = [part for part in PARTS if part.name in chosen.only]
    print(
        f"{len(parts)} parts, about {'seconds each' if chosen.smoke else f'{_planned(parts):.0f} minutes'}", flush=True
    )
    began = time.monotonic()
    ended = [_run(part, chosen) for part in parts if part.timed]
    with ThreadPoolExecutor(2) as pool:
        ended += pool.map(lambda part: _run(part, chosen), (part for part in parts if not part.timed))
    total = time.monotonic() - began
    print(f"all in {total / 60:.1f} minutes")
    page = (chosen.smoke or ROOT / "docs") / "benchmarks.md"
    if chosen.smoke is None and len(parts) == len(PARTS):
        sections.put(page, "suite", section(ended, total), first=True)
    return 1 if any(one["code"] for one in ended) else 0


def _planned(parts: Iterable[Part]) -> float:
    """Minutes that the parts take together."""
    return sum(part.minutes if part.timed else part.minutes / 2 for part in parts)


def call(part: Part, smoke: Path | None) -> list[str]:
    """The command of a part; for a smoke test with pages, numbers and work in a folder, where the pages are copied."""
    command = [sys.executable, "-m", f"bench.{part.name}", *(part.call if smoke is None else part.smoke)]
    if smoke is None:
        return command
    smoke.mkdir(parents=True, exist_ok=True)
    for source in (ROOT / "docs" / part.page, ROOT / "bench" / part.name / "result.json"):
        if source.exists():
            shutil.copy(source, smoke / (source.name if source.suffix == ".md" else f"{part.name}.json"))
    command += ["--docs", str(smoke / part.page), "--json", str(smoke / f"{part.name}.json")]
    if part.name == "verdicts":
        return [*command, "--picture", str(smoke / "verdicts.svg")]
    return [*command, "--work", str(smoke / "work" / part.name)]


def _run(part: Part, chosen: argparse.Namespace) -> dict[str, Any]:
    log, began = chosen.work / f"{part.name}.log", time.monotonic()
    print(f"{part.name} begins", flush=True)
    with log.open("wb") as output:
        code = subprocess.run(call(part, chosen.smoke), stdout=output, stderr=subprocess.STDOUT, cwd=ROOT).returncode
    seconds = time.monotonic() - began
    told = "" if code == 0 else f", with exit code {code}; see {log}"
    print(f"{part.name} ended after {seconds:.0f} s of {60 * part.minutes:.0f} planned{told}", flush=True)
    return {"part": part, "seconds": seconds, "code": code}


def section(ended: list[dict[str, Any]], total: float) -> str:
    """What ran, as a table in Markdown."""
    lines = [
        "## The suite",
        "",
        f"`make bench` ran all of this in {total / 60:.0f} minutes, load {os.getloadavg()[0]:.1f} at the end: "
        "what is timed alone and first, what is simulated two at a time. `make bench-NAME` runs one. A part ends with "
        "1 when a peer could not be measured or a promise was not kept; its page says which. By their own defaults "
        "parts draw more than here, and a page says of how many draws it is.",
        "",
        "| part | what | command | minutes | ended with |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in ended:
        part = one["part"]
        command = " ".join(["python -m", f"bench.{part.name}", *part.call])
        page = f"[{part.what}]({part.page})" if part.page != "benchmarks.md" else f"{part.what} (below)"
        lines.append(f"| {part.name} | {page} | `{command}` | {one['seconds'] / 60:.1f} | {one['code']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
