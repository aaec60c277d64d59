"""How large the model is and how long it takes, in the server that it will run in: KServe's, as a process of its own.

A model is asked over HTTP, one row a request and one request at a time, so that what is measured is the server's own
time and not a queue's. The machine of a pipeline is not the one that serves, but a model that is ten times as slow as
the one before is that everywhere.
"""

import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.errors import ServingError
from loopwright.loop import Served
from loopwright.steps.gates import Gate

if TYPE_CHECKING:
    from loopwright.models.bundle import Bundle
    from loopwright.models.columns import Columns

WARM, REQUESTS = 50, 500
READY_SECONDS = 60.0
_EVERY = 0.05
_JSON = {"Content-Type": "application/json"}


def gates(limits: Served, bundle: "Bundle", columns: "Columns") -> list[Gate]:
    """The declared gates on size and latency; none is measured that is not declared."""
    found = []
    if limits.size is not None:
        size = sum(map(len, bundle.contents.values())) / 1e6
        words = f"{size:.2f} MB, at most {limits.size:g} MB accepted"
        found.append(Gate("serving", "size", size <= limits.size, size, limits.size, words))
    if limits.latency_p99 is not None:
        found.append(_latency(limits.latency_p99.total_seconds(), bundle, columns))
    return found


def _latency(limit: float, bundle: "Bundle", columns: "Columns") -> Gate:
    if importlib.util.find_spec("kserve") is None:
        words = "it cannot be measured: KServe's server is not installed where the pipeline runs (docs/gates.md)"
        return Gate("serving", "latency_p99", False, limit, limit, words)
    try:
        seconds = durations(bundle, columns)
    except ServingError as error:
        return Gate("serving", "latency_p99", False, limit, limit, str(error))
    p99 = float(np.quantile(seconds, 0.99))
    words = f"{p99 * 1e3:.2f} ms in {len(seconds)} requests of one row, at most {limit * 1e3:g} ms accepted"
    return Gate("serving", "latency_p99", p99 <= limit, p99, limit, words)


def durations(bundle: "Bundle", columns: "Columns", requests: int = REQUESTS) -> list[float]:
    """Seconds that each of so many requests took, of rows in turn. Raises ServingError."""
    from loopwright.models.columns import to_rows

    rows = to_rows(columns, 100)
    bodies = [json.dumps({"instances": [row]}).encode() for row in rows]
    found = []
    with _server(bundle) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        for number in range(WARM + requests):
            began = time.perf_counter()
            try:
                connection.request("POST", "/v1/models/judged:predict", bodies[number % len(bodies)], _JSON)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, HTTPException) as error:
                why = str(error) or type(error).__name__
                raise ServingError(f"the model's server did not answer request {number + 1}: {why}") from error
            if answer.status != 200:
                raise ServingError(
                    f"the model's server answered {answer.status}: {content[:200].decode(errors='replace')}"
                )
            if number >= WARM:
                found.append(time.perf_counter() - began)
        connection.close()
    return found


@contextmanager
def _server(bundle: "Bundle") -> Iterator[int]:
    """The predictor as a process, and the port that it listens on; it ends with the block."""
    http = _free_port()
    command = [sys.executable, "-m", "loopwright.serving", "--bundle", str(bundle.folder), "--digest", bundle.digest]
    command += ["--name", "judged", "--version", "0", "--http-port", str(http), "--grpc-port", "0"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(process, http, log)
            yield http
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Any) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            last = log.read().decode(errors="replace").strip().splitlines()
            raise ServingError(f"the model's server ended with {process.returncode}: {last[-1] if last else 'no word'}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(_EVERY)
    raise ServingError(f"the model's server was not ready within {READY_SECONDS:g} s")
