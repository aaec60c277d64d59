"""What the kernel knows of processes: which one an id names, whether it lives, who holds a lock, and who outlives whom.

An id alone names a process only while it lives: the kernel gives it to another one afterwards. With the time of the
start it names one process.
"""

import ctypes
import fcntl
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Loaded here, as nothing may be imported between fork and exec.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def collect_seldom() -> None:
    """Have the garbage collector look after 50,000 new objects, where it looks after 700 by Python's default.

    Called before the libraries are imported. Importing them makes a million objects that stay, and looking at them
    again and again is a sixth of the CPU time that it takes to import pandas, LightGBM and MLflow. It stays so, as what
    a run or a predictor makes a lot of is freed by its counts: a run on 300,000 rows peaked at 705 MB, and at 718 MB
    with Python's default.
    """
    gc.set_threshold(50_000)


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent, the process `parent`, ends (Linux only).

    A process whose parent has ended already ends here. The kernel means the thread that forked, so whoever starts such
    a process does it from a thread that lives as long as the process may.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # It ended before the kernel was asked.
        os._exit(1)


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine did; None where this is not known, as without /proc."""
    found = _stat(pid)
    return None if found is None else int(found[19])


def alive(pid: int, start: int | None = None) -> bool:
    """Whether the process lives; given its start, another process with the same id is not it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's: it lives
        pass
    found = _stat(pid)
    if found is None:
        return True
    # One that has ended and that nobody has waited for is only a name.
    return found[0] not in "ZX" and start in (None, int(found[19]))


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on: the state is the first of them, the start the 20th."""
    try:
        # The second field is the program's name in brackets, which may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


@contextmanager
def locked(path: Path, note: str | None) -> Iterator[str | None]:
    """Try to hold the lock on a file: gives None when it is held now, and the holder's note where another holds it.

    The note is written to the file, unless it is None. The lock is the kernel's, so it ends with its process however
    that ends, and there is no stale lock to remove. Raises OSError where the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    holder: str | None = None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Empty in the moment between a holder's taking the lock and its writing here.
            holder = os.pread(descriptor, 100, 0).decode(errors="replace")
        if holder is None and note is not None:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note.encode(), 0)
        yield holder
    finally:
        os.close(descriptor)
