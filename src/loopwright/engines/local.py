"""Runs on this machine: the steps of the pipeline, one after the other, in a process of their own.

A run is a folder: the request, the process, the steps' progress, the log and, once it ended, the result. Who follows a
run reads the folder, so that a run can be followed, cancelled and listed from any process.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from loopwright import processes
from loopwright.engines.protocol import (
    CANCELLED,
    ENDED,
    FAILED,
    PENDING,
    RUNNING,
    STEPS,
    RunRequest,
    RunStatus,
    StepStatus,
)
from loopwright.errors import RunError
from loopwright.files import read_json, write_json
from loopwright.settings import Settings

REQUEST, PROCESS, PROGRESS, RESULT, LOG = "request.json", "process.json", "progress.jsonl", "result.json", "log.txt"

RUNNER = (sys.executable, "-m", "loopwright.engines.local_runner")
POLL = 0.1
# How long a run may take to end after it was asked to, before it is killed.
GRACE = 10.0
# How long a run may be without a process: whoever started it died before it could say which one it is.
START = 10.0


class LocalEngine:
    """Runs pipelines on this machine, with their folders in the state folder; `runner` is called with one."""

    def __init__(self, settings: Settings, runner: Sequence[str] = RUNNER) -> None:
        self._settings, self._runner = settings, runner

    @property
    def place(self) -> str:
        """The machine and the state folder."""
        return f"{self._settings.machine}:{self._settings.state}"

    def submit(self, request: RunRequest) -> RunStatus:
        """Start a run in a process of its own. A second submission of the same run id starts nothing."""
        folder = self._settings.runs / request.run
        try:
            if self._claim(folder, request):
                self._start(folder)
        except OSError as error:
            raise RunError(
                f"the run {request.run} cannot be started: {error}",
                expected=f"a folder that can be written, {self._settings.runs}, and memory for one more process",
                do="free what is short, and run it again",
            ) from error
        return self.status(request.run)

    def _claim(self, folder: Path, request: RunRequest) -> bool:
        """Make the run's folder with the request in it, in one step; false where there is one already."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
        try:
            made.chmod(0o755)
            write_json(made / REQUEST, _to_json(request), durable=True)
            made.rename(folder)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            if (folder / REQUEST).exists():
                return False
            raise
        return True

    def _start(self, folder: Path) -> None:
        """Start the run's process; where that fails or is interrupted, nothing runs and the result says so."""
        process: subprocess.Popen[bytes] | None = None
        try:
            with (folder / LOG).open("ab") as log:
                process = subprocess.Popen(
                    [*self._runner, str(folder), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self._settings.environment()},
                    # A session of its own: a Ctrl-C meant for the follower does not reach it; its group can be ended.
                    start_new_session=True,
                )
            found = {"pid": process.pid, "started": processes.started(process.pid)}
            write_json(folder / PROCESS, found, durable=True)
            _children[process.pid] = process
        except BaseException as error:
            if process is not None:
                _signal(process.pid, signal.SIGKILL)
                process.wait()
            interrupted = not isinstance(error, Exception)
            why = "cancelled" if interrupted else f"it cannot be started: {error}"
            with suppress(OSError):
                write_json(folder / RESULT, result(CANCELLED if interrupted else FAILED, 0.0, error=why))
            raise

    def status(self, run: str) -> RunStatus:
        """How a run is. Raises RunError when there is no such run."""
        folder = self._settings.runs / run
        if not (folder / REQUEST).exists():
            raise RunError(f"there is no run {run}", expected=f"one of those in {self._settings.runs}")
        name = read_json(folder / REQUEST)["name"]
        started = (folder / REQUEST).stat().st_mtime
        steps, error, code = _progress(folder / PROGRESS)
        status = RunStatus(run, name, RUNNING, steps, started, time.time() - started, log=str(folder / LOG))
        # The process is looked at before the result: it may write the result and end between the two.
        process = _process(folder)
        alive = status.seconds < START if process is None else _alive(*process)
        if (folder / RESULT).exists():
            result = read_json(folder / RESULT)
            # A step's own message says more than the runner's, which knows only that a step failed.
            result["error"] = error or result["error"]
            if result["state"] == FAILED:
                result["exit_code"] = code or RunError.exit_code
            return replace(status, **result)
        if not alive:
            message = error or (_NO_PROCESS if process is None else _NO_RESULT)
            return replace(status, state=FAILED, error=message, exit_code=RunError.exit_code)
        return status

    def runs(self, loop: str) -> list[RunStatus]:
        """All runs of a loop on this machine, the oldest first."""
        folders = self._settings.runs.iterdir() if self._settings.runs.is_dir() else []
        # A name with a dot is a run that is being made.
        named = [folder.name for folder in folders if not folder.name.startswith(".")]
        found = [self.status(name) for name in named if (self._settings.runs / name / REQUEST).exists()]
        return sorted((status for status in found if status.loop == loop), key=lambda status: status.started)

    def follow(self, run: str, progress: Callable[[RunStatus], None]) -> RunStatus:
        """Wait for a run to end, telling `progress` of every change."""
        timeout = timedelta(seconds=read_json(self._settings.runs / run / REQUEST)["timeout"])
        before: tuple[str, tuple[StepStatus, ...]] | None = None
        while True:
            status = self.status(run)
            if (status.state, status.steps) != before:
                before = (status.state, status.steps)
                progress(status)
            if status.state in ENDED:
                return status
            if status.seconds > timeout.total_seconds():
                self._end(run, FAILED, f"it did not end within {timeout}")
                continue
            time.sleep(POLL)

    def cancel(self, run: str) -> RunStatus:
        """End a run that has not ended, and wait until nothing of it is left."""
        status = self.status(run)
        return status if status.state in ENDED else self._end(run, CANCELLED, "cancelled")

    def _end(self, run: str, state: str, error: str) -> RunStatus:
        folder = self._settings.runs / run
        # Whoever starts it may be about to write which process it is; `status` says how long that may take.
        while (process := _process(folder)) is None and self.status(run).state not in ENDED:
            time.sleep(POLL / 2)
        # A group has the id of its leader, which another process may have got once the leader ended.
        if process is not None and _alive(*process):
            _end_group(process[0])
        if not (folder / RESULT).exists():
            write_json(folder / RESULT, result(state, time.time() - (folder / REQUEST).stat().st_mtime, error=error))
        return self.status(run)


