"""From a cause to its decision, and from a decision to start to the one `run` entry that claims it.

    cause -> `decision` entry -> `run` entry (the claim) -> worker

The n-th start of a loop can be decided once and each of them claimed once, so of several triggers on one ledger
exactly one goes on. New rows are counted with no lock held: that reads the source, which can take minutes, and nothing
else is to wait for it. What was decided meanwhile is seen, as the decision is made anew with the count.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loopwright.errors import DataError, StateError
from loopwright.ledger import DuplicateEntry, Entry
from loopwright.loop import Loop
from loopwright.settings import Settings
from loopwright.trigger import decide as rules
from loopwright.trigger.decide import Decision
from loopwright.trigger.history import History
from loopwright.trigger.pending import Waiting
from loopwright.trigger.records import ALARM, FINAL, REQUEST, attempts, standing, starts

log = logging.getLogger("loopwright.trigger")

OVER = Decision("no", "resolved", "the alarm was over before a run could start")


@dataclass(frozen=True)
class Outcome:
    """What was decided about a cause: its entry's number, the decision, and the name of the run that it started."""

    entry: int
    decision: Decision
    run: str | None = None


class _NotCounted(Exception):
    """A decision hangs on the number of new rows, which has to be counted first."""


class Claims:
    """One trigger's decisions. `wake` is its lock; `take` gets each run that is claimed here, with the lock held."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        history: History,
        waiting: Waiting,
        *,
        wake: threading.Condition,
        stopping: threading.Event,
        new_rows: Callable[[], int],
        in_hand: Callable[[Entry], str],
        take: Callable[[Entry], None],
        clock: Callable[[], datetime],
        where: Mapping[str, str],
    ) -> None:
        self._loop, self._settings, self._history, self._waiting = loop, settings, history, waiting
        self._wake, self._stopping, self._counting = wake, stopping, threading.Lock()
        self._new_rows, self._in_hand, self._take = new_rows, in_hand, take
        self._clock, self._where = clock, where

    def check(self) -> None:
        """Raise StateError when the trigger is stopping: a run that it claimed now would have nobody to run it."""
        if self._stopping.is_set():
            raise StateError("the trigger is stopping", do="send it again: the next trigger on this ledger takes it")

    def consider(self, cause: Entry) -> Outcome:
        """Decide about a cause; on `start`, claim the run and hand it on. The lock must not be held here."""
        count: int | DataError | None = None
        while True:
            try:
                with self._wake:
                    self.check()
                    return self._consider(cause, count)
            except _NotCounted:
                count = self.count()

    def count(self) -> int | DataError:
        """The labelled rows that came after the last snapshot, or why they cannot be counted; one count at a time."""
        with self._counting:
            try:
                return self._new_rows()
            except DataError as error:
                return error

    def _consider(self, cause: Entry, count: int | DataError | None) -> Outcome:
        def counted() -> int:
            if count is None:
                raise _NotCounted
            if isinstance(count, DataError):
                raise count
            return count

        while True:
            entries = self._history.read()
            if mine := standing(entries, cause):
                self._waiting.drop(cause.number)
                return self.claim(mine, cause, entries)
            decision = rules.decide(
                self._loop.retrain, self._settings.clock, entries, cause, self._clock(), counted, self._in_hand(cause)
            )
            # While rows were counted nobody held the lock, and Alertmanager may have said that the alarm is over.
            over = cause.kind == ALARM and not self._waiting.admitted(cause.number)
            if over and decision.rule not in FINAL:
                return Outcome(cause.number, OVER)
            if decision.action == "no":
                return self._hold(cause, decision, len(attempts(entries, cause.number)) + 1)
            try:
                # The n-th start of the loop can be decided once: of two triggers that both see a free way, one goes.
                key = f"start/{len(starts(entries)) + 1}"
                self._history.append("decision", _facts(decision), cause=cause.number, key=key)
            except DuplicateEntry:
                log.info("another trigger decided first about entry %d", cause.number)

    def _hold(self, cause: Entry, decision: Decision, attempt: int) -> Outcome:
        self.refuse(cause.number, decision, attempt)
        if cause.kind != REQUEST and decision.rule not in FINAL:
            self._waiting.keep(cause, decision)
        else:
            self._waiting.drop(cause.number)
        # The worker looks at what is kept in time, and after the run that is in the way.
        self._wake.notify_all()
        return Outcome(cause.number, decision)

    def claim(self, decision: Entry, cause: Entry, entries: Sequence[Entry]) -> Outcome:
        """Write the `run` entry before anything starts. Whoever writes it runs it; everyone else sees it is taken."""
        made = Decision("start", decision.facts["rule"], decision.facts["reason"])
        attempt = [one.number for one in attempts(entries, cause.number)].index(decision.number) + 1
        name = f"{self._loop.name}-{self._clock():%Y%m%d%H%M%S}-{cause.number}{f'-{attempt}' if attempt > 1 else ''}"
        facts = {"run": name, **self._where, "by": cause.facts.get("by") or cause.facts["source"]}
        if wanted := rules.rows(self._loop.retrain, cause):
            facts["rows"] = wanted
        try:
            key = f"run/{_attempt(cause.number, attempt)}"
            intent = self._history.append("run", facts, cause=decision.number, key=key)
        except DuplicateEntry as error:
            return Outcome(cause.number, made, self._history.get(error.number).facts["run"])
        self._take(intent)
        return Outcome(cause.number, made, name)

    def refuse(self, cause: int, decision: Decision, attempt: int = 1) -> None:
        """Record a `no` once an attempt and rule: an alarm that is repeated every minute must not fill the ledger."""
        key = f"no/{_attempt(cause, attempt)}/{decision.rule}"
        self._history.append_once("decision", _facts(decision), cause=cause, key=key)


def _attempt(cause: int, number: int) -> str:
    """What the keys of a cause's n-th attempt have: the first is the cause's own."""
    return str(cause) if number == 1 else f"{cause}/{number}"


def _facts(decision: Decision) -> dict[str, Any]:
    return {"action": decision.action, "rule": decision.rule, "reason": decision.reason}
