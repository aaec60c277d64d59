"""Exactly one run a cause: triggers as processes on a real PostgreSQL, killed at every step, and without a database.

The engine and the rollout are stand-ins (trigger_process.py); triggers, webhooks, ledger and database are real.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from tests.integration.postgresql import Server

from loopwright.ledger import Entry, Ledger
from loopwright.local import ports

PROCESS = Path(__file__).with_name("trigger_process.py")
HEADERS = {"Authorization": "Bearer a secret"}

# Every moment at which a trigger can die between an alarm and its end.
CRASHES = [
    *("before alarm", "after alarm", "before decision", "after decision", "before run", "after run", "engine"),
    *("before run_ended", "after run_ended", "rollout", "before promoted", "after promoted"),
]


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def webhook(group: str = "g1") -> bytes:
    alert = {
        "status": "firing",
        "labels": {"alertname": "LoopwrightDrift", "loop": "churn", "version": "1", "feature": "age"},
        "annotations": {"summary": "age drifted", "window": "1h"},
        "startsAt": "2026-11-21T08:00:00Z",
    }
    return json.dumps({"version": "4", "groupKey": group, "status": "firing", "alerts": [alert]}).encode()


class Bench:
    """One ledger, one engine, and triggers that come and go."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.ledger = Ledger(server.url)
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "runs").mkdir()

    def start(self, crash: str = "") -> str:
        """A trigger's address; it answers."""
        port = ports.free(1)[0]
        command = [sys.executable, str(PROCESS), self.server.url, str(self.folder), str(port), crash]
        self.processes.append(subprocess.Popen(command))
        until(lambda: self._healthy(port) or self.processes[-1].poll() is not None)
        return f"http://127.0.0.1:{port}"

    def _healthy(self, port: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def post(self, trigger: str, body: bytes, path: str = "alerts") -> httpx.Response | None:
        """The answer; None where the trigger is gone, or died over it."""
        try:
            return httpx.post(f"{trigger}/v1/{path}", content=body, headers=HEADERS, timeout=30, trust_env=False)
        except httpx.HTTPError:
            return None

    def of(self, kind: str) -> list[Entry]:
        return self.ledger.entries("churn", kind=kind)

    def runs(self) -> list[str]:
        """What the engine was asked to run."""
        return sorted(path.name for path in (self.folder / "runs").iterdir())


@pytest.fixture(scope="module")
def server(postgresql: Callable[[], Server]) -> Server:
    return postgresql()


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Iterator[Bench]:
    with sa.create_engine(server.url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS loopwright_ledger, loopwright_ledger_head"))
    made = Bench(server, tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait(20)
    assert made.ledger.verify() > 0


@pytest.mark.long
@pytest.mark.parametrize("crash", CRASHES)
def test_a_trigger_that_is_killed_anywhere_makes_one_run_of_an_alarm(bench: Bench, crash: str) -> None:
    dying = bench.start(crash)
    bench.post(dying, webhook())
    assert bench.processes[0].wait(30) == -signal.SIGKILL
    heir = bench.start()

    def repeated_until_promoted() -> bool:
        # Alertmanager sends an alarm again as long as it fires.
        answer = bench.post(heir, webhook())
        assert answer is not None
        assert answer.status_code == 200
        return bool(bench.of("promoted"))

    until(repeated_until_promoted)
    for _ in range(3):
        bench.post(heir, webhook())
    assert len(bench.runs()) == len(bench.of("promoted")) == len(bench.of("alarm")) == 1
    ends = [entry.facts["state"] for entry in bench.of("run_ended")]
    assert ends in (["succeeded"], ["failed", "succeeded"])
    # Only a run that was claimed and never began is given up, as interrupted, and made up for by another.
    assert ("failed" in ends) == (crash == "after run")


@pytest.mark.long
def test_two_triggers_that_get_everything_twice_at_once_make_one_run_of_each_cause(bench: Bench) -> None:
    triggers = [bench.start(), bench.start()]
    rows = json.dumps({"id": "2026-11-21", "summary": "the day's rows", "by": "export"}).encode()
    for _ in range(2):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: bench.post(triggers[number % 2], webhook()), range(8)))
    until(lambda: bench.of("promoted"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: bench.post(triggers[number % 2], rows, "data"), range(8)))
    assert {answer.status_code for answer in answers if answer is not None} == {202}
    until(lambda: len(bench.of("promoted")) == 2)
    assert len(bench.runs()) == len(bench.of("run")) == len(bench.of("run_ended")) == 2
    assert len(bench.of("alarm")) == len(bench.of("event")) == 1


@pytest.mark.long
def test_the_other_trigger_takes_over_from_one_that_is_killed_during_its_run(bench: Bench) -> None:
    (bench.folder / "hold").touch()
    first, second = bench.start(), bench.start()
    bench.post(first, webhook())
    until(bench.runs)
    bench.processes[0].kill()
    assert bench.processes[0].wait(20) == -signal.SIGKILL
    answer = bench.post(second, webhook("another"))
    assert answer is not None
    assert answer.json()["causes"][0]["rule"] == "in_flight"
    (bench.folder / "hold").unlink()
    until(lambda: bench.of("run_ended"))
    assert len(bench.runs()) == 1


@pytest.mark.long
def test_a_database_that_goes_away_loses_no_alarm_and_no_end(bench: Bench) -> None:
    (bench.folder / "hold").touch()
    trigger = bench.start()
    bench.post(trigger, webhook())
    until(bench.runs)
    bench.server.stop()
    try:
        answer = bench.post(trigger, webhook("another"))
        assert answer is not None
        # Alertmanager sends again what was answered like this.
        assert answer.status_code == 503
        (bench.folder / "hold").unlink()
    finally:
        bench.server.start()
    until(lambda: bench.of("promoted"))
    assert len(bench.runs()) == len(bench.of("run_ended")) == 1
    until(lambda: bench.post(trigger, webhook("another")) is not None)
    until(lambda: len(bench.of("alarm")) == 2)
