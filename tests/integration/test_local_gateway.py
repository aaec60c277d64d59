"""The supervisor and the real Envoy, with stand-ins for the predictors, the monitor and the trigger (stand_in.py)."""

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from loopwright import settings
from loopwright.local import lock, token
from loopwright.local.state import read_series
from loopwright.rollout.counts import read_traffic
from loopwright.rollout.envoy_admin import STATS_QUERY
from loopwright.rollout.state import Placement, Serving, read_serving, read_status, write_serving

DECLARATION = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: churn}
data:
  source: churn.csv
  label: {column: churned}
  contract: {age: {type: number}, churned: {values: ["no", "yes"]}}
model: {task: classification}
rollout: {analysis: {error_rate: {}, latency_p99: {max: 40ms}}}
"""
PREDICT = "/v1/models/churn:predict"
ONE, TWO, BROKEN = (Placement(n, f"/{name}", "00") for n, name in ((1, "one"), (2, "two"), (3, "broken")))


class Up:
    """A supervisor as a process of its own, as pdeathsig and signals need it."""

    def __init__(self, folder: Path, terminal=None, before=(), **given):
        folder.mkdir(exist_ok=True)
        (folder / "loop.yaml").write_text(DECLARATION)
        self.live, self.log = folder / ".loopwright" / "live", folder / "up.log"
        script = Path(__file__).with_name("run_supervisor.py")
        with self.log.open("w") as log:
            output = log if terminal is None else terminal
            self.process = subprocess.Popen(
                [*before, sys.executable, str(script), str(folder), json.dumps(given)],
                stdout=output,
                stderr=output,
                start_new_session=terminal is not None,
            )

    def until(self, met, timeout=20.0):
        """Wait until `met(status)` is true of status.json; returns the status."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            status = read_status(self.live)
            if status is not None and met(status):
                return status
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.005)
        raise AssertionError(f"not within {timeout} s: {read_status(self.live)}\n{self.log.read_text()}")

    def announced(self, text):
        return self.until(lambda _: text in self.log.read_text())

    def want(self, stable=None, canary=None, weight=0):
        placed = None if canary is None else Placement(canary.version, canary.bundle, canary.digest, weight)
        write_serving(self.live, Serving(stable, placed))

    def weighted(self, weights):
        """Wait until Envoy routes by these weights; returns the seconds that it took."""
        begun = time.monotonic()
        self.until(lambda status: status.weights == weights)
        return time.monotonic() - begun

    def document(self):
        return json.loads((self.live / "status.json").read_text())

    def children(self):
        """Every process that was started for this loop, by the state folder in its environment."""
        mark, found = f"LOOPWRIGHT_STATE={self.live.parent}\0".encode(), []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(**given):
        started.append(Up(tmp_path, **given))
        return started[-1]

    yield begin
    for one in started:
        one.end()


def up_with(start, **given):
    up = start(initial=vars(ONE), **given)
    up.announced("everything is ready")
    return up, up.until(lambda status: status.weights == {1: 100})


async def load(gateway, results, stop, workers=8):
    """Steady requests until `stop`; `results` counts (status, version)."""

    async def work(client):
        while not stop.is_set():
            try:
                answer = await client.post(gateway + PREDICT, json={"instances": [{"age": 1}]})
                version = answer.json().get("version") if answer.is_success else answer.text
                results[answer.status_code, version] += 1
            except httpx.HTTPError as error:
                results[type(error).__name__, str(error)] += 1

    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        await asyncio.gather(*(work(client) for _ in range(workers)))


def test_a_rollout_under_load_fails_no_request_and_each_shift_takes_well_under_a_second(start):
    up, status = up_with(start, work=3)
    gateway, results, seconds = status.endpoints["gateway"], Counter(), []

    async def scenario():
        stop = asyncio.Event()
        loading = asyncio.create_task(load(gateway, results, stop))
        up.want(ONE, TWO, 0)
        await asyncio.to_thread(up.weighted, {1: 100, 2: 0})
        for weight in (5, 50, 0, 25, 100):
            up.want(ONE, TWO, weight)
            seconds.append(await asyncio.to_thread(up.weighted, {1: 100 - weight, 2: weight}))
            await asyncio.sleep(0.3)  # In which requests that were in flight at the shift are answered.
            before = results.copy()
            await asyncio.sleep(0.2)
            assert (weight < 100) == ((200, "1") in results - before)
            assert (weight > 0) == ((200, "2") in results - before) or weight == 5
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            up.want(ONE, TWO, 50)
            await asyncio.to_thread(up.weighted, {1: 50, 2: 50})
            long = [asyncio.create_task(client.get(f"{gateway}/sleep/1.5")) for _ in range(24)]
            await asyncio.sleep(0.3)
            up.want(TWO)
            await asyncio.to_thread(up.weighted, {2: 100})
            answers = await asyncio.gather(*long)
        await asyncio.to_thread(up.until, lambda status: set(status.predictors) == {2})
        await asyncio.sleep(0.3)
        stop.set()
        await loading
        return answers

    answers = asyncio.run(scenario())
    assert set(results) == {(200, "1"), (200, "2")}, results
    assert results.total() > 200
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["version"] for answer in answers} == {"1", "2"}, "requests drained from the one that left"
    assert max(seconds) < 1.0, seconds
    print(f"{results.total()} requests, 0 failed; seconds a shift: {', '.join(f'{one:.3f}' for one in seconds)}")


