"""The drift alarm by Prometheus: a real one scrapes two monitors and evaluates the rules that are rendered for the
loop, and a real Alertmanager posts the alarm to what reads it as the trigger does."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import yaml

from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.local import ports
from loopwright.loop import Loop
from loopwright.monitor.counters import VersionCounts
from loopwright.monitor.drift import Look, Rule, evaluate
from loopwright.observability import alertmanager, files
from loopwright.statistics.profile import Profile
from loopwright.trigger.causes import read

ALERTMANAGER = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or ALERTMANAGER is None,
        reason="prometheus or alertmanager is not on PATH (Debian's packages prometheus, prometheus-alertmanager)",
    ),
]
TOKEN = "for-this-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
# An hour of the loop, its window, takes 20 seconds, and a look is every 2 seconds.
CLOCK = Clock(speed=180.0)
MONITOR = "monitor: {window: 1h, min_events: 300, persistence: 2}\n"
SENT = 900


def draw(rng: np.random.Generator, n: int, shift: float = 0.0) -> dict[str, Any]:
    return {"age": rng.normal(40 + 9 * shift, 9, n), "plan": rng.choice(["basic", "premium"], n).astype(object)}


class Receiver:
    """Keeps what Alertmanager posts."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.bodies.append((handler.headers["Authorization"], body))
                handler.send_response(202)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(handler, *_: object) -> None:  # noqa: N805
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/alerts"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class House(ExitStack):
    """Two monitors, Prometheus with the rendered rules, Alertmanager with the rendered routes, and the receiver."""

    def __init__(self, folder: Path, loop: Loop, until: Callable[..., Any]) -> None:
        super().__init__()
        self.folder, self.receiver = folder, Receiver()
        self.callback(self.receiver.close)
        *monitors, own, alerts = ports.free(4)
        self.monitors = [f"http://127.0.0.1:{port}" for port in monitors]
        self.prometheus = f"http://127.0.0.1:{own}"
        self.client = self.enter_context(httpx.Client(trust_env=False, timeout=20))
        (folder / "loop.json").write_text(loop.to_json())
        (folder / "token").write_text(TOKEN)
        self._configure(loop, monitors, alerts)
        for port in monitors:
            self._start(
                f"monitor-{port}",
                sys.executable,
                "-m",
                "loopwright.monitor",
                "--loop",
                "loop.json",
                "--port",
                str(port),
            )
        listen = f"--web.listen-address=127.0.0.1:{own}"
        self._start("prometheus", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", listen)
        assert ALERTMANAGER is not None
        options = ["--config.file=alertmanager.yml", "--storage.path=alerts", "--cluster.listen-address="]
        self._start("alertmanager", ALERTMANAGER, *options, f"--web.listen-address=127.0.0.1:{alerts}")
        for url in (
            *(f"{one}/healthz" for one in self.monitors),
            f"{self.prometheus}/-/ready",
            f"http://127.0.0.1:{alerts}/-/ready",
        ):
            until(lambda url=url: self._answers(url), f"{url} answers")

    def _configure(self, loop: Loop, monitors: list[int], alerts: int) -> None:
        for name, text in files.files(loop, CLOCK, "default").items():
            (self.folder / name).write_text(text)
        routes = alertmanager.config(loop, CLOCK, self.receiver.url, token_file=str(self.folder / "token"))
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(routes))
        targets = [f"127.0.0.1:{port}" for port in monitors]
        content = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"},
            "rule_files": [files.RULES],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alerts}"]}]}]},
            "scrape_configs": [{"job_name": "pods", "static_configs": [{"targets": targets}]}],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(content))

    def _start(self, name: str, *command: str) -> None:
        log = self.enter_context((self.folder / f"{name}.log").open("wb"))
        environment = {**os.environ, "LOOPWRIGHT_TOKEN": TOKEN, "LOOPWRIGHT_SPEED": str(CLOCK.speed)}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        self.callback(process.wait, 20)
        self.callback(process.terminate)

    def _answers(self, url: str) -> bool:
        try:
            return self.client.get(url).is_success
        except httpx.HTTPError:
            return False

    def ask(self, query: str, at: float | None = None) -> list[dict[str, Any]]:
        params = {"query": query} | ({} if at is None else {"time": f"{at:.3f}"})
        answer = self.client.get(f"{self.prometheus}/api/v1/query", params=params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def value(self, query: str) -> float | None:
        found = self.ask(query)
        return float(found[0]["value"][1]) if found else None


@pytest.fixture(scope="module")
def loop(churn_declaration: str) -> Loop:
    return parse(churn_declaration + MONITOR)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, loop: Loop, until: Callable[..., Any]) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("rules"), loop, until) as made:
        yield made


