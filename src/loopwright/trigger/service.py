"""From an alarm or a person to at most one run, and from the run to the rollout.

    alarm -> `alarm` entry -> `decision` entry -> `run` entry (the claim) -> worker: run -> `run_ended` -> rollout

Every step is an entry whose key is unique, so that of several triggers on one ledger, or of several deliveries of one
alarm, exactly one goes on: `<loop>/alarm/<episode>`, `<loop>/start/<n-th start>`, `<loop>/run/<cause>`.

An alarm that may not start a run yet is kept and decided about again: when it is repeated, when its moment comes, when
a run has ended. What is kept is not restored after a restart, for whoever sends an alarm repeats it as long as it
fires, and only they know whether it still does.
"""

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from loopwright.errors import LoopwrightError, StateError
from loopwright.ledger import DuplicateEntry, Entry, Ledger
from loopwright.loop import Loop
from loopwright.settings import Settings
from loopwright.trigger.causes import Cause, Ignored, Received
from loopwright.trigger.decide import FINAL, Decision, decide, runs, starts, unclaimed
from loopwright.trigger.execute import AskEngine, Executor, Rollout, StartRun
from loopwright.trigger.history import History
from loopwright.trigger.pending import Pending, Waiting

log = logging.getLogger("loopwright.trigger")

_RETRY_SECONDS = 1.0  # after the ledger could not be used


@dataclass(frozen=True)
class Outcome:
    """What was decided about a cause: its entry's number, the decision, and the name of the run that it started."""

    entry: int
    decision: Decision
    run: str | None = None


