"""One supervisor a loop: an advisory lock on a file that holds the process' id.

The kernel gives the lock up when its holder ends, however it ends, so there is no stale lock to remove.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopwright.errors import StateError

FILE = "lock"


@contextmanager
def held(live: Path, loop: str) -> Iterator[None]:
    """Hold the loop's lock in the folder `live`. Raises StateError, naming the process, where another holds it."""
    with _opened(live) as descriptor:
        if not _take(descriptor):
            pid = _read(descriptor)
            raise StateError(
                f"{loop} is up already, as process {pid or 'unknown'}",
                expected="one `loopwright up` a loop",
                do=f"use what it serves, or stop it first: Ctrl-C where it runs{f', or `kill {pid}`' if pid else ''}",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield


def holder(live: Path) -> int | None:
    """The process that holds the lock, or nothing where none does."""
    if not (live / FILE).exists():
        return None
    with _opened(live) as descriptor:
        return None if _take(descriptor) else _read(descriptor)


@contextmanager
def _opened(live: Path) -> Iterator[int]:
    try:
        live.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(live / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateError(
            f"{live / FILE} cannot be written: {error.strerror or error}", do="check the folder's permissions"
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> int | None:
    # Empty in the moment between a holder's taking the lock and its writing here.
    text = os.pread(descriptor, 20, 0).decode(errors="replace")
    return int(text) if text.isdigit() else None