_NO_RESULT = "the run's process ended without a result: it was killed, or the machine went down"
_NO_PROCESS = "the run's process was not started: whoever was to start it was killed, or the machine went down"

# Processes that this one started, so that their exit is collected and they do not stay as zombies.
_children: dict[int, "subprocess.Popen[bytes]"] = {}


def result(state: str, seconds: float, version: int | None = None, error: str | None = None) -> dict[str, Any]:
    """What result.json holds."""
    return {"state": state, "seconds": round(seconds, 3), "version": version, "error": error}


def _to_json(request: RunRequest) -> dict[str, Any]:
    return {**asdict(request), "folder": str(request.folder), "timeout": request.timeout.total_seconds()}


def _progress(path: Path) -> tuple[tuple[StepStatus, ...], str | None, int]:
    """Every step's state and seconds, and the message and exit code of the one that failed."""
    lines = []
    if path.exists():
        # The last line may be half there while it is written.
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(True) if line.endswith("\n")]
    states, began, seconds = dict.fromkeys(STEPS, PENDING), dict[str, float](), dict.fromkeys(STEPS, 0.0)
    error, code = None, 0
    done: dict[str, tuple[int, int]] = {}
    notes: dict[str, list[str]] = {}
    for line in lines:
        step = line["step"]
        if "of" in line:
            notes.setdefault(step, []).append(line["note"])
            done[step] = line["done"], line["of"]
        states[step] = line["state"]
        began.setdefault(step, line["at"])
        seconds[step] = round(line["at"] - began[step], 3)
        error, code = line.get("error", error), line.get("exit_code", code)
    told = {step: (*done[step], tuple(notes[step])) for step in done}
    return tuple(StepStatus(step, states[step], seconds[step], *told.get(step, ())) for step in STEPS), error, code


def _process(folder: Path) -> tuple[int, int | None] | None:
    """The run's process, by its id and its start; None where it is not written yet."""
    try:
        found = read_json(folder / PROCESS)
    except FileNotFoundError:
        return None
    return found["pid"], found["started"]


def _alive(pid: int, start: int | None) -> bool:
    """Whether the run's own process lives. What a child of this process left behind when it ended is ended too."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        _children.pop(pid, None)
        _signal(pid, signal.SIGKILL)
    return processes.alive(pid, start)


def _end_group(pid: int) -> None:
    """Ask a group that lives to end, and end it after the grace."""
    deadline = time.monotonic() + GRACE
    there = _signal(pid, signal.SIGTERM)
    while there and time.monotonic() < deadline:
        time.sleep(POLL / 2)
        child = _children.get(pid)
        if child is not None:
            child.poll()
        there = _signal(pid, 0)
    if there:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> bool:
    """Send a signal to a group; whether there is one. Signal 0 only asks."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, or (macOS) all ended and not waited for
        return False
    return True