class Trigger:
    """Decides and runs for one loop. `start` begins the worker thread, `stop` ends it; calls come from any thread."""

    def __init__(
        self,
        loop: Loop,
        ledger: Ledger,
        settings: Settings,
        *,
        run: StartRun,
        rollout: Rollout,
        new_rows: Callable[[], int],
        ask: AskEngine,
        engine: str = "local",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        poll_seconds: float = 2.0,
    ) -> None:
        self.loop, self.settings, self.history = loop, settings, History(ledger, loop.name, clock)
        self._new_rows, self._clock, self._engine = new_rows, clock, engine
        self._wake = threading.Condition(threading.RLock())
        self._stopping = threading.Event()
        self._jobs: deque[Callable[[], None]] = deque()
        self._waiting = Waiting(clock)
        self._thread: threading.Thread | None = None
        self._executor = Executor(
            loop,
            self.history,
            run=run,
            rollout=rollout,
            ask=ask,
            clock=clock,
            stopping=self._stopping,
            poll_seconds=poll_seconds,
        )

    def start(self) -> None:
        """Find what a stopped process left open, and begin to work. Raises StateError if the ledger is not usable."""
        with self._wake:
            if self._thread is not None:
                return
            for run in runs(self.history.read()):
                if not run.ended:
                    log.info("the run %s was left open", run.name)
                    self._jobs.append(partial(self._executor.resume, run.entry))
            if unfinished := self._executor.unfinished_rollout():
                self._jobs.append(partial(self._executor.roll_out, unfinished))
            self._thread = threading.Thread(target=self._work, name="loopwright-trigger", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Take no more work and wait for what is under way; whether it ended in `timeout` seconds."""
        with self._wake:
            self._stopping.set()
            self._wake.notify_all()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """Whether the worker thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def receive(self, received: Received) -> list[Outcome]:
        """Take what a notification says; one outcome a cause. Raises StateError when the ledger is not usable."""
        with self._wake:
            self._check()
            for ignored in received.ignored:
                self._ignore(ignored)
            for source, group in received.resolved:
                self._resolve(source, group)
            return [self._alarm(cause) for cause in received.causes]

    def request(self, reason: str, by: str) -> Outcome:
        """A person asks for a run: only a run in flight stands against it, and then the request is not kept."""
        with self._wake:
            self._check()
            entry = self.history.append("request", {"reason": reason, "by": by})
            return self._consider(entry)

    def reconsider(self) -> None:
        """Decide again about every kept alarm whose moment has come, and complete starts that were left half-way."""
        with self._wake:
            entries = self.history.read()
            numbered = {entry.number: entry for entry in entries}
            for decision in unclaimed(entries):
                self._claim(decision, numbered[decision.cause or 0])
            for alarm in self._waiting.due():
                self._consider(alarm)

    def pending(self) -> list[Pending]:
        """The alarms that fire and wait, the oldest first."""
        return self._waiting.all()

    def busy(self) -> str:
        """What the worker does, in words, or nothing."""
        return self._executor.busy

    def _check(self) -> None:
        if self._stopping.is_set():
            raise StateError("the trigger is stopping", do="send it again: the next trigger on this ledger takes it")

    def _alarm(self, cause: Cause) -> Outcome:
        try:
            entry = self.history.append("alarm", cause.facts, key=cause.key)
            log.info("alarm %d: %s", entry.number, cause.facts["summary"])
        except DuplicateEntry as error:
            entry = self.history.get(error.number)
        # A group has one episode at a time: a newer one takes the place of what is kept of the one before.
        self._waiting.drop_group((cause.source, cause.group), but=entry.number)
        return self._consider(entry)

    def _resolve(self, source: str, group: str) -> None:
        for number in self._waiting.drop_group((source, group)):
            self._refuse(number, Decision("no", "resolved", "the alarm was over before a run could start"))

    def _ignore(self, ignored: Ignored) -> None:
        """Record once a loop that alerts of it come here, as it is somebody's wrong route."""
        facts = {"action": "no", "rule": "other_loop", "reason": ignored.reason}
        name = hashlib.sha256(ignored.loop.encode()).hexdigest()[:40]
        self.history.append_once("decision", facts, key=f"other_loop/{name}")

    def _consider(self, cause: Entry) -> Outcome:
        """Decide about a cause; on `start`, claim the run and hand it to the worker."""
        while True:
            entries = self.history.read()
            begun = starts(entries)
            mine = next((decision for decision in begun if decision.cause == cause.number), None)
            if mine is not None:
                self._waiting.drop(cause.number)
                return self._claim(mine, cause)
            decision = decide(
                self.loop.retrain,
                self.settings.clock,
                entries,
                cause,
                self._clock(),
                self._new_rows,
                self._executor.busy,
            )
            if decision.action == "no":
                return self._hold(cause, decision)
            try:
                # The n-th start of the loop can be decided once: of two triggers that both see a free way, one goes.
                self.history.append("decision", _facts(decision), cause=cause.number, key=f"start/{len(begun) + 1}")
            except DuplicateEntry:
                log.info("another trigger decided first about entry %d", cause.number)

    def _hold(self, cause: Entry, decision: Decision) -> Outcome:
        self._refuse(cause.number, decision)
        if cause.kind == "alarm" and decision.rule not in FINAL:
            self._waiting.keep(cause, decision)
            self._wake.notify_all()
        else:
            self._waiting.drop(cause.number)
        return Outcome(cause.number, decision)

    def _claim(self, decision: Entry, cause: Entry) -> Outcome:
        """Write the `run` entry before anything starts. Whoever writes it runs it; everyone else sees it is taken."""
        made = Decision("start", decision.facts["rule"], decision.facts["reason"])
        name = f"{self.loop.name}-{self._clock():%Y%m%d%H%M%S}-{cause.number}"
        facts = {"run": name, "engine": self._engine, "by": cause.facts.get("by") or cause.facts["source"]}
        try:
            intent = self.history.append("run", facts, cause=decision.number, key=f"run/{cause.number}")
        except DuplicateEntry as error:
            return Outcome(cause.number, made, self.history.get(error.number).facts["run"])
        self._jobs.append(partial(self._executor.execute, intent))
        self._wake.notify_all()
        return Outcome(cause.number, made, name)

    def _refuse(self, cause: int, decision: Decision) -> None:
        """Record a `no` once a cause and rule: an alarm that is repeated every minute must not fill the ledger."""
        key = f"no/{cause}/{decision.rule}"
        self.history.append_once("decision", _facts(decision), cause=cause, key=key)

    def _work(self) -> None:
        """The worker: whatever is claimed, one after the other, and in between what has become due."""
        while not self._stopping.is_set():
            if not self._do(self.reconsider):
                self._stopping.wait(_RETRY_SECONDS)
            job = self._next_job()
            if job is not None:
                self._do(job)
                with self._wake:
                    self._waiting.look_at_once()

    def _next_job(self) -> Callable[[], None] | None:
        with self._wake:
            if not self._jobs and not self._stopping.is_set():
                self._wake.wait(self._waiting.delay())
            return self._jobs.popleft() if self._jobs and not self._stopping.is_set() else None

    def _do(self, job: Callable[[], None]) -> bool:
        """Whether the job went through. A worker that dies would leave the loop without runs, unnoticed."""
        try:
            job()
        except LoopwrightError as error:
            log.error("the worker could not go on: %s", error)
        except Exception:
            log.exception("the worker could not go on")
        else:
            return True
        return False


def _facts(decision: Decision) -> dict[str, Any]:
    return {"action": decision.action, "rule": decision.rule, "reason": decision.reason}
