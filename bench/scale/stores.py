"""What stands beside the loops: a real Prometheus that scrapes and judges many of them, and an idle trigger."""

import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from bench.events import measure
from bench.scale import rows
from bench.serving.servers import free_port

from loopwright.durations import Clock
from loopwright.observability import rules

EVERY = 15
"""Seconds between two scrapes of a target, and between two evaluations of its rules."""
ROUNDS = 2
"""Of both, that are measured."""
PATIENCE = 300.0


def prometheus(loops: int, page: str, work: Path) -> dict[str, float] | None:
    """Prometheus with a replica each of so many loops and their rules; None where there is no Prometheus.

    `page` is what a monitor answers a scrape with. Its values stand still; its series are as many as they are.
    """
    if shutil.which("prometheus") is None:
        return None
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    port = free_port()
    with _served(page) as target:
        _configure(work, loops, target)
        command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
        with (work / "log").open("wb") as log, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            command.append(f"--web.listen-address=127.0.0.1:{port}")
            process = subprocess.Popen(command, cwd=work, stdout=log, stderr=log)
            try:
                return _measured(client, loops)
            finally:
                process.terminate()
                process.wait(60)


def trigger(work: Path) -> dict[str, float]:
    """The memory of a trigger's process that waits for alarms, in MB."""
    work.mkdir(parents=True, exist_ok=True)
    rows.loop(20, work)
    command = [sys.executable, "-m", "loopwright.cli.trigger_service", str(work), "--port", "{port}"]
    with measure.served(command, work / "trigger.log", min(os.sched_getaffinity(0))) as (_, pid, _):
        return {"resident_mb": measure.memory(pid)}


def _configure(work: Path, loops: int, target: str) -> None:
    scraped = []
    for number in range(loops):
        loop = rows.loop(20, name=f"scale-{number}")
        content = {"groups": rules.groups(loop, Clock())}
        (work / f"{loop.name}.yml").write_text(yaml.safe_dump(content, sort_keys=False))
        scraped.append({"targets": [target], "labels": {"__metrics_path__": f"/{loop.name}", "pod": loop.name}})
    every = f"{EVERY}s"
    content = {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": ["scale-*.yml"],
        "scrape_configs": [{"job_name": "pods", "static_configs": scraped}],
    }
    (work / "prometheus.yml").write_text(yaml.safe_dump(content))


def _measured(client: httpx.Client, loops: int) -> dict[str, float]:
    def value(query: str) -> float:
        try:
            found = client.get("/api/v1/query", params={"query": query}).json()["data"]["result"]
        except (httpx.HTTPError, ValueError, KeyError):
            return 0.0
        return float(found[0]["value"][1]) if found else 0.0

    measure.until(
        lambda: value('count(scrape_samples_scraped{job="pods"} > 0)') == loops, "not every loop is scraped", PATIENCE
    )
    # Rates are per time here: two rounds of scrapes and rules, after one in which every series was made.
    began = time.monotonic()
    measure.until(lambda: time.monotonic() - began >= EVERY, "a clock stands still")
    first = _own(client)
    measure.until(lambda: time.monotonic() - began >= EVERY * (1 + ROUNDS), "a clock stands still")
    last = _own(client)
    return {
        "series": last["prometheus_tsdb_head_series"],
        "resident_mb": last["process_resident_memory_bytes"] / 1e6,
        "cpu_s": (last["process_cpu_seconds_total"] - first["process_cpu_seconds_total"]) / ROUNDS,
        "rules": _sum(last, "prometheus_rule_group_rules"),
    }


def _sum(found: dict[str, float], name: str) -> float:
    return sum(number for one, number in found.items() if one.startswith(name))


def _own(client: httpx.Client) -> dict[str, float]:
    """Prometheus' metrics of itself, by the name with its labels."""
    found = {}
    for line in client.get("/metrics").text.splitlines():
        if not line.startswith("#"):
            name, _, number = line.rpartition(" ")
            found[name] = float(number)
    return found


@contextmanager
def _served(page: str) -> Iterator[str]:
    """A server that answers /LOOP with the page of that loop."""

    class Page(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = page.replace('loop="scale"', f'loop="{self.path[1:]}"').encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