def test_the_observed_weights_are_those_by_which_requests_are_routed(start):
    up, status = up_with(start)
    up.want(ONE, TWO, 25)
    up.weighted({1: 75, 2: 25})
    with httpx.Client(base_url=status.endpoints["gateway"], trust_env=False) as client:
        shares = Counter(client.post(PREDICT).json()["version"] for _ in range(400))
    # 400 draws of 0.25: five standard deviations are 43.
    assert 57 < shares["2"] < 143, shares


def test_a_killed_predictor_is_answered_503_then_restarted_and_back(start):
    up, status = up_with(start)
    gateway = status.endpoints["gateway"]
    os.kill(status.predictors[1].pid, signal.SIGKILL)
    answer = httpx.post(gateway + PREDICT, trust_env=False)
    assert answer.status_code == 503
    assert "connect" in answer.json()["error"]
    up.until(lambda status: status.predictors[1].state == "failed")
    assert "predictor 1 was ended by SIGKILL" in up.document()["problems"]["predictor 1"]
    back = up.until(lambda status: status.predictors[1].state == "ready")
    assert back.predictors[1].restarts == 1
    assert httpx.post(gateway + PREDICT, trust_env=False).json()["pid"] == back.predictors[1].pid
    assert up.document()["problems"] == {}


def test_a_killed_envoy_comes_back_with_the_same_route(start):
    up, status = up_with(start)
    os.kill(up.document()["services"]["envoy"]["pid"], signal.SIGKILL)
    up.until(lambda _: up.document()["services"]["envoy"]["restarts"] == 1)
    up.until(lambda status: status.weights == {1: 100} and up.document()["services"]["envoy"]["state"] == "ready")
    assert httpx.post(status.endpoints["gateway"] + PREDICT, trust_env=False).status_code == 200


def test_http_and_grpc_share_the_port_and_are_counted_with_errors_and_slow_requests(start):
    import grpc

    up, status = up_with(start, work=80)
    with httpx.Client(base_url=status.endpoints["gateway"], trust_env=False) as client:
        own = client.post(PREDICT, headers={"x-request-id": "my-own"})
        codes = [own.status_code, client.get("/anything").status_code, client.get("/fail").status_code]
    assert codes == [200, 200, 500]
    assert own.headers["x-request-id"] == "my-own"
    with grpc.insecure_channel(status.endpoints["grpc"]) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert infer(b"", timeout=5) == b"1"
        with pytest.raises(grpc.RpcError, match="asked to fail"):
            infer(b"fail", timeout=5)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        text = httpx.get(status.endpoints["envoy_admin"] + STATS_QUERY, trust_env=False).text
        arm = read_traffic(text, 40.0)[1]
        if arm.timed == 5:
            break
    assert (arm.requests, arm.errors, arm.timed, arm.slow) == (5, 2, 5, 1)
    assert 'le="40"' in text
    while not (series := [line for line in read_series(up.live) if line["requests"].get("1") == 5]):
        assert time.monotonic() < deadline + 5, read_series(up.live)
    assert series[-1]["errors"] == {"1": 2}
    assert series[-1]["drift"] == {"age": {"distance": 0.2, "score": 1.5}}