@pytest.fixture(scope="module")
def expected(house: House, loop: Loop, until: Callable[..., Any]) -> Look:
    """What evaluate says of the events of both monitors, which have been sent."""
    rng = np.random.default_rng(7)
    kinds = {"age": "number", "plan": "category"}
    profile = Profile.build("churn", "classification", ["No", "Yes"], draw(rng, 4000), kinds, rng.beta(2, 5, 4000))
    for url in house.monitors:
        assert house.client.put(f"{url}/v1/profiles/1", content=profile.to_json(), headers=BEARER).is_success
    until(lambda: house.value("count(loopwright:events:window)") == 1, "Prometheus looks")
    together = VersionCounts(profile, 1)
    for number, url in enumerate(house.monitors):
        # One replica's customers are older: only both together are the traffic.
        columns, predictions = draw(rng, SENT, shift=1.5 * number), rng.beta(2, 5, SENT)
        together.add(columns, predictions)
        content = {
            "version": "1",
            "ids": [f"{number}-{i}" for i in range(SENT)],
            "at": time.time(),
            "columns": {name: values.tolist() for name, values in columns.items()},
            "predictions": predictions.tolist(),
        }
        body = msgspec.msgpack.encode(content)
        assert house.client.post(f"{url}/v1/events", content=body, headers=BEARER).status_code == 202
    found = evaluate(profile, together.window(), Rule.of(loop, CLOCK))
    assert found is not None
    return found


def _complete(house: House) -> float | None:
    """The time of a look that has all events in its window, once its last rule has been evaluated."""
    at = house.value("min(timestamp(loopwright:drift:odd))")
    events = house.ask("loopwright:events:window", at) if at else []
    return at if events and float(events[0]["value"][1]) == 2 * SENT else None


def test_prometheus_finds_what_python_finds_to_a_billionth(
    house: House, expected: Look, until: Callable[..., Any]
) -> None:
    at = until(lambda: _complete(house), "both monitors' events are in the window")
    assert expected.scores()["age"].drifted
    for what in ("distance", "score", "drifted"):
        series = {one["metric"]["feature"]: float(one["value"][1]) for one in house.ask(f"loopwright:drift:{what}", at)}
        python = {name: float(getattr(score, what)) for name, score in expected.scores().items()}
        assert series == pytest.approx(python, rel=0, abs=1e-9), what


def test_the_alarm_arrives_as_the_trigger_reads_it(house: House, expected: Look, until: Callable[..., Any]) -> None:
    until(lambda: house.receiver.bodies, "Alertmanager posts")
    authorization, body = house.receiver.bodies[0]
    assert authorization == f"Bearer {TOKEN}"
    (cause,) = read(body, "churn").causes
    assert (cause.source, cause.facts["version"], cause.facts["window_seconds"]) == ("drift", "1", 3600)
    drifted = {name: score for name, score in expected.scores().items() if score.drifted}
    assert {one["name"] for one in cause.facts["features"]} == set(drifted)
    for one in cause.facts["features"]:
        assert one["distance"] == pytest.approx(drifted[one["name"]].distance, abs=1e-6)
        assert one["score"] == pytest.approx(drifted[one["name"]].score, abs=1e-6)
    (age,) = [alert for alert in json.loads(body)["alerts"] if alert["labels"]["feature"] == "age"]
    assert f"over {2 * SENT} predictions in 1h" in age["annotations"]["summary"]


def test_the_configuration_was_taken_whole(house: House) -> None:
    groups = house.client.get(f"{house.prometheus}/api/v1/rules").json()["data"]["groups"]
    health = {rule["health"] for group in groups for rule in group["rules"]}
    errors = [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]
    assert not errors
    assert "err" not in health
