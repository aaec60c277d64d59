"""A loop, a ledger in a folder, a clock that stands still, an engine that waits, and triggers made of them."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from loopwright.durations import Clock
from loopwright.ledger import Entry, Ledger
from loopwright.loop import Loop
from loopwright.settings import Settings
from loopwright.trigger import RunResult, Trigger
from loopwright.trigger.app import make_app

START = datetime(2025, 3, 1, 12, tzinfo=UTC)


def make_loop(approval: str = "auto", **retrain: Any) -> Loop:
    return Loop.model_validate(
        {
            "apiVersion": "loopwright/v1",
            "kind": "Loop",
            "metadata": {"name": "churn"},
            "data": {"source": "churn.csv", "label": {"column": "churned"}, "contract": {"age": {"type": "integer"}}},
            "model": {"task": "classification"},
            "gates": {"approval": approval},
            "retrain": retrain,
        }
    )


def make_body(
    *features: str,
    loop: str = "churn",
    group: str = "g1",
    starts: str = "2025-03-01T11:00:00Z",
    status: str = "firing",
    alertname: str = "LoopwrightDrift",
    version: str = "1",
    **top: Any,
) -> bytes:
    alerts = [
        {
            "status": status,
            "labels": {"alertname": alertname, "loop": loop, "version": version, "feature": feature},
            "annotations": {"summary": f"{feature} drifted", "distance": "0.31", "score": "4.5", "window": "1h"},
            "startsAt": starts,
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://monitor",
            "fingerprint": feature,
        }
        for feature in features or ("age",)
    ]
    return json.dumps(
        {"version": "4", "groupKey": group, "status": status, "receiver": "loopwright", "alerts": alerts, **top}
    ).encode()


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for what another thread does; fails the test when it does not."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return value


class StillClock:
    """Real time that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, duration: timedelta) -> None:
        self.now += duration


@dataclass
class Engine:
    """Remembers what was run and rolled out. `gate` holds every run back until it is set."""

    result: RunResult | Exception = field(default_factory=lambda: RunResult("succeeded", version=2))
    answers: dict[str, RunResult | None] = field(default_factory=dict)
    runs: list[tuple[int, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    rollouts: list[tuple[int, int]] = field(default_factory=list)
    rollout_error: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    new_rows: int = 0
    on_run: Callable[[int, str], None] = lambda _cause, _run: None

    def run(self, cause: int, run: str) -> RunResult:
        self.runs.append((cause, run))
        self.on_run(cause, run)
        assert self.gate.wait(20)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def rollout(self, version: int, *, cause: int) -> None:
        self.rollouts.append((version, cause))
        if self.rollout_error:
            raise self.rollout_error

    def ask(self, intent: Entry) -> RunResult | None:
        self.asked.append(intent.facts["run"])
        return self.answers.get(intent.facts["run"])


class Bench:
    """Triggers on one ledger, stopped at the end of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'ledger.db'}"
        self.ledger = Ledger(self.url)
        self.clock = StillClock()
        self.engine = Engine()
        self.engine.gate.set()
        self.triggers: list[Trigger] = []

    def trigger(
        self, loop: Loop | None = None, *, token: str = "", speed: float = 1.0, real_clock: bool = False, **replace: Any
    ) -> Trigger:
        settings = Settings(self.folder, self.url, self.url, token, Clock(speed))
        engine = replace.pop("engine_object", self.engine)
        options: dict[str, Any] = {
            "run": engine.run,
            "rollout": engine.rollout,
            "ask": engine.ask,
            "new_rows": lambda: engine.new_rows,
            "poll_seconds": 0.01,
            **({} if real_clock else {"clock": self.clock}),
            **replace,
        }
        # A ledger object of its own, as another process has.
        made = Trigger(loop or make_loop(), Ledger(self.url), settings, **options)
        self.triggers.append(made)
        return made

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ledger.entries("churn")]

    def decisions(self) -> list[tuple[str, str]]:
        return [(e.facts["action"], e.facts["rule"]) for e in self.ledger.entries("churn", kind="decision")]

    def of(self, kind: str) -> list[Entry]:
        return self.ledger.entries("churn", kind=kind)

    def ended(self, count: int = 1) -> list[Entry]:
        """Wait until so many runs have ended."""
        until(lambda: len(self.of("run_ended")) >= count)
        return self.of("run_ended")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.engine.gate.set()
    for trigger in made.triggers:
        assert trigger.stop(10)
    assert made.ledger.verify() >= 0


@pytest.fixture
def body() -> Callable[..., bytes]:
    return make_body


@pytest.fixture
def loop() -> Callable[..., Loop]:
    return make_loop


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until


class Client:
    """Calls an application in the same process, between the start and the end of its lifespan."""

    def __init__(self, app, lifespan=True):
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app) if lifespan else None
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://trigger")
        if self._lifespan:
            self._runner.run(self._lifespan.__aenter__())

    def request(self, method, path, **options):
        return self._runner.run(self._http.request(method, path, **options))

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)

    def close(self):
        if self._lifespan:
            self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.run(self._http.aclose())
        self._runner.close()


@pytest.fixture
def serve(bench):
    """A client of the application of a started trigger."""
    clients = []

    def make(loop=None, *, lifespan=True, **options):
        clients.append(Client(make_app(bench.trigger(loop, **options)), lifespan))
        return clients[-1]

    yield make
    bench.engine.gate.set()
    for client in clients:
        client.close()
