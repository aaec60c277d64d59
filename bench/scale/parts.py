"""`python -m bench.scale.parts PART ...`: one part at one size in a process of its own; prints what it took as JSON.

CPU is that of the process and its threads, user and system, after everything was imported; memory is the greatest that
the process had resident, all that it imports included.
"""

import json
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.scale import rows

MESSAGE = 1_000
RUN = ("run", "snapshot", "validated", "split", "trained", "judged", "registered", "run_ended")
"""The entries of one training run."""


def cpu() -> float:
    """CPU seconds so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """The most memory that was resident, in MB; getrusage would count what had the process before it was this one."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, "Linux says it"
    return int(found[1]) * 1024 / 1e6


def monitor(features: int, versions: int, page: Path | None = None, messages: int = 50) -> dict[str, float]:
    """The monitor of one replica: what a row, a look and a scrape cost, and how many series it has.

    What a scrape gives is written to the file `page`, where one is given.
    """
    import numpy as np

    from loopwright.durations import Clock
    from loopwright.monitor import exposition
    from loopwright.monitor.events import Message, check
    from loopwright.monitor.state import Monitor
    from loopwright.statistics.profile import Profile

    rng = np.random.default_rng(rows.SEED)
    reference = rows.columns(rng, 5_000, features)
    kinds = {name: "number" if name[0] == "n" else "category" for name in reference}
    profile = Profile.build("scale", "classification", ["no", "yes"], reference, kinds, rng.beta(2, 5, 5_000))
    watched = Monitor(rows.loop(features), Clock(), lambda body: None)
    sent = []
    for version in range(1, versions + 1):
        watched.counters.put(str(version), profile, 0.0)
        drawn = {name: values.tolist() for name, values in rows.columns(rng, MESSAGE, features).items()}
        for number in range(messages):
            ids = [f"{version}-{number}-{row}" for row in range(MESSAGE)]
            sent.append(Message(str(version), ids, 0.0, drawn, rng.beta(2, 5, MESSAGE).tolist()))
    counted = 0.0
    for number, message in enumerate(sent):
        began = cpu()
        watched.queue.offer(check(message, profile))
        while watched.count_one(float(number)):
            pass
        counted += cpu() - began
    began = cpu()
    for turn in range(4):
        watched.look(60.0 * (turn + 1))
    looked = (cpu() - began) / 4
    began = cpu()
    text = exposition.render(watched.samples(Counter()))
    scraped = cpu() - began
    if page is not None:
        page.write_text(text)
    return {
        "row_us": counted / len(sent) / MESSAGE * 1e6,
        "look_ms": looked * 1e3,
        "scrape_ms": scraped * 1e3,
        "series": sum(not line.startswith("#") for line in text.splitlines()),
        "scrape_kb": len(text) / 1e3,
        "peak_mb": peak(),
    }


def step(name: str, folder: Path, features: int) -> dict[str, float]:
    """One step of the pipeline on the rows in a folder, with what the steps before it left there."""
    loop = rows.loop(features)
    run = _steps(loop, folder)[name]
    began = cpu()
    run()
    return {"cpu_s": cpu() - began, "peak_mb": peak()}


def _steps(loop: Any, folder: Path) -> dict[str, Callable[[], Any]]:
    from datetime import UTC, datetime

    from loopwright import settings
    from loopwright.registry import Registry
    from loopwright.steps.evaluate import evaluate
    from loopwright.steps.snapshot import snapshot
    from loopwright.steps.split import split
    from loopwright.steps.train import train
    from loopwright.steps.validate import validate

    taken, valid, aside, report = (folder / name for name in ("taken", "valid", "aside", "report.json"))
    training, holdout, model = (folder / name for name in ("training", "holdout", "model"))
    now = datetime.now(UTC)
    return {
        "snapshot": lambda: snapshot(loop, folder, folder / "store", taken, now),
        "validate": lambda: validate(loop, taken, valid, aside, report, now),
        "split": lambda: split(loop, valid, training, holdout),
        "train": lambda: train(loop, "", training, holdout, model),
        "evaluate": lambda: evaluate(loop, Registry(settings.read(folder)), model, holdout),
    }


def ledger(entries: int, loops: int, url: str) -> dict[str, float]:
    """A ledger that holds so many entries of so many loops: what an append, one loop's history and a check take."""
    from loopwright.ledger import Ledger

    kept = Ledger(url)
    facts = {"run": "churn-20261121-185817-1e8ec7", "rows": 7_043, "metrics": {"roc_auc": 0.8452, "f1": 0.5929}}
    began, clock = cpu(), time.monotonic()
    cause: int | None = None
    for number in range(entries):
        kind, loop = RUN[number % len(RUN)], f"loop-{number // len(RUN) % loops}"
        cause = kept.append(loop, kind, facts, cause=cause if kind != "run" else None).number
    appended, waited = cpu() - began, time.monotonic() - clock
    began = cpu()
    found = kept.entries("loop-0")
    read = cpu() - began
    began = cpu()
    kept.verify()
    return {
        "append_ms": appended / entries * 1e3,
        "append_wall_ms": waited / entries * 1e3,
        "read_ms": read * 1e3,
        "read_entries": len(found),
        "verify_us": (cpu() - began) / entries * 1e6,
        "peak_mb": peak(),
    }


def main(arguments: list[str]) -> int:
    """Measure and print."""
    part, *given = arguments
    if part == "monitor":
        found = monitor(int(given[0]), int(given[1]), Path(given[2]) if given[2:] else None)
    elif part == "step":
        found = step(given[0], Path(given[1]), int(given[2]))
    else:
        found = ledger(int(given[0]), int(given[1]), given[2])
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