def test_without_a_ready_version_the_gateway_says_what_is_missing(start):
    import grpc

    up = start()
    status = up.until(lambda _: up.document()["services"]["envoy"]["state"] == "ready")
    gateway = status.endpoints["gateway"]
    answer = httpx.post(gateway + PREDICT, trust_env=False)
    assert (answer.status_code, answer.json()) == (503, {"error": "no version of churn is live: roll one out"})
    with grpc.insecure_channel(status.endpoints["grpc"]) as channel:
        with pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(b"", timeout=5)
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        assert failure.value.details() == "no version of churn is live: roll one out"

    up.want(BROKEN)
    up.until(lambda status: 3 in status.predictors and status.predictors[3].restarts >= 1)
    assert "BundleError: the model is damaged" in up.document()["problems"]["predictor 3"]
    assert "version 3 of churn is not ready yet" in httpx.post(gateway + PREDICT, trust_env=False).json()["error"]

    # A damaged wish is reported, and what was wanted before stays; the next one counts.
    (up.live / "serving.json").write_text("{")
    up.until(lambda _: "serving.json is damaged" in up.document()["problems"].get("serving", ""))
    up.want(ONE)
    up.weighted({1: 100})
    up.until(lambda status: set(status.predictors) == {1})


def test_what_was_wanted_before_is_taken_up_again_rather_than_the_initial_version(start, tmp_path):
    write_serving(tmp_path / ".loopwright" / "live", Serving(ONE, Placement(2, "/two", "00", 25)))
    up = start(initial=vars(BROKEN))
    up.announced("everything is ready")
    assert up.until(lambda status: status.weights == {1: 75, 2: 25})
    assert read_serving(up.live).stable == ONE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_supervisor(start, number):
    up, _ = up_with(start)
    before = up.children()
    # Envoy, a predictor, monitor and trigger with a child each.
    assert len(before) == 6, before
    up.process.send_signal(number)
    assert up.process.wait(20) == (-number if number == signal.SIGKILL else 0)
    deadline = time.monotonic() + (5 if number == signal.SIGKILL else 0)
    while (left := up.children()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []
    assert lock.holder(up.live) is None
    if number != signal.SIGKILL:
        assert read_status(up.live) is None
        assert not (up.live / "token").exists()
        assert up.log.read_text().endswith("stopping\nstopped\n")


LEADS = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the process the leader of its terminal's session, to which the kernel sends SIGHUP when the terminal closes."""


@pytest.mark.parametrize(("before", "number"), [([sys.executable, "-c", LEADS], 0), ([], signal.SIGTERM)])
def test_nothing_is_left_when_the_terminal_is_closed_and_sigterm_ends_it_without_one(tmp_path, before, number):
    master, slave = os.openpty()
    up = Up(tmp_path, terminal=slave, before=before, initial=vars(ONE))
    os.close(slave)
    try:
        up.until(lambda status: status.weights == {1: 100})
        os.close(master)
        up.process.send_signal(number)
        up.process.wait(20)
        assert up.children() == []
        assert read_status(up.live) is None
        assert lock.holder(up.live) is None
    finally:
        up.process.kill()
        up.process.wait()


def test_a_second_up_and_a_port_in_use_are_refused_with_what_to_do(start, tmp_path):
    up, _ = up_with(start)
    second = Up(tmp_path)
    assert second.process.wait(20) == 7
    message = second.log.read_text()
    assert f"churn is up already, as process {up.process.pid}" in message
    assert f"`kill {up.process.pid}`" in message
    assert lock.holder(up.live) == up.process.pid

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = Up(tmp_path / "other", gateway_port=port)
        assert other.process.wait(20) == 9
        assert re.search(rf"port {port} on 127.0.0.1 cannot be used for the gateway", other.log.read_text())


def test_children_get_the_token_by_environment_and_commands_of_the_same_user_find_it(start, tmp_path):
    up, status = up_with(start)
    seen = httpx.get(status.endpoints["gateway"] + "/environment", trust_env=False).json()
    assert len(seen["token"]) > 30
    assert seen["token"] == token.find(settings.read(tmp_path, {}))
    assert seen["token"] not in " ".join(seen["arguments"])
    assert stat.S_IMODE((up.live / "token").stat().st_mode) == 0o600


def command_lines(up):
    return [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in up.children()]


@pytest.mark.parametrize("uri", ["https://me:s3cret@mlflow.example.com", "postgresql://me:s3cret@localhost/mlflow"])
def test_the_registrys_password_is_in_no_argument_and_not_in_the_status(start, monkeypatch, uri):
    monkeypatch.setenv("LOOPWRIGHT_REGISTRY_URI", uri)
    up, status = up_with(start, with_mlflow=True)
    assert status.endpoints["mlflow"].startswith("https://me:***@" if "https" in uri else "http://127.0.0.1:")
    lines = command_lines(up)
    assert len(lines) >= 6
    assert "s3cret" not in "".join(lines) + up.log.read_text() + json.dumps(up.document())
