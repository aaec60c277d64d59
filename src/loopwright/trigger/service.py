"""From an alarm or a person to at most one run, and from the run to the rollout.

    alarm -> `alarm` entry -> `decision` entry -> `run` entry (the claim) -> worker: run -> `run_ended` -> rollout

Every step is an entry whose key is unique, so that of several triggers on one ledger, or of several deliveries of one
alarm, exactly one goes on: `<loop>/alarm/<episode>`, `<loop>/start/<n-th start>`, `<loop>/run/<cause>`.

An alarm that may not start a run yet is kept and decided about again: when it is repeated, when its moment comes, when
a run has ended. What is kept is not restored after a restart, for whoever sends an alarm repeats it as long as it
fires, and only they know whether it still does. An alarm whose run came to nothing and that is repeated is decided
about again too, by the same rules; its further runs are claimed as `<loop>/run/<cause>/<n>`.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from loopwright.errors import StateError
from loopwright.ledger import DuplicateEntry, Entry, Ledger
from loopwright.loop import Loop
from loopwright.settings import Settings
from loopwright.trigger.causes import Cause, Ignored, Received
from loopwright.trigger.decide import FINAL, Decision, attempts, decide, runs, standing, starts, unclaimed
from loopwright.trigger.execute import AskEngine, Executor, StartRun
from loopwright.trigger.history import History
from loopwright.trigger.open_runs import OpenRuns
from loopwright.trigger.pending import Pending, Waiting
from loopwright.trigger.rollouts import Rollout, Rollouts
from loopwright.trigger.worker import Worker

log = logging.getLogger("loopwright.trigger")


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
        self._waiting, self._open = Waiting(clock), OpenRuns(clock)
        self._rollouts = Rollouts(loop, self.history, rollout, clock)
        self._worker = Worker(
            self._wake, self._stopping, look=self.reconsider, done=self._waiting.look_at_once, delay=self._delay
        )
        self._executor = Executor(
            loop,
            self.history,
            run=run,
            rollouts=self._rollouts,
            ask=ask,
            clock=clock,
            stopping=self._stopping,
            poll_seconds=poll_seconds,
        )

    def start(self) -> None:
        """Find what a stopped process left open, and begin to work. Raises StateError if the ledger is not usable."""
        with self._wake:
            if self._worker.started():
                return
            for run in runs(self.history.read()):
                if not run.ended:
                    log.info("the run %s was left open", run.name)
                    self._take(run.entry, self._executor.resume)
            if self._rollouts.unfinished():
                self._worker.add(self._executor.roll_out_unfinished)
            self._worker.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Take no more work and wait for what is under way; whether it ended in `timeout` seconds."""
        with self._wake:
            self._stopping.set()
            self._wake.notify_all()
        return self._worker.join(timeout)

    def alive(self) -> bool:
        """Whether the worker thread runs."""
        return self._worker.alive()

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
        """Decide again about every kept alarm whose moment has come, and complete what was left half-way.

        That is: decisions without their run, rollouts that could not go on, and open runs that nobody here has in hand.
        """
        with self._wake:
            entries = self.history.read()
            numbered = {entry.number: entry for entry in entries}
            for decision in unclaimed(entries):
                self._claim(decision, numbered[decision.cause or 0], entries)
            for intent in self._open.due(runs(entries)):
                self._worker.add(partial(self._look_after, intent))
            if self._rollouts.due():
                self._worker.add(self._executor.roll_out_unfinished)
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
            if mine := standing(entries, cause):
                self._waiting.drop(cause.number)
                return self._claim(mine, cause, entries)
            decision = decide(
                self.loop.retrain,
                self.settings.clock,
                entries,
                cause,
                self._clock(),
                self._new_rows,
                self._in_hand(cause),
            )
            if decision.action == "no":
                return self._hold(cause, decision, len(attempts(entries, cause.number)) + 1)
            try:
                # The n-th start of the loop can be decided once: of two triggers that both see a free way, one goes.
                key = f"start/{len(starts(entries)) + 1}"
                self.history.append("decision", _facts(decision), cause=cause.number, key=key)
            except DuplicateEntry:
                log.info("another trigger decided first about entry %d", cause.number)

    def _hold(self, cause: Entry, decision: Decision, attempt: int) -> Outcome:
        self._refuse(cause.number, decision, attempt)
        if cause.kind == "alarm" and decision.rule not in FINAL:
            self._waiting.keep(cause, decision)
        else:
            self._waiting.drop(cause.number)
        # The worker looks at what is kept in time, and after the run that is in the way.
        self._wake.notify_all()
        return Outcome(cause.number, decision)

    def _claim(self, decision: Entry, cause: Entry, entries: Sequence[Entry]) -> Outcome:
        """Write the `run` entry before anything starts. Whoever writes it runs it; everyone else sees it is taken."""
        made = Decision("start", decision.facts["rule"], decision.facts["reason"])
        attempt = [one.number for one in attempts(entries, cause.number)].index(decision.number) + 1
        name = f"{self.loop.name}-{self._clock():%Y%m%d%H%M%S}-{cause.number}{f'-{attempt}' if attempt > 1 else ''}"
        facts = {"run": name, "engine": self._engine, "by": cause.facts.get("by") or cause.facts["source"]}
        key = f"run/{_attempt(cause.number, attempt)}"
        try:
            intent = self.history.append("run", facts, cause=decision.number, key=key)
        except DuplicateEntry as error:
            return Outcome(cause.number, made, self.history.get(error.number).facts["run"])
        self._take(intent, self._executor.execute)
        return Outcome(cause.number, made, name)

    def _refuse(self, cause: int, decision: Decision, attempt: int = 1) -> None:
        """Record a `no` once an attempt and rule: an alarm that is repeated every minute must not fill the ledger."""
        key = f"no/{_attempt(cause, attempt)}/{decision.rule}"
        self.history.append_once("decision", _facts(decision), cause=cause, key=key)

    def _take(self, intent: Entry, work: Callable[[Entry], None]) -> None:
        """Hand an open run to the worker, whose own it is until the work is done."""

        def job() -> None:
            try:
                work(intent)
            finally:
                with self._wake:
                    self._open.disown(intent.number)

        self._open.own(intent.number)
        self._worker.add(job)

    def _look_after(self, intent: Entry) -> None:
        """Ask once after a run that another process has or left open, and close it when it is over."""
        result = self._executor.ask(intent)
        with self._wake:
            over = self._open.judge(intent.number, result)
        if over is not None:
            self._executor.close(intent, over)

    def _delay(self) -> float | None:
        """How long the worker may sleep, in seconds; None: until something comes."""
        delays = (self._waiting.delay(), self._open.delay(), self._rollouts.delay())
        return min((delay for delay in delays if delay is not None), default=None)

    def _in_hand(self, cause: Entry) -> str:
        """What keeps this trigger from starting a run now, beside the runs in the ledger; empty for nothing."""
        # An alarm can wait, so that its run does not stand in a queue, claimed, behind a rollout that goes on.
        first = cause.kind == "alarm" and self._worker.queued()
        return self._executor.busy or ("the trigger goes on first with what was left" if first else "")


def _attempt(cause: int, number: int) -> str:
    """What the keys of a cause's n-th attempt have: the first is the cause's own."""
    return str(cause) if number == 1 else f"{cause}/{number}"


def _facts(decision: Decision) -> dict[str, Any]:
    return {"action": decision.action, "rule": decision.rule, "reason": decision.reason}
