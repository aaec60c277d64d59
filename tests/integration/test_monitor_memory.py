"""The memory of the monitor's process under long traffic: it fills what it holds, and then stays."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from loopwright.declaration import parse
from loopwright.local import ports
from loopwright.monitor.labels import CAPACITY
from loopwright.statistics.profile import Profile

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]
TOKEN = "for-this-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NAMES = [f"n{number}" for number in range(20)]
MESSAGE = 5000
MOST = 150e6
"""What DESIGN.md and the benchmark promise, in bytes."""


def columns(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    return {name: rng.normal(size=rows) for name in NAMES}


@pytest.fixture
def monitor(tmp_path: Path, churn_declaration: str, until: Callable[..., Any]) -> Iterator[tuple[httpx.Client, int]]:
    """A client of a monitor that knows version 1, and the process' id."""
    (tmp_path / "loop.json").write_text(parse(churn_declaration + "monitor: {window: 1h}").to_json())
    (port,) = ports.free(1)
    command = [sys.executable, "-m", "loopwright.monitor", "--loop", "loop.json", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        environment = {**os.environ, "LOOPWRIGHT_TOKEN": TOKEN}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    rng = np.random.default_rng(1)
    kinds = dict.fromkeys(NAMES, "number")
    profile = Profile.build("churn", "classification", ["No", "Yes"], columns(rng, 5000), kinds, rng.random(5000))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60, headers=BEARER) as client:

        def answers() -> bool:
            try:
                return client.get("/healthz").is_success
            except httpx.HTTPError:
                return False

        until(answers, "the monitor answers")
        assert client.put("/v1/profiles/1", content=profile.to_json()).is_success
        yield client, process.pid
    process.terminate()
    process.wait(30)


def resident(pid: int) -> int:
    """Bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_memory_levels_off_when_the_newest_predictions_are_held(
    monitor: tuple[httpx.Client, int], until: Callable[..., Any]
) -> None:
    client, pid = monitor
    rng, sent, memory = np.random.default_rng(2), 0, []

    def counted() -> bool:
        lines = client.get("/metrics").text.splitlines()
        return any(line == f'loopwright_events_total{{loop="churn",version="1"}} {sent}' for line in lines)

    for _ in range(4):
        while sent < (len(memory) + 1) * CAPACITY * 0.6:
            content = {
                "version": "1",
                "ids": [f"{number:032x}" for number in range(sent, sent + MESSAGE)],
                "at": time.time(),
                "columns": {name: values.tobytes() for name, values in columns(rng, MESSAGE).items()},
                "predictions": rng.random(MESSAGE).tobytes(),
            }
            answer = client.post(
                "/v1/events",
                content=msgspec.msgpack.encode(content),
                headers={"Content-Type": "application/msgpack"},
            )
            assert answer.status_code == 202, answer.text
            sent += MESSAGE
        until(counted, "all is counted")
        memory.append(resident(pid))
    # Twice as much again adds nothing that grows: what is left is the allocator's.
    assert memory[3] - memory[1] < 3e6, memory
    assert memory[3] < MOST, memory
