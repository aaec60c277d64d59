"""Events in a bucket of a real S3 server (versitygw), through a server that is away and a monitor that is killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from loopwright.archive import read
from loopwright.declaration import parse
from loopwright.statistics.profile import Profile

# Building the server from nothing takes about two minutes of two idle cores.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
BUILDING = 400

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-the-test", "AWS_REGION": "us-east-1"}
ARCHIVE = 'monitor: {archive: {url: "s3://events/live", every: 1s, redact: [plan]}}'
KINDS = {"age": "number", "plan": "category"}


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server: on PATH, or built by Go."""
    if found := shutil.which("versitygw"):
        return found
    if shutil.which("go") is None:
        pytest.skip(f"versitygw is not on PATH, and there is no Go to build it with (go install {VERSITYGW})")
    folder = tmp_path_factory.mktemp("go")
    command, environment = ["go", "install", VERSITYGW], {**os.environ, "GOBIN": str(folder)}
    try:
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILDING, check=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"versitygw could not be built: {error.stderr.strip().splitlines()[-1]}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"versitygw could not be built in {BUILDING} s")
    return str(folder / "versitygw")


class Server:
    """An S3 server on a port and a folder that stay, with the bucket `events`."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        (folder / "buckets" / "events").mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # Without the provider's chunked uploads etc.: a plain folder behind the S3 protocol.
        environment = {**os.environ, "ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"]}
        environment["ROOT_SECRET_KEY"] = KEYS["AWS_SECRET_ACCESS_KEY"]
        with (self._folder / "s3.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "--port", f"127.0.0.1:{self.port}", "posix", str(self._folder / "buckets")],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        until(lambda: answers(self.port), (self._folder / "s3.log").read_text)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Monitor:
    """The monitor's process, started again and again in one folder."""

    def __init__(self, folder: Path, declaration: str) -> None:
        self._folder, self.port, self._sent = folder, free_port(), 0
        (folder / "loop.json").write_text(parse(declaration).to_json())
        self._process: subprocess.Popen[bytes] | None = None
        self._rng = np.random.default_rng(4)

    def start(self) -> None:
        with (self._folder / "monitor.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loopwright.monitor", "--loop", "loop.json", "--port", str(self.port)],
                cwd=self._folder, env=os.environ | {"LOOPWRIGHT_STATE": str(self._folder / "state")}, stderr=log,
            )  # fmt: skip
        until(lambda: answers(self.port), self.log)
        rng = np.random.default_rng(1)
        columns = {"age": rng.normal(40, 9, 500), "plan": rng.choice(["basic", "premium"], 500).astype(object)}
        profile = Profile.build("churn", "classification", ["No", "Yes"], columns, KINDS, rng.random(500))
        self.call("PUT", "/v1/profiles/1", content=profile.to_json())

    def send(self, rows: int) -> list[str]:
        ids = [f"p{self._sent + number}" for number in range(rows)]
        self._sent += rows
        columns = {"age": self._rng.normal(40, 9, rows).tolist(), "plan": ["premium"] * rows}
        message = {
            "version": "1", "ids": ids, "at": time.time(), "columns": columns,
            "predictions": self._rng.random(rows).tolist(),
        }  # fmt: skip
        self.call("POST", "/v1/events", content=msgspec.msgpack.encode(message))
        return ids

    def value(self, metric: str) -> float:
        lines = [line for line in self.call("GET", "/metrics").text.splitlines() if line.startswith(metric)]
        return sum(float(line.split()[-1]) for line in lines)

    def call(self, method: str, path: str, **options: str | bytes) -> httpx.Response:
        with httpx.Client(trust_env=False) as client:
            return client.request(method, f"http://127.0.0.1:{self.port}{path}", **options).raise_for_status()

    def end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            code = self._process.wait(40)
            self._process = None
            assert code == (-number if number == signal.SIGKILL else 0), self.log()

    def log(self) -> str:
        return (self._folder / "monitor.log").read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], bool], tell: Callable[[], str], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about in time: {tell()}"
        time.sleep(0.05)


