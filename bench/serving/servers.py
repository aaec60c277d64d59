"""The servers: how each is installed, started on one core, asked whether it is ready, and ended.

Each competitor lives in a virtual environment of its own, made from a file in requirements/. Where a server has an
option, it is the one that suits it best here, and a note says so.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import venvs
from bench.serving.model import NAME

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
READY_SECONDS = 60
END_SECONDS = 20
_VERSION, _TOKEN = "1", "bench"


class ServerError(Exception):
    """A server that cannot be started; its text says why."""


@dataclass(frozen=True)
class Server:
    """One server: its requests' form by protocol, and what reports say of it."""

    key: str
    title: str
    forms: Mapping[str, str]
    packages: Sequence[str]
    ready: str = "/v2/health/ready"
    venv: str = ""
    sizes: Sequence[int] = (1, 1000)
    monitored: bool = False
    note: str = ""


_LOOPWRIGHT = {"v1": "v1 rows", "v2": "v2 columns", "binary": "binary columns", "grpc": "grpc columns"}
SERVERS = (
    Server("loopwright", "Loopwright", _LOOPWRIGHT, ["kserve", "lightgbm", "uvicorn", "orjson"]),
    Server("monitored", "Loopwright, with its monitor", _LOOPWRIGHT, [], monitored=True),
    Server(
        "kserve",
        "KServe's lightgbm server",
        {"v1": "v1 rows", "v2": "v2 matrix", "binary": "binary matrix", "grpc": "grpc matrix"},
        ["kserve", "lightgbm", "uvicorn"],
        f"/v2/models/{NAME}/ready",
        "kserve",
        note="its model class (not on PyPI) on KServe's ModelServer, with its defaults",
    ),
    Server(
        "kserve_quiet",
        "KServe's, without log lines",
        {"v1": "v1 rows", "v2": "v2 matrix", "grpc": "grpc matrix"},
        [],
        f"/v2/models/{NAME}/ready",
        "kserve",
        sizes=(1,),
        note="the same, with its latency and access logs off",
    ),
    Server(
        "mlserver",
        "MLServer",
        {"v2": "v2 matrix", "grpc": "grpc matrix"},
        ["mlserver", "mlserver-lightgbm", "lightgbm"],
        f"/v2/models/{NAME}/ready",
        "mlserver",
        sizes=(1,),
        note="with its defaults, as KServe's runtime for it has: a process that answers and one that predicts",
    ),
    Server(
        "mlserver_one",
        "MLServer, one process",
        {"v2": "v2 matrix", "grpc": "grpc matrix"},
        [],
        f"/v2/models/{NAME}/ready",
        "mlserver",
        note="`parallel_workers: 0` and `debug: false`",
    ),
    Server(
        "mlflow",
        "`mlflow models serve`",
        {"v2": "mlflow"},
        ["mlflow", "lightgbm", "uvicorn"],
        "/ping",
        "mlflow",
        note='its own JSON, `{"inputs": [[...]]}`',
    ),
    Server(
        "bentoml",
        "BentoML",
        {"v2": "bentoml"},
        ["bentoml", "lightgbm", "uvicorn"],
        "/readyz",
        "bentoml",
        note='its own JSON, `{"rows": [[...]]}`, to a service of NumPy arrays',
    ),
    Server(
        "echo",
        "bare uvicorn echo",
        {"v2": "echo"},
        ["uvicorn", "uvloop", "httptools"],
        "/",
        "echo",
        sizes=(1,),
        note="reads V2's bytes, predicts nothing",
    ),
)


def environment(server: Server, work: Path) -> Path:
    """The Python of the server's virtual environment, made when it is not there. Raises PeerError."""
    if not server.venv:
        return Path(sys.executable)
    return venvs.python(work / "venvs" / server.venv, HERE / "requirements" / f"{server.venv}.txt")


def versions(server: Server, python: Path) -> dict[str, str]:
    """The versions of the packages that matter to this server."""
    if not server.packages:
        return {}
    code = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    found = subprocess.run([python, "-c", code, *server.packages], capture_output=True, text=True, check=True)
    answer: dict[str, str] = json.loads(found.stdout)
    return answer


