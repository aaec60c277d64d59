"""Calling the command as a user does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.postgresql import Server, binaries

Result = subprocess.CompletedProcess[str]


class Command:
    """The `loopwright` command, in a folder, with settings of its own."""

    call = (sys.executable, "-m", "loopwright.cli.main")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOPWRIGHT_")}
        self.environment = {**kept, "COLUMNS": "200"}
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str) -> Result:
        return subprocess.run(
            [*self.call, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def json(self, *arguments: str) -> Any:
        """What a command answers with --json; it must succeed."""
        result = self(*arguments, "--json")
        assert result.returncode == 0, result.stdout + result.stderr
        return json.loads(result.stdout)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin a command, to be ended by the test; `stop` ends it where the test failed before that."""
        process = subprocess.Popen(
            [*self.call, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def stop(self) -> None:
        """Kill what was begun and still runs, with its children."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        self._started.clear()


@pytest.fixture
def loopwright(small_folder: Path) -> Iterator[Command]:
    """The command, in the folder of the small loop; nothing of it outlives the test."""
    command = Command(small_folder)
    yield command
    command.stop()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What the condition gives once it is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"in {seconds:.0f} s it did not happen: {what}")


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Wait for a condition; see `wait_for`."""
    return wait_for


def end(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGINT) -> str:
    """Ask a process to end as Ctrl-C does, and return what it printed."""
    os.killpg(process.pid, number)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    return output


@pytest.fixture
def ending() -> Callable[..., str]:
    """End a process; see `end`."""
    return end


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Callable[[], Server]]:
    """Makes a PostgreSQL server that runs, and ends it with the module; skips where PostgreSQL is not installed."""
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL is not installed: no initdb on PATH or in /usr/lib/postgresql")
    made: list[Server] = []

    def make() -> Server:
        # Not below pytest's folder: that is closed to other users again whenever another pytest begins.
        made.append(Server(found, Path(tempfile.mkdtemp(prefix="loopwright-postgresql-"))))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)
