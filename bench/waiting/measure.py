"""What a command costs with everything it starts, and a server until it answers.

The kernel accounts for a process when it is waited for. A local run's process outlives the command by a moment, so this
process adopts orphans (Linux' PR_SET_CHILD_SUBREAPER) and waits for them too.
"""

import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.serving.measure import cpu_seconds

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_WAIT = 120.0


class Cost(NamedTuple):
    """CPU seconds of all processes, user and system; seconds by the clock; MB (10^6 bytes) of the largest process."""

    cpu: float
    seconds: float
    peak: float


class CommandError(Exception):
    """A command that failed or did not become ready; its text says which, and what it said."""


def command(call: Sequence[str], folder: Path, own: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end, with all that it starts. Raises CommandError when it fails."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    cpu, peak, began = 0.0, 0, time.monotonic()
    log = folder / "command.log"
    first = _start(call, folder, log, own)
    ended = 0.0
    while True:
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu, peak = cpu + used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss)
        if pid == first.pid:
            first.returncode, ended = os.waitstatus_to_exitcode(status), time.monotonic() - began
    if first.returncode:
        said = log.read_text(errors="replace").strip()[-500:]
        raise CommandError(f"{' '.join(call)} ended with {first.returncode}: {said}")
    return Cost(cpu, ended, peak * 1024 / 1e6)


def server(call: Sequence[str], folder: Path, ready: Callable[[], bool], own: Mapping[str, str] | None = None) -> Cost:
    """Start a server, wait until it is ready, and end it: what it had cost by then, and its memory then.

    The memory is the proportional set size, summed over its processes: what they share is counted once. Raises
    CommandError when it does not become ready.
    """
    log, began = folder / "server.log", time.monotonic()
    process = _start(call, folder, log, own, session=True)
    try:
        while not ready():
            if process.poll() or time.monotonic() - began > _WAIT:
                raise CommandError(f"{' '.join(call)} is not ready: {log.read_text(errors='replace').strip()[-500:]}")
            time.sleep(0.02)
        seconds = time.monotonic() - began
        return Cost(cpu_seconds(process.pid), seconds, sum(map(memory, family(process.pid))))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(
    call: Sequence[str], folder: Path, log: Path, own: Mapping[str, str] | None, *, session: bool = False
) -> "subprocess.Popen[bytes]":
    """Start a process whose output goes to the log; with a session of its own all of it can be ended at once."""
    with log.open("wb") as output:
        return subprocess.Popen(
            call,
            cwd=folder,
            env={**environment(), **(own or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=session,
        )


def family(root: int) -> list[int]:
    """A process and its descendants."""
    found = [root]
    for pid in found:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(one) for one in path.read_text().split()]
    return found


def memory(pid: int) -> float:
    """MB of a process, of what it shares its part."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:  # it ended meanwhile
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def environment() -> dict[str, str]:
    """This process's, without what would change what is measured; one thread, as threads that wait cost time too."""
    dropped = ("LOOPWRIGHT_", "PYTHON", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "OMP_NUM_THREADS": "1", "LOOPWRIGHT_TOKEN": "bench", "MLFLOW_DISABLE_TELEMETRY": "true"}
