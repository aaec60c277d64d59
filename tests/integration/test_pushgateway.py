"""A run's metrics in a real Pushgateway, as a Prometheus would scrape them."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loopwright.local import ports

BINARY = shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(BINARY is None, reason="pushgateway is not on PATH (Debian's package prometheus-pushgateway)"),
]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    """The URL of a Pushgateway."""
    assert BINARY is not None
    address, log = f"127.0.0.1:{ports.free(1)[0]}", tmp_path / "gateway.log"
    with (
        log.open("w") as stream,
        subprocess.Popen([BINARY, f"--web.listen-address={address}"], stderr=stream) as process,
    ):
        deadline = time.monotonic() + 20
        while not _ready(f"http://{address}/-/ready"):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield f"http://{address}"
        process.terminate()


def _ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def exposed(gateway: str) -> dict[str, float]:
    lines = httpx.get(f"{gateway}/metrics", trust_env=False).text.splitlines()
    return {line.split()[0]: float(line.split()[-1]) for line in lines if line.startswith("loopwright_")}


def test_a_run_leaves_how_it_ended_and_a_failed_one_keeps_the_last_success(gateway: str, loopwright: Any) -> None:
    loopwright.environment["LOOPWRIGHT_PUSHGATEWAY_URL"] = gateway
    answer = loopwright.json("run")
    group = 'instance="",job="loopwright_run",loop="small"'
    first = exposed(gateway)
    assert first[f"loopwright_run_version{{{group}}}"] == answer["version"] == 1
    assert first[f'loopwright_run_metric{{{group},metric="roc_auc"}}'] == answer["metrics"]["roc_auc"]
    assert first[f'loopwright_run_state{{{group},state="succeeded"}}'] == 1

    (loopwright.folder / "rows.csv").write_text("nonsense\n1\n")
    assert loopwright("run").returncode == 3
    second = exposed(gateway)
    assert second[f'loopwright_run_state{{{group},state="succeeded"}}'] == 0
    assert second[f'loopwright_run_state{{{group},state="failed"}}'] == 1
    name = f"loopwright_run_success_timestamp_seconds{{{group}}}"
    assert second[name] == first[name]
    assert second[f"loopwright_run_version{{{group}}}"] == 1
