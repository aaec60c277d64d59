"""A monitor that nobody scrapes, and its metrics in a real Prometheus that takes remote writes."""

import os
import shutil
import signal
import socket
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
from loopwright.statistics.profile import Profile

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("prometheus") is None, reason="prometheus is not on PATH (Debian's package prometheus)"
    ),
]

KINDS = {"age": "number", "plan": "category"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about in time: {log.read_text()}"
        time.sleep(0.05)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as one:
        yield one


def ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def prometheus(tmp_path: Path, client: httpx.Client) -> Iterator[str]:
    """The URL of a Prometheus that scrapes nothing."""
    (tmp_path / "prometheus.yml").write_text("global: {scrape_interval: 1m}\n")
    port, log = free_port(), tmp_path / "prometheus.log"
    command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
    command += ["--storage.tsdb.path=data", "--web.enable-remote-write-receiver"]
    with log.open("w") as stream, subprocess.Popen(command, cwd=tmp_path, stdout=stream, stderr=stream) as process:
        until(lambda: ready(client, f"http://127.0.0.1:{port}/-/ready"), log)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture
def monitor(tmp_path: Path, client: httpx.Client, prometheus: str, churn_declaration: str) -> Iterator[Any]:
    """The monitor's process, and its URL."""
    written = f'monitor: {{remote_write: {{url: "{prometheus}/api/v1/write", every: 1s, labels: {{cluster: "eu"}}}}}}'
    (tmp_path / "loop.json").write_text(parse(churn_declaration + written).to_json())
    port, log = free_port(), tmp_path / "monitor.log"
    command = [sys.executable, "-m", "loopwright.monitor", "--loop", "loop.json", "--port", str(port)]
    with log.open("w") as stream, subprocess.Popen(command, cwd=tmp_path, env=os.environ, stderr=stream) as process:
        until(lambda: ready(client, f"http://127.0.0.1:{port}/healthz"), log)
        yield process, f"http://127.0.0.1:{port}"
        process.kill()


def test_counts_are_in_prometheus_as_they_are_exposed_and_end_with_the_monitor(
    prometheus: str, monitor: Any, client: httpx.Client, tmp_path: Path
) -> None:
    process, url = monitor
    log = tmp_path / "monitor.log"
    rng = np.random.default_rng(1)
    columns = {"age": rng.normal(40, 9, 500), "plan": rng.choice(["basic", "premium"], 500).astype(object)}
    profile = Profile.build("churn", "classification", ["No", "Yes"], columns, KINDS, rng.random(500))
    client.put(f"{url}/v1/profiles/1", content=profile.to_json()).raise_for_status()
    sent = {name: values.tolist() for name, values in columns.items()}
    message = {"version": "1", "ids": [f"p{n}" for n in range(500)], "at": time.time(), "columns": sent}
    body = msgspec.msgpack.encode(message | {"predictions": rng.random(500).tolist()})
    client.post(f"{url}/v1/events", content=body).raise_for_status()

    def series(query: str) -> dict[str, float]:
        found = client.get(f"{prometheus}/api/v1/query", params={"query": query}).raise_for_status().json()
        return {str(sorted(one["metric"].items())): float(one["value"][1]) for one in found["data"]["result"]}

    events = 'loopwright_events_total{job="loopwright-monitor",cluster="eu",loop="churn",version="1"}'
    until(lambda: list(series(events).values()) == [500], log)
    bins = series('loopwright_feature_bin_total{feature="age"}')
    assert sorted(bins.values()) == sorted(profile.features["age"].count(columns["age"]).tolist())
    assert all(f"'instance', '{socket.gethostname()}:" in labels for labels in bins)

    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    # Prometheus shows a series for 5 minutes after its last sample, unless that says that it was the last.
    until(lambda: series('{job="loopwright-monitor"}') == {}, log, 5)
    assert "not taken" not in log.read_text()
