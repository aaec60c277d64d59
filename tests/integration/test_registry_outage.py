"""MLflow goes away in the middle of a run: nothing is registered half, and the step that is tried again ends it."""

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.registry import Registry
from loopwright.settings import read
from loopwright.steps import __main__ as steps

# On a busy machine the server alone takes minutes to start.
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]


class Cable:
    """A TCP connection to a server, which can be pulled out: open connections are cut and new ones refused."""

    def __init__(self, port: int) -> None:
        self._to, self._open, self.plugged = port, list[socket.socket](), True
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if not self.plugged:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def pull(self) -> None:
        """Nothing goes through any more."""
        self.plugged = False
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening."""
        self.pull()
        self._server.close()


@pytest.fixture
def mlflow(tmp_path: Path, until: Callable[..., Any]) -> Iterator[Cable]:
    """A real MLflow server, behind a cable."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", f"{tmp_path}/kept"]
    with (tmp_path / "mlflow.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )

    def healthy() -> bool:
        assert process.poll() is None, (tmp_path / "mlflow.log").read_text()
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    cable = Cable(port)
    try:
        until(healthy, "MLflow answers", 300)
        yield cable
    finally:
        cable.close()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def test_an_outage_at_any_point_leaves_whole_versions_only_and_the_next_attempt_completes_the_run(
    mlflow: Cable, small: Loop, small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPWRIGHT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOOPWRIGHT_REGISTRY_URI", f"http://127.0.0.1:{mlflow.port}")
    # By default MLflow's client asks for some minutes, which an outage in a test need not last.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv(steps.REQUEST, json.dumps({"loop": json.loads(small.to_json()), "features": ""}))
    (tmp_path / "state").mkdir()
    settings = read(tmp_path)
    ledger, registry = Ledger(settings.ledger_url), Registry(settings)
    entry = ledger.append("small", "run", {"run": "small-1", "engine": "argo", "by": "ada"}).number

    def attempt(*names: str, cause: int) -> tuple[int, int]:
        out = tmp_path / "out"
        code = steps.main(
            [
                *(*names, "--run=small-1", f"--cause={cause}", f"--root={small_folder}", f"--outputs={out}"),
                *(f"--place={tmp_path / 'state' / 'runs'}", f"--scratch={tmp_path / 'scratch'}"),
            ]
        )
        return code, int((out / "entry").read_text())

    def kept() -> list[tuple[int, tuple[str, ...]]]:
        mlflow.plugged = True
        return [(one.number, one.aliases) for one in registry.versions("small")]

    code, trained = attempt("snapshot", "validate", "split", "train", cause=entry)
    assert code == 0
    mlflow.pull()
    assert attempt("evaluate", cause=trained)[0] == 8, "the champion cannot be asked for"
    mlflow.plugged = True
    code, judged = attempt("evaluate", cause=trained)
    assert code == 0

    def pulled_before(name: str) -> pytest.MonkeyPatch:
        """The cable is pulled when the client calls this."""
        from mlflow import MlflowClient

        real, patch = getattr(MlflowClient, name), pytest.MonkeyPatch()
        patch.setattr(MlflowClient, name, lambda *given, **named: (mlflow.pull(), real(*given, **named))[1])
        return patch

    for name, left in (("create_model_version", []), ("set_registered_model_alias", [(1, ())])):
        patch = pulled_before(name)
        assert attempt("register", cause=judged)[0] == 8, name
        patch.undo()
        assert kept() == left
        assert ledger.entries("small", kind="registered") == []
    assert attempt("register", cause=judged)[0] == 0
    assert kept() == [(1, ("challenger",))]
    (registered,) = ledger.entries("small", kind="registered")
    assert registered.facts["digest"] == registry.get("small", 1).digest
    assert attempt("register", cause=judged)[0] == 0
    assert len(ledger.entries("small", kind="registered")) == 1
