"""The last one to leave: a process that ends the supervisor's process groups when the supervisor is gone.

The kernel ends the supervisor's own children with it (processes.py, on Linux), but not the children that they have:
MLflow's server starts workers, a trigger starts runs. The guard is told the groups on its standard input, `+123` and
`-123` a line. The pipe's end is the supervisor's end, even by SIGKILL; what is left of the groups then gets SIGTERM
and, after a grace, SIGKILL. Run by path with `python -I -S` and the grace in seconds: it imports
nothing but the standard library.
"""

import contextlib
import os
import signal
import sys
import time

GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL, unless it is told otherwise."""


def end(groups: set[int], grace: float = GRACE) -> None:
    """End these process groups: SIGTERM, and SIGKILL for those that are left after `grace` seconds."""
    left = {group for group in groups if send(group, signal.SIGTERM)}
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(0.02)  # The kernel tells nobody but the parent when a process ends.
        left = {group for group in left if send(group, 0)}
    for group in left:
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> bool:
    """Send a signal to a process group; whether there is one. Signal 0 only asks."""
    # EPERM is what macOS answers for a group of processes that have ended and were not waited for.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


def main() -> None:
    """Keep the set of groups until standard input ends, then end them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end(groups, float(sys.argv[1]))


if __name__ == "__main__":
    main()