def _command(server: Server, python: Path, model: Path, http: int, grpc: int) -> tuple[list[str], dict[str, str], Path]:
    """The command, what it needs in its environment, and where it is started."""
    binary, folder = python.parent, model / (server.venv or "loopwright")
    ports = {"http": str(http), "grpc": str(grpc)}
    match server.key:
        case "loopwright" | "monitored":
            command = [str(python), "-m", "loopwright.serving", "--bundle", str(folder / "bundle")]
            command += ["--digest", (folder / "digest").read_text(), "--name", NAME, "--version", _VERSION]
            command += ["--http-port", ports["http"], "--grpc-port", ports["grpc"]]
            return command, {"LOOPWRIGHT_TOKEN": _TOKEN}, model
        case "kserve" | "kserve_quiet":
            command = [str(python), str(HERE / "runners" / "kserve_lightgbm.py"), "--model_name", NAME]
            command += ["--model_dir", str(folder), "--http_port", ports["http"], "--grpc_port", ports["grpc"]]
            return [*command, *(["--quiet"] if server.key == "kserve_quiet" else [])], {}, folder
        case "mlserver" | "mlserver_one":
            settings: dict[str, object] = {"HOST": "127.0.0.1", "HTTP_PORT": http, "GRPC_PORT": grpc}
            settings |= {"METRICS_PORT": free_port()}
            if server.key == "mlserver_one":
                settings |= {"PARALLEL_WORKERS": 0, "DEBUG": "false"}
            variables = {f"MLSERVER_{name}": str(value) for name, value in settings.items()}
            return [str(binary / "mlserver"), "start", str(folder)], variables, folder
        case "mlflow":
            command = [str(binary / "mlflow"), "models", "serve", "--model-uri", str(folder), "--port", ports["http"]]
            return [*command, "--env-manager", "local"], {"MLFLOW_DISABLE_TELEMETRY": "true"}, model
        case "bentoml":
            command = [str(binary / "bentoml"), "serve", "bentoml_service:Bench", "--port", ports["http"]]
            own = {"BENCH_MODEL": str(folder / "model.bst"), "BENTOML_HOME": str(folder / "home")}
            return [*command, "--host", "127.0.0.1"], own | {"BENTOML_DO_NOT_TRACK": "true"}, HERE / "runners"
        case _:
            command = [str(python), "-m", "uvicorn", "echo:app", "--port", ports["http"], "--no-access-log"]
            return [*command, "--log-level", "warning"], {}, HERE / "runners"


@dataclass
class Running:
    """A server that is up: its processes and addresses."""

    server: Server
    http: str = ""
    grpc: str = ""
    monitor: str = ""
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The server's first process; the monitor is the second."""
        return self.processes[0].pid

    def address(self, path: str) -> str:
        """Where a payload with this path goes."""
        return self.grpc if path.startswith("/inference.") else self.http

    def end(self) -> None:
        """End the processes and what they started."""
        for process in self.processes:
            _signal(process, signal.SIGTERM)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            # Also what a server's first process left behind.
            _signal(process, signal.SIGKILL)
            process.wait()


def start(server: Server, python: Path, work: Path, core: int, other: int) -> Running:
    """Start a server on a core, its monitor on the other, and wait until it is ready. Raises ServerError."""
    http, grpc = free_port(), free_port()
    command, own, folder = _command(server, python, work / "model", http, grpc)
    running = Running(server, f"127.0.0.1:{http}", f"127.0.0.1:{grpc}")
    try:
        if server.monitored:
            port = free_port()
            running.monitor = f"127.0.0.1:{port}"
            loop = str(work / "model" / "loopwright" / "loop.json")
            monitor = [str(python), "-m", "loopwright.monitor", "--loop", loop, "--port", str(port)]
            sidecar = _popen(monitor, own, folder, other, work / "monitor.log")
            command += ["--monitor", f"http://{running.monitor}"]
            running.processes = [_popen(command, own, folder, core, work / f"{server.key}.log"), sidecar]
        else:
            running.processes = [_popen(command, own, folder, core, work / f"{server.key}.log")]
        _wait_ready(running, work / f"{server.key}.log")
    except BaseException:
        running.end()
        raise
    return running


def _popen(command: list[str], own: Mapping[str, str], folder: Path, core: int, log: Path) -> "subprocess.Popen[bytes]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOOPWRIGHT_", "PYTHON"))}
    # One core, one thread: more would only wait for each other.
    single = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PATH": f"{Path(command[0]).parent}:{kept['PATH']}"}
    with log.open("wb") as output:
        return subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**kept, **single, **own},
            cwd=folder,
            start_new_session=True,
        )


def _wait_ready(running: Running, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in running.processes):
            break
        try:
            method = "POST" if running.server.ready == "/" else "GET"
            request = urllib.request.Request(f"http://{running.http}{running.server.ready}", method=method)
            with urllib.request.urlopen(request, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    told = log.read_text(errors="replace").strip().splitlines()
    raise ServerError(f"did not become ready: {told[-1] if told else 'it said nothing'}"[:300])


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
