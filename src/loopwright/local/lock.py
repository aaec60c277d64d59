"""One supervisor a loop: an advisory lock on a file that holds the process' id."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loopwright import processes
from loopwright.errors import StateError

FILE = "lock"


@contextmanager
def held(live: Path, loop: str) -> Iterator[None]:
    """Hold the loop's lock in the folder `live`. Raises StateError, naming the process, where another holds it."""
    with _locked(live, str(os.getpid())) as found:
        if found is not None:
            pid = _pid(found)
            raise StateError(
                f"{loop} is up already, as process {pid or 'unknown'}",
                expected="one `loopwright up` a loop",
                do=f"use what it serves, or stop it first: Ctrl-C where it runs{f', or `kill {pid}`' if pid else ''}",
            )
        yield


def holder(live: Path) -> int | None:
    """The process that holds the lock, or nothing where none does."""
    if not (live / FILE).exists():
        return None
    with _locked(live, None) as found:
        return None if found is None else _pid(found)


@contextmanager
def _locked(live: Path, note: str | None) -> Iterator[str | None]:
    with ExitStack() as stack:
        try:
            live.mkdir(parents=True, exist_ok=True)
            found = stack.enter_context(processes.locked(live / FILE, note))
        except OSError as error:
            raise StateError(
                f"{live / FILE} cannot be written: {error.strerror or error}", do="check the folder's permissions"
            ) from error
        yield found


def _pid(note: str) -> int | None:
    return int(note) if note.isdigit() else None
