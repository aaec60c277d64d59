"""The reports of alarms: each is made by a command of its own, one after the other, beside everything else.

A report is for people who look into an alarm. Neither a decision nor a run waits for it, and where it cannot be made,
as the window's rows are not at hand, the log says so and nothing else is different.
"""

import logging
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from loopwright.ledger import Entry

log = logging.getLogger("loopwright.trigger")

MOST_WAITING = 16
# Real seconds that a report may take: reading the rows is what is slow.
LONGEST_SECONDS = 600.0


def find(entries: Sequence[Entry], state: Path, alarm: str, version: str | None) -> Path | None:
    """The page of an alarm by its number, or with `latest` the newest, of one version if that is given."""
    for entry in reversed(entries):
        if entry.kind != "reported" or alarm not in ("latest", str(entry.cause)):
            continue
        if alarm == "latest" and version not in (None, entry.facts["version"]):
            continue
        path = state / str(entry.facts["report"])
        return path if path.is_file() else None
    return None


class Reporter:
    """Makes the report of one alarm after the other; `command` gives the command line for an alarm's number.

    The command has `environment`.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], environment: Mapping[str, str]) -> None:
        self._command, self._environment = command, dict(environment)
        self._waiting: queue.Queue[int] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def offer(self, alarm: Entry) -> None:
        """Make the report of this alarm; returns at once. Beyond those that may wait it is left out."""
        try:
            self._waiting.put_nowait(alarm.number)
        except queue.Full:
            log.warning("the report of alarm %d is left out: %d others wait", alarm.number, MOST_WAITING)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="loopwright-reports", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            self._make(self._waiting.get())

    def _make(self, alarm: int) -> None:
        try:
            done = subprocess.run(
                list(self._command(alarm)),
                capture_output=True,
                text=True,
                timeout=LONGEST_SECONDS,
                check=False,
                env=self._environment,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("the report of alarm %d is not made: %s", alarm, error)
            return
        if done.returncode:
            log.warning("the report of alarm %d is not made: %s", alarm, (done.stderr.strip() or "no reason")[-500:])