@pytest.fixture
def s3(binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(binary, tmp_path)
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"}.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def monitor(s3: Server, tmp_path: Path, churn_declaration: str) -> Iterator[Monitor]:
    one = Monitor(tmp_path, churn_declaration + ARCHIVE)
    one.start()
    yield one
    one.end(signal.SIGKILL)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """The buckets' folder as a disk of 200 kB, and a function that gives it another size."""
    folder = tmp_path / "buckets"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a disk of its own (tmpfs) may not be mounted here")
    yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True) and None
    # A server that is ending may hold it for a moment; it goes when that is gone.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def stored() -> list[str]:
    now = datetime.now(UTC)
    batches = read("s3://events/live", loop="churn", start=now - timedelta(days=1), end=now + timedelta(days=1))
    return [one for batch in batches for one in batch.column("prediction_id").to_pylist()]


def test_no_row_that_reached_the_disk_is_lost_or_stored_twice(s3: Server, monitor: Monitor, tmp_path: Path) -> None:
    sent = monitor.send(300)
    until(lambda: sorted(stored()) == sorted(sent), monitor.log)

    s3.stop()
    sent += monitor.send(200)
    until(lambda: monitor.value("loopwright_archive_failed_puts_total") > 0, monitor.log)
    assert monitor.value("loopwright_archive_spool_bytes") > 0
    assert monitor.call("GET", "/healthz").is_success
    monitor.end(signal.SIGKILL)

    s3.start()
    monitor.start()
    until(lambda: sorted(stored()) == sorted(sent), monitor.log)

    # What is only gathered yet when the monitor is asked to end is shipped before it does.
    sent += monitor.send(50)
    monitor.end(signal.SIGTERM)
    assert sorted(stored()) == sorted(sent)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in monitor.log()
    files = [path for path in (tmp_path / "buckets").rglob("*") if path.is_file()]
    assert files
    assert all(b"premium" not in path.read_bytes() for path in files)


def test_a_store_that_is_full_has_everything_when_it_has_room_again(
    small_disk: Callable[[str], None], s3: Server, monitor: Monitor
) -> None:
    sent = [one for _ in range(20) for one in monitor.send(1000)]
    until(lambda: monitor.value("loopwright_archive_failed_puts_total") > 0, monitor.log)
    assert "does not take files" in monitor.log()
    small_disk("20m")
    until(
        lambda: monitor.value('loopwright_archive_rows_total{loop="churn",outcome="stored"}') == len(sent), monitor.log
    )
    assert sorted(stored()) == sorted(sent)


def test_the_command_lists_counts_and_exports_what_is_in_the_bucket(
    monitor: Monitor, tmp_path: Path, churn_declaration: str
) -> None:
    sent = monitor.send(40)
    until(lambda: len(stored()) == len(sent), monitor.log)
    folder = tmp_path / "churn"
    folder.mkdir()
    (folder / "loop.yaml").write_text(churn_declaration + ARCHIVE)

    def loopwright(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "loopwright.cli.main", "events", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert "1         " in loopwright("list", "churn").stdout
    counted = loopwright("count", "churn", "--since", "1h", "--json")
    assert msgspec.json.decode(counted.stdout) == {"events": 40, "versions": {"1": 40}}
    exported = loopwright("export", "churn", "--to", str(tmp_path / "window.csv"), "--columns", "prediction_id,age")
    assert exported.returncode == 0, exported.stderr
    assert len((tmp_path / "window.csv").read_text().splitlines()) == 41


def test_a_wrong_key_is_said_and_loses_nothing(
    s3: Server, tmp_path: Path, churn_declaration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    one = Monitor(tmp_path, churn_declaration + ARCHIVE)
    one.start()
    try:
        sent = one.send(20)
        until(lambda: "does not take files" in one.log(), one.log)
        assert one.value("loopwright_archive_spool_bytes") > 0
        one.end(signal.SIGTERM)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["AWS_SECRET_ACCESS_KEY"])
        one.start()
        until(lambda: sorted(stored()) == sorted(sent), one.log)
    finally:
        one.end(signal.SIGKILL)
