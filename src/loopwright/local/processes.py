"""Child processes that never outlive the supervisor.

Each child leads a session and process group of its own, so that Ctrl-C in the terminal reaches the supervisor alone,
which ends its children in order. It ends them by group: SIGTERM, then SIGKILL after a grace. If the supervisor is
killed, the kernel kills its children (PR_SET_PDEATHSIG), and the guard what they had started (guard.py).

PR_SET_PDEATHSIG follows the thread that forked, so children are started from the main thread only.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from loopwright import processes
from loopwright.errors import ServingError
from loopwright.local import guard

LOG_LIMIT = 5_000_000
"""Bytes at which a log is set aside as `<name>.log.1` when its process starts again."""


class Guard:
    """The process that ends the groups it was told when this process ends (guard.py)."""

    def __init__(self, grace: float = guard.GRACE) -> None:
        self._grace = grace
        self._groups: set[int] = set()
        self._process: subprocess.Popen[str] | None = None

    def add(self, group: int) -> None:
        """End this group if the supervisor is killed."""
        self._groups.add(group)
        self._tell(f"+{group}")

    def remove(self, group: int) -> None:
        """This group has ended."""
        self._groups.discard(group)
        if self._process is not None:
            self._tell(f"-{group}")

    def close(self) -> None:
        """End the guard, and with it every group that it still knows."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _tell(self, line: str) -> None:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(self._grace)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            line = "\n".join(f"+{group}" for group in sorted(self._groups)) or line
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)


class Child:
    """One process at a time under one name, with its log; started, asked after and ended by the supervisor."""

    def __init__(self, name: str, log: Path, guard: Guard) -> None:
        self.name, self.log = name, log
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; its output is appended to the log.

        Raises ServingError when the command cannot be run, OSError when the log cannot be written.
        """
        assert not self.running, "one process at a time"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        with self.log.open("ab") as output:
            try:
                self._process = subprocess.Popen(
                    list(command),
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=partial(processes.end_with_parent, os.getpid()),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise ServingError(
                    f"{self.name} cannot be started: {command[0]}: {error}", do="check that it is installed"
                ) from error
        try:
            self._guard.add(self._process.pid)
        except OSError:
            guard.send(self._process.pid, signal.SIGKILL)
            raise

    @property
    def pid(self) -> int:
        """The process' id, which is its group's too; 0 where none was started."""
        return 0 if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process runs. One that has ended is cleared away, with what is left of its group."""
        if self._process is None:
            return False
        if self._process.poll() is None:
            return True
        guard.send(self._process.pid, signal.SIGKILL)
        self._guard.remove(self._process.pid)
        self.ended = self._process.returncode
        self._process = None
        return False

    ended: int | None = None
    """The exit code of the process that ended last; below 0, the signal that ended it."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, if it runs."""
        if self.running:
            guard.send(self.pid, number)

    async def stop(self, grace: float) -> None:
        """End it: SIGTERM to the group, SIGKILL after `grace` seconds."""
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        while self.running and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self.signal(signal.SIGKILL)
        while self.running:  # SIGKILL cannot be refused.
            await asyncio.sleep(0.02)

    def last_line(self) -> str:
        """The last line in the log that says something, at most 300 characters of it."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 4096))
                lines = file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


class Backoff:
    """How long to wait before the next start: doubling, from the beginning again after a long enough life."""

    def __init__(self, first: float = 0.5, most: float = 30.0) -> None:
        self._first, self._most, self._next = first, most, first

    def delay(self, lived: float) -> float:
        """The seconds to wait after a process that lived for `lived` seconds."""
        if lived > self._most:
            self._next = self._first
        delay, self._next = self._next, min(self._next * 2, self._most)
        return delay
