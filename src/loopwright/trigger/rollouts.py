"""From a registered version to its rollout, which is tried again, ever later, as long as it cannot go on.

What is to be rolled out is read from the ledger each time: a rollout that waits is dropped when something else was
promoted, or when a newer run registered a version. That it could not go on is written once for each reason.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from loopwright.errors import LoopwrightError, RolledBack, StateError
from loopwright.ledger import Entry
from loopwright.loop import Loop
from loopwright.trigger.history import History
from loopwright.trigger.records import runs

log = logging.getLogger("loopwright.trigger")

# Real seconds until a rollout that could not go on is tried again: twice as long each time, within these.
FIRST_SECONDS, LONGEST_SECONDS = 5.0, 300.0


class Rollout(Protocol):
    """Takes a version live and judges it, or goes on with its rollout where that was interrupted."""

    def __call__(self, version: int, *, cause: int) -> object:
        """`cause` is the number of the `registered` entry. Raises RolledBack, or an error when it cannot go on."""


class Rollouts:
    """One worker's rollouts."""

    def __init__(self, loop: Loop, history: History, rollout: Rollout, clock: Callable[[], datetime]) -> None:
        self._loop, self._history, self._rollout, self._clock = loop, history, rollout, clock
        self._due: datetime | None = None
        self._tries = 0

    def are_ours(self, intent: Entry) -> bool:
        """Whether a trigger claimed the run; what a person ran by hand, that person rolls out."""
        return self._loop.gates.approval == "auto" and is_claimed(self._loop, intent)

    def unfinished(self) -> Entry | None:
        """The end of the newest run that registered a version, if that is ours and has gone neither live nor back."""
        entries = self._history.read()
        made = [run for run in runs(entries) if run.ended and run.ended.facts["version"] is not None]
        if not made or not self.are_ours(made[-1].entry):
            return None
        end = made[-1].ended
        assert end is not None
        since = _cause(entries, end).number
        over = any(
            entry.number > since
            and (
                entry.kind == "promoted"
                or (entry.kind == "rolled_back" and entry.facts["version"] == end.facts["version"])
            )
            for entry in entries
        )
        return None if over else end

    def due(self) -> bool:
        """Whether a rollout that could not go on is to be tried now; said once a try."""
        if self._due is None or self._clock() < self._due:
            return False
        self._due = None
        return True

    def delay(self) -> float | None:
        """How many seconds until the next try; None where nothing waits."""
        return None if self._due is None else max((self._due - self._clock()).total_seconds(), 0.0)

    def go(self, end: Entry) -> None:
        """Roll out the version that a `run_ended` entry names, or go on with that; errors put it off."""
        version, cause = int(end.facts["version"]), end
        try:
            cause = _cause(self._history.read(), end)
            self._rollout(version, cause=cause.number)
        except RolledBack as error:
            log.warning("%s", error)
        except LoopwrightError as error:
            return self._failed(end, cause, str(error))
        except Exception as error:
            log.exception("the rollout of version %d failed", version)
            return self._failed(end, cause, f"{type(error).__name__}: {error}")
        else:
            log.info("version %d was rolled out", version)
        self._due, self._tries = None, 0

    def put_off(self) -> None:
        """Try later, and later each time."""
        seconds = min(FIRST_SECONDS * 2**self._tries, LONGEST_SECONDS)
        self._tries = min(self._tries + 1, 32)
        self._due = self._clock() + timedelta(seconds=seconds)

    def _failed(self, end: Entry, cause: Entry, reason: str) -> None:
        self.put_off()
        version = end.facts["version"]
        log.warning("version %d was not rolled out, and is tried again at %s: %s", version, self._due, reason)
        # A reason that differs in numbers only, such as a process's, is the same one.
        name = hashlib.sha256(re.sub(r"\d+", "#", reason).encode()).hexdigest()[:16]
        key = f"rollout_failed/{end.number}/{name}"
        try:
            self._history.append_once(
                "rollout_failed", {"version": version, "reason": reason}, cause=cause.number, key=key
            )
        except StateError as error:
            log.error("that the rollout of version %d failed is not written: %s", version, error)


def is_claimed(loop: Loop, intent: Entry) -> bool:
    """Whether a trigger claimed the run of a `run` entry."""
    return (intent.key or "").startswith(f"{loop.name}/run/")


def _cause(entries: Sequence[Entry], end: Entry) -> Entry:
    """The registration of an ended run's version, or the end itself."""
    for entry in reversed(entries):
        if entry.kind == "registered" and entry.facts["version"] == end.facts["version"]:
            return entry
    return end
