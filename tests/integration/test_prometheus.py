"""Counts from a real Prometheus that scrapes a small exporter, which is stopped and started again."""

import http.server
import math
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from loopwright.rollout.counts import Arm
from loopwright.rollout.prometheus import QUERIES, PrometheusArms

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not on PATH (Debian's package prometheus)"
)


class Exporter:
    """A predictor's and a monitor's counters, as a process of their own would export them."""

    def __init__(self, port: int = 0) -> None:
        self.ok = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805
                handler.send_response(200)
                handler.send_header("Content-Type", "text/plain; version=0.0.4")
                handler.end_headers()
                handler.wfile.write(self.text().encode())

            def log_message(handler, *_: object) -> None:  # noqa: N805
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def text(self) -> str:
        own = 'loop="churn",version="2"'
        return (
            f'loopwright_predictions_total{{{own},protocol="v2",outcome="ok"}} {self.ok}\n'
            f'loopwright_predictions_total{{{own},protocol="v2",outcome="error"}} 0\n'
            f'loopwright_prediction_duration_seconds_bucket{{{own},protocol="v2",le="0.05"}} {self.ok}\n'
            f'loopwright_prediction_duration_seconds_bucket{{{own},protocol="v2",le="+Inf"}} {self.ok}\n'
            f"loopwright_events_total{{{own}}} {self.ok}\n"
            f'loopwright_prediction_bucket_total{{{own},bucket="0.5"}} {self.ok}\n'
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def exporter() -> Iterator[list[Exporter]]:
    one = [Exporter()]
    yield one
    one[0].stop()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, exporter: list[Exporter]) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 100ms, scrape_timeout: 100ms}\n"
        f'scrape_configs: [{{job_name: pods, static_configs: [{{targets: ["127.0.0.1:{exporter[0].port}"]}}]}}]\n'
    )
    command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
    log = (folder / "log").open("w")
    with subprocess.Popen([*command, "--storage.tsdb.path=data"], cwd=folder, stdout=log, stderr=log) as process:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(trust_env=False) as client:
            until(lambda: _ready(client, url), 20)
        yield url
        process.terminate()
    log.close()


def _ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/-/ready").status_code == 200
    except httpx.HTTPError:
        return False


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as one:
        yield one


def test_every_request_is_counted_through_a_restart_and_by_a_second_reader(
    prometheus: str, exporter: list[Exporter], client: httpx.Client
) -> None:
    def reader(origin: float) -> Callable[[], Arm]:
        arms = PrometheusArms(client, prometheus, "churn", "models", 0.05, origin)
        return lambda: arms([2])[2]

    until(lambda: math.isfinite(reader(time.time())().requests), 10)
    origin = time.time()
    until(lambda: reader(origin)().requests == 0, 5)
    now = reader(origin)
    exporter[0].ok += 120
    until(lambda: now().requests == 120, 5)
    port = exporter[0].port
    exporter[0].stop()
    exporter[0] = Exporter(port)
    exporter[0].ok = 7
    until(lambda: now().requests == 127, 10)
    exporter[0].ok += 3
    until(lambda: now().requests == 130, 5)
    arm = reader(origin)()
    assert (arm.requests, arm.timed, arm.slow, arm.predictions) == (130, 130, 0, (130,))


def test_a_version_without_samples_is_unknown(prometheus: str, client: httpx.Client) -> None:
    arms = PrometheusArms(client, prometheus, "churn", "models", 0.05, time.time())
    assert math.isnan(arms([3])[3].requests)
    assert arms.problem == ""


def test_every_query_is_taken(prometheus: str, client: httpx.Client) -> None:
    for query in QUERIES:
        text = query.replace("LOOP", "churn").replace("SECONDS", "60")
        assert client.post(f"{prometheus}/api/v1/query", data={"query": text}).json()["status"] == "success"


def test_prometheus_that_is_down_makes_everything_unknown(client: httpx.Client) -> None:
    arms = PrometheusArms(client, "http://127.0.0.1:1", "churn", "models", 0.05, time.time())
    assert math.isnan(arms([1])[1].requests)
    assert "cannot be read" in arms.problem
