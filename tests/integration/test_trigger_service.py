"""The trigger's own process with the real engine: time starts a run, and a run uses the rows that it is told to."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from loopwright.ledger import Entry, Ledger
from loopwright.local import ports


def until(condition: Callable[[], Any], seconds: float = 150.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return value


class Service:
    """The process of the small loop's trigger, and its ledger."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        (port,) = ports.free(1)
        self.url = f"http://127.0.0.1:{port}"
        self.ledger = Ledger(f"sqlite:///{folder / '.loopwright' / 'ledger.db'}")
        command = [sys.executable, "-m", "loopwright.cli.trigger_service", str(folder), "--port", str(port)]
        self.process = subprocess.Popen(command, env=environment)
        until(self._healthy)

    def _healthy(self) -> bool:
        assert self.process.poll() is None
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def of(self, kind: str) -> list[Entry]:
        return self.ledger.entries("small", kind=kind)


@pytest.fixture
def serve(loopwright: Any, small_folder: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def start(retrain: str, **settings: str) -> Service:
        path = small_folder / "loop.yaml"
        path.write_text(path.read_text().replace("gates:", "gates:\n  approval: required") + f"\nretrain: {retrain}\n")
        made.append(Service(small_folder, {**loopwright.environment, **settings}))
        return made[-1]

    yield start
    for service in made:
        service.process.terminate()
        service.process.wait(30)


@pytest.mark.long
def test_time_starts_a_run_by_itself_and_once(serve: Callable[..., Service]) -> None:
    # A day of the loop is ten seconds.
    service = serve('{on: [schedule], schedule: "0 0 * * *", cooldown: 3650d}', LOOPWRIGHT_SPEED="8640")
    (end,) = until(lambda: service.of("run_ended"))
    assert (end.facts["state"], end.facts["version"]) == ("succeeded", 1)
    (run,) = service.of("run")
    assert [entry.kind for entry in service.ledger.causes(run.number)] == ["event", "decision", "run"]
    assert run.facts["by"] == "schedule"
    until(lambda: len(service.of("event")) > 1)
    until(lambda: any(entry.facts["rule"] == "cooldown" for entry in service.of("decision")))
    assert len(service.of("run")) == 1


@pytest.mark.long
def test_a_run_uses_the_rows_since_the_moment_that_a_person_names(
    serve: Callable[..., Service], small_folder: Path
) -> None:
    seen = pd.to_datetime(pd.read_csv(small_folder / "rows.csv")["seen"], utc=True)
    since = seen.sort_values().iloc[len(seen) // 2]
    service = serve("{on: []}")
    asked = {"reason": "the new tariff", "by": "Ada", "since": since.isoformat()}
    answer = httpx.post(f"{service.url}/v1/runs", json=asked, timeout=30, trust_env=False)
    assert answer.status_code == 202, answer.text
    (taken,) = until(lambda: service.of("snapshot"))
    assert taken.facts["rows"] == taken.facts["rows_since"] == (seen >= since).sum() < len(seen)
    assert taken.facts["since"] == since.isoformat()
    (end,) = until(lambda: service.of("run_ended"))
    assert end.facts["state"] == "succeeded", end.facts
