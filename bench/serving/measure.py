"""One sample: a server under one case's load, and what the kernel says it cost.

CPU time is that of the server's whole process tree (utime and stime of /proc/PID/stat) and includes what the kernel
does for its sockets. It depends far less on what else the machine does than times by the clock do.
"""

import asyncio
import os
import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench.serving import load, payloads
from bench.serving.model import Made
from bench.serving.servers import Running

# Requests a second of the phase with a fixed rate: less than a third of what the slowest server here can do.
RATES = {1: 200.0, 1000: 10.0}
CONNECTIONS = {1: 16, 1000: 4}
_WARM_SECONDS = 0.4
_TICK = os.sysconf("SC_CLK_TCK")
_COUNTED_SECONDS = 20.0


class Case(NamedTuple):
    """A protocol and the rows of a request."""

    protocol: str
    rows: int


class Stat(NamedTuple):
    """What is used of /proc/PID/stat; times in seconds."""

    parent: int
    session: int
    seconds: float


def parse_stat(text: str) -> Stat:
    """The fields of one process. Its name, in brackets, may hold anything, brackets and spaces too."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(int(fields[1]), int(fields[3]), (int(fields[11]) + int(fields[12])) / _TICK)


def cpu_seconds(root: int) -> float:
    """CPU time so far of a process, its descendants, and all of its session."""
    found: dict[int, Stat] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = parse_stat((folder / "stat").read_text())
            except OSError:
                continue  # it ended meanwhile
    family = {pid for pid, stat in found.items() if pid == root or stat.session == root}
    while more := {pid for pid, stat in found.items() if stat.parent in family} - family:
        family |= more
    return sum(found[pid].seconds for pid in family)


def quantile(sorted_values: list[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted_values[min(len(sorted_values) - 1, max(0, -int(-share * len(sorted_values) // 1) - 1))]


def sample(running: Running, case: Case, made: Made, seconds: float) -> dict[str, Any]:
    """Measure one case. Raises LoadError, and ValueError when the server's numbers are not LightGBM's."""
    import uvloop

    return uvloop.run(_sample(running, case, made, seconds))


async def _sample(running: Running, case: Case, made: Made, seconds: float) -> dict[str, Any]:
    form = running.server.forms[case.protocol]
    payload = payloads.build(form, made.matrices[case.rows])
    counts = Counts(running) if running.server.monitored else None
    before = await counts.settled() if counts else None
    async with load.connect(running.address(payload.path), payload, CONNECTIONS[case.rows]) as clients:
        answer = await load.one(clients[0])
        if form != "echo":
            payloads.check(answer, payload, made.expected[case.rows][0], running.server.title)
        await load.saturate(clients, _WARM_SECONDS)
        full = await _phase(running, load.saturate(clients, seconds))
        rate = RATES[case.rows]
        paced = await _phase(running, load.pace(clients, rate, seconds))
    found: dict[str, Any] = {"full": full, "paced": {**paced, "rate": rate}}
    if counts and before:
        after = await counts.settled()
        found["events"] = {name: after[name] - before[name] for name in after}
    return found


async def _phase(running: Running, phase: Any) -> dict[str, float]:
    used, monitor = cpu_seconds(running.pid), _monitor_seconds(running)
    own, began = time.process_time(), time.perf_counter()
    run = await phase
    wall = time.perf_counter() - began
    used, own = cpu_seconds(running.pid) - used, time.process_time() - own
    ordered, count = sorted(run.latencies), len(run.latencies)
    return {
        "requests": count,
        "cpu_us": used / count * 1e6,
        "monitor_cpu_us": (_monitor_seconds(running) - monitor) / count * 1e6,
        "per_second": count / run.seconds,
        "p50_ms": quantile(ordered, 0.5) * 1e3,
        "p99_ms": quantile(ordered, 0.99) * 1e3,
        # Which of the two was the limit: the server's core, or the generator's.
        "busy": used / wall,
        "generator_busy": own / wall,
    }


def engines(made: Made, rows: int) -> dict[str, Callable[[Any], Any]]:
    """What predicts a matrix, with nothing around it: LightGBM, and for many rows what the predictor uses instead."""
    import lightgbm

    from loopwright.models import quick, trees

    file = made.folder / "kserve" / "model.bst"
    booster = lightgbm.Booster(model_file=str(file))
    found: dict[str, Callable[[Any], Any]] = {"lightgbm": lambda matrix: booster.predict(matrix, num_threads=1)}
    if rows > 1:
        found["engine"] = quick.Quick(trees.parse(file.read_text()))
    return found


def alone(predict: Callable[[Any], Any], made: Made, rows: int, seconds: float) -> dict[str, Any]:
    """What a prediction costs, called in a loop. Raises ValueError when the numbers are not LightGBM's."""
    matrices, count = made.matrices[rows], 0
    for matrix, expected in zip(matrices, made.expected[rows], strict=True):
        if not np.allclose(predict(matrix), expected, rtol=0, atol=payloads.TOLERANCE):
            raise ValueError("the engine predicted other numbers than LightGBM")
    began = time.process_time()
    while (used := time.process_time() - began) < seconds:
        predict(matrices[count % len(matrices)])
        count += 1
    return {"full": {"cpu_us": used / count * 1e6}}


def _monitor_seconds(running: Running) -> float:
    return cpu_seconds(running.processes[1].pid) if running.server.monitored else 0.0


class Counts:
    """The events of a predictor with a monitor: predicted, dropped by it, counted by the monitor."""

    _WANTED = {  # noqa: RUF012
        "predicted": r"loopwright_predicted_rows_total\{[^}]*\} (\S+)",
        "dropped": r"loopwright_events_dropped_total\{[^}]*\} (\S+)",
    }

    def __init__(self, running: Running) -> None:
        self._running = running

    async def settled(self) -> dict[str, float]:
        """The counts once every prediction was counted or dropped; after a while, as they are then."""
        deadline = time.monotonic() + _COUNTED_SECONDS
        while True:
            now = await asyncio.to_thread(self.read)
            if now["predicted"] == now["counted"] + now["dropped"] or time.monotonic() > deadline:
                return now
            await asyncio.sleep(0.1)

    def read(self) -> dict[str, float]:
        """The counts now."""
        text = _get(self._running.http)
        found = {name: sum(map(float, re.findall(pattern, text))) for name, pattern in self._WANTED.items()}
        counted = re.findall(r"^loopwright_events_total\{[^}]*\} (\S+)", _get(self._running.monitor), re.MULTILINE)
        return {**found, "counted": sum(map(float, counted))}


def _get(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text
