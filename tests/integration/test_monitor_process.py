"""The monitor as a process of its own: profile, events, labels, metrics, an alarm that arrives, and its end."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import msgspec
import numpy as np
import pytest

from loopwright.declaration import parse
from loopwright.statistics.profile import Profile

TOKEN = "s3cret"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
# An hour of the loop, its window, takes 3 seconds, and the looks are half a second apart.
SPEED = "1200"


def draw(rng, n, shift=0.0):
    return {"age": rng.normal(40 + 9 * shift, 9, n), "plan": rng.choice(["basic", "premium"], n).astype(object)}


class Receiver:
    """A tiny HTTP server that keeps the alerts it is sent; the first one it fails to take."""

    def __init__(self):
        self.alerts, self.arrived, self.failures = [], threading.Condition(), 1
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.arrived:
                    failing, outer.failures = outer.failures > 0, outer.failures - 1
                    if not failing:
                        outer.alerts.append((self.path, self.headers["Authorization"], body))
                        outer.arrived.notify_all()
                self.send_response(503 if failing else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/alerts"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def wait(self, condition, seconds=20):
        with self.arrived:
            assert self.arrived.wait_for(lambda: condition(self.alerts), seconds), self.alerts

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def command(path, port, *more):
    return [sys.executable, "-m", "loopwright.monitor", "--loop", str(path), "--port", str(port), *more]


@pytest.fixture
def loop_file(tmp_path, churn_declaration):
    path = tmp_path / "loop.json"
    path.write_text(parse(churn_declaration + "monitor: {window: 1h, min_events: 300}").to_json())
    return path


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def monitor(loop_file, tmp_path, receiver):
    """The running process, and a client of it that has the token."""
    # As from a Secret that was made from a file.
    port, environment = free_port(), {**os.environ, "LOOPWRIGHT_TOKEN": TOKEN + "\n", "LOOPWRIGHT_SPEED": SPEED}
    with open(tmp_path / "stderr", "wb") as log:
        arguments = command(loop_file, port, "--alerts", receiver.url)
        process = subprocess.Popen(arguments, env=environment, stderr=log, cwd=tmp_path)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=BEARER, timeout=30, trust_env=False) as client:
        try:
            until(lambda: healthy(process, client, tmp_path))
            yield process, client
        finally:
            process.kill()
            process.wait()


def healthy(process, client, folder):
    assert process.poll() is None, (folder / "stderr").read_text()
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Traffic(threading.Thread):
    """Sends 100 events every 0.1 seconds until stopped, shifted while `shift` is set."""

    def __init__(self, url, rng):
        super().__init__()
        self.url, self.rng, self.shift, self.sent, self.done = url, rng, 0.0, 0, threading.Event()

    def run(self):
        with httpx.Client(base_url=self.url, headers=BEARER, trust_env=False) as client:
            while not self.done.wait(0.1):
                client.post("/v1/events", content=events(self.rng, 100, self.sent, self.shift)).raise_for_status()
                self.sent += 100


def events(rng, n, first=0, shift=0.0):
    content = {
        "version": "1",
        "ids": [f"p{first + i}" for i in range(n)],
        "at": time.time(),
        "columns": {name: values.tolist() for name, values in draw(rng, n, shift).items()},
        "predictions": rng.beta(2, 5, n).tolist(),
    }
    return msgspec.msgpack.encode(content)


def value(client, series):
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(series + " ")]
    return float(lines[0].split()[-1]) if lines else None


def test_from_profile_and_events_to_an_alarm_and_its_end(monitor, receiver):
    process, client = monitor
    rng = np.random.default_rng(12)
    assert client.post("/v1/events", content=events(rng, 5)).status_code == 409
    reference = draw(rng, 5000)
    profile = Profile.build(
        "churn",
        "classification",
        ["No", "Yes"],
        reference,
        {"age": "number", "plan": "category"},
        rng.beta(2, 5, 5000),
    )
    assert client.put("/v1/profiles/1", content=profile.to_json()).status_code == 201
    traffic = Traffic(client.base_url, rng)
    traffic.start()
    try:
        until(lambda: client.get("/v1/drift").json()["enough"])
        calm = client.get("/v1/drift").json()
        assert not calm["alarm"]
        assert not any(score["drifted"] for score in calm["features"].values())
        traffic.shift = 1.0
        receiver.wait(lambda alerts: len(alerts) >= 1)
        state = client.get("/v1/drift").json()
        assert state["alarm"]
        assert state["features"]["age"]["drifted"]
        assert value(client, 'loopwright_drift_alarm{loop="churn",version="1"}') == 1
        traffic.shift = 0.0
        receiver.wait(lambda alerts: alerts[-1][2]["status"] == "resolved")
    finally:
        traffic.done.set()
        traffic.join()
    path, authorization, first = receiver.alerts[0]
    assert (path, authorization) == ("/v1/alerts", f"Bearer {TOKEN}")
    assert [alert["labels"]["feature"] for alert in first["alerts"]] == ["age"]
    assert {body["status"] for _, _, body in receiver.alerts[:-1]} == {"firing"}
    assert value(client, 'loopwright_alerts_total{outcome="retried"}') == 1
    series = 'loopwright_events_total{loop="churn",version="1"}'
    until(lambda: value(client, series) == traffic.sent)
    finish(process, client)


def test_strangers_get_their_answer_and_write_nothing(monitor):
    process, client = monitor
    with httpx.Client(base_url=client.base_url, timeout=30, trust_env=False) as stranger:
        assert stranger.put("/v1/profiles/1", content=b"{}").status_code == 401
        assert stranger.post("/v1/events", content=b"\0" * 50_000_000).status_code == 401
        labels = {"labels": [{"id": "p1", "label": "Yes"}]}
        assert stranger.post("/v1/labels", json=labels).status_code == 401
        page = {**BEARER, "Origin": "https://example.com", "Content-Type": "text/plain"}
        assert stranger.post("/v1/events", content=events(np.random.default_rng(1), 5), headers=page).status_code == 403
    assert value(client, 'loopwright_events_rejected_total{reason="unauthorized"}') == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def finish(process, client):
    """Labels are joined; a body that is too large gets its answer; SIGTERM ends the process in order."""
    labels = {"labels": [{"id": "p1", "label": "Yes"}, {"id": "unheard-of", "label": "No"}]}
    answer = client.post("/v1/labels", json=labels)
    assert answer.json() == {"joined": 1, "unknown": 1, "repeated": 0, "contradicting": 0}
    assert value(client, 'loopwright_label_loss_count{loop="churn",version="1"}') == 1
    assert client.post("/v1/events", content=b"\0" * 50_000_000).status_code == 413
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_without_a_token_an_address_that_others_reach_is_refused_with_exit_code_9(loop_file, tmp_path):
    environment = {**os.environ, "LOOPWRIGHT_TOKEN": "\n"}
    arguments = command(loop_file, 0, "--host", "0.0.0.0")  # noqa: S104
    run = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30)
    assert run.returncode == 9
    assert "there is no token, and other machines reach 0.0.0.0" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_port_in_use_is_said_in_one_line_with_exit_code_9(loop_file, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(command(loop_file, port), cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert run.returncode == 9
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("content", [None, "{", '{"kind": "Loop"}'])
def test_a_declaration_that_cannot_be_read_is_said_with_exit_code_2(tmp_path, content):
    path = tmp_path / "loop.json"
    if content is not None:
        path.write_text(content)
    run = subprocess.run(command(path, 0), cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert run.returncode == 2
    assert str(path) in run.stderr
    assert "Traceback" not in run.stderr


def test_an_address_for_alerts_that_is_no_url_is_refused_at_once(loop_file, tmp_path):
    arguments = command(loop_file, 0, "--alerts", "localhost:9000/v1/alerts")
    run = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert run.returncode == 2
    assert "is no URL of a web server" in run.stderr


def test_events_of_kserves_logger_go_the_short_way_of_the_process_and_are_counted(monitor):
    process, client = monitor
    profile = Profile.build(
        "churn", "classification", ["No", "Yes"], draw(np.random.default_rng(1), 2000),
        {"age": "number", "plan": "category"}, np.random.default_rng(2).beta(2, 5, 2000),
    )  # fmt: skip
    client.put("/v1/profiles/7", content=profile.to_json()).raise_for_status()
    bodies = {"response": b'{"predictions": [0.25]}', "request": b'{"instances": [[40, "basic"]]}'}
    for number in range(50):
        for half, body in bodies.items():
            kind = f"org.kubeflow.serving.inference.{half}"
            headers = {"ce-id": f"r{number}", "ce-type": kind, "ce-specversion": "1.0"}
            # httpx names the connection, which goes the ordinary way; without, it is as KServe's logger writes it.
            request = client.build_request("POST", "/v1/cloudevents/7", content=body, headers=headers)
            if number % 2:
                del request.headers["connection"]
            assert client.send(request).status_code == 200
    wanted = 'loopwright_events_total{loop="churn",version="7"} 50\n'
    until(lambda: wanted in client.get("/metrics").text)
    with open(f"/proc/{process.pid}/status") as status:
        resident = next(line for line in status.read().splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) * 1024 < 150e6


@pytest.mark.long
def test_recent_traffic_is_known_again_after_a_restart(tmp_path, churn_declaration):
    """Eight hours of the loop are twelve seconds; the process that begins again has them from the first."""
    path, port, rng = tmp_path / "loop.json", free_port(), np.random.default_rng(4)
    path.write_text(parse(churn_declaration + "monitor: {window: 1h, min_events: 300, recent: 8h}").to_json())
    environment = {**os.environ, "LOOPWRIGHT_TOKEN": TOKEN, "LOOPWRIGHT_SPEED": "2400"}
    kinds = {"age": "number", "plan": "category"}
    reference = Profile.build("churn", "classification", ["No", "Yes"], draw(rng, 5000), kinds, rng.beta(2, 5, 5000))
    begun, since = [], []
    for _ in range(2):
        begun.append(time.time())
        with (
            open(tmp_path / "stderr", "ab") as log,
            subprocess.Popen(command(path, port), env=environment, stderr=log, cwd=tmp_path) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=BEARER, timeout=30, trust_env=False) as client,
        ):
            traffic = Traffic(f"http://127.0.0.1:{port}", rng)
            try:
                until(lambda client=client, process=process: healthy(process, client, tmp_path))
                client.put("/v1/profiles/1", content=reference.to_json()).raise_for_status()
                traffic.start()
                until(lambda client=client: client.get("/v1/drift").json()["recent"])
            finally:
                traffic.done.set()
                process.terminate()
            assert process.wait(20) == 0
        kept = json.loads((tmp_path / ".loopwright" / "recent" / "churn.json").read_text())
        since.append(kept["versions"]["1"]["since"])
    # What was not counted between the two is no part of the span, and nothing else is forgotten.
    assert since[0] <= since[1] < begun[1]
