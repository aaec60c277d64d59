"""Servers on one core and what their work costs: CPU seconds of the process tree, which /proc tells, and memory."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
from bench.events import load
from bench.serving.measure import cpu_seconds
from bench.serving.servers import free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
READY = 60.0
LOOP = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: bench}
data: {source: data.csv, entity: id, label: {column: y}, contract: {n00: {type: number}}}
model: {task: classification, estimator: lightgbm}
monitor: {window: 1h}
"""


@contextlib.contextmanager
def served(command: Sequence[str], log: Path, core: int) -> Iterator[tuple[str, int, float]]:
    """A server on a core: its URL, process id and the seconds until it answered. `{port}` is put into the command."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOPWRIGHT_")}
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *(part.replace("{port}", str(port)) for part in command)],
            stdout=output, stderr=subprocess.STDOUT, cwd=HERE / "runners", env=kept | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url), f"{command[0]} does not answer; see {log}")
        yield url, process.pid, time.monotonic() - began
    finally:
        process.terminate()
        process.wait(30)


def until(holds: Callable[[], bool], failure: str, seconds: float = READY) -> None:
    """Wait for a condition, for at most so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(failure)
        time.sleep(0.02)


def monitor(work: Path) -> list[str]:
    """The command of the monitor."""
    from loopwright.declaration import parse

    path = work / "loop.json"
    path.write_text(parse(LOOP).to_json())
    return [sys.executable, "-m", "loopwright.monitor", "--loop", str(path), "--port", "{port}"]


def introduce(url: str) -> None:
    """Give the monitor the profile."""
    httpx.put(f"{url}/v1/profiles/1", content=load.profile().to_json(), timeout=30).raise_for_status()


def counted(url: str) -> int:
    """The events that the monitor has counted."""
    text = httpx.get(f"{url}/metrics", timeout=30).raise_for_status().text
    found = re.search(r"^loopwright_events_total\{.*\} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def memory(pid: int) -> float:
    """Resident megabytes (10^6 bytes)."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def batches(url: str, pid: int, messages: Sequence[bytes], number: int) -> dict[str, float]:
    """CPU a row of so many messages, each counted before the clock is read."""
    return _cost(url, pid, number * load.BATCH, number * load.BATCH, lambda: load.send_batches(url, messages, number))


def events(url: str, pid: int, requests: Sequence[bytes]) -> dict[str, float]:
    """CPU an event, HTTP included, each pair counted before the clock is read."""
    return _cost(url, pid, len(requests), len(requests) // 2, lambda: load.send_events(url, requests))


def _cost(url: str, pid: int, units: int, rows: int, send: Callable[[], None]) -> dict[str, float]:
    before, cpu, began = counted(url), cpu_seconds(pid), time.monotonic()
    send()
    until(lambda: counted(url) >= before + rows, "not everything was counted")
    used, took = cpu_seconds(pid) - cpu, time.monotonic() - began
    return {"units": units, "cpu_us": used / units * 1e6, "per_core_second": units / used, "per_second": units / took}


def floor() -> list[str]:
    """The command of a server that reads HTTP as the monitor does, acknowledges, and does nothing else."""
    return [sys.executable, "floor.py", "{port}"]


def acknowledged(url: str, pid: int, requests: Sequence[bytes]) -> dict[str, float]:
    """CPU an event of a server that is done when it answers."""
    cpu, began = cpu_seconds(pid), time.monotonic()
    load.send_events(url, requests)
    used, took = cpu_seconds(pid) - cpu, time.monotonic() - began
    units = len(requests)
    return {"units": units, "cpu_us": used / units * 1e6, "per_core_second": units / used, "per_second": units / took}


def sink(url: str, pid: int, requests: Sequence[bytes]) -> dict[str, float]:
    """The same of the plain sink, which counts before it answers."""
    found = acknowledged(url, pid, requests)
    if httpx.get(f"{url}/healthz", timeout=30).json()["events"] < len(requests):
        raise ValueError("the sink has not counted every event")
    return found


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).is_success
    except httpx.HTTPError:
        return False
