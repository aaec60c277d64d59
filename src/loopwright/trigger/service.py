"""From an alarm, an event or a person to at most one run, and from the run to the rollout.

    cause -> `alarm`, `event` or `request` entry -> decision and claim -> worker: run -> `run_ended` -> rollout

Every step is an entry whose key is unique, so that of several triggers on one ledger, or of several deliveries of one
alarm, exactly one goes on: `<loop>/alarm/<episode>`, `<loop>/start/<n-th start>`, `<loop>/run/<cause>`.

An alarm that may not start a run yet is kept and decided about again: when it is repeated, when its moment comes, when
a run has ended. What is kept is not restored after a restart, for whoever sends an alarm repeats it as long as it
fires, and only they know whether it still does. An alarm whose run came to nothing and that is repeated is decided
about again too, by the same rules; its further runs are claimed as `<loop>/run/<cause>/<n>`. Events nobody repeats, so
those that wait are found in the ledger.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

from loopwright.errors import DataError
from loopwright.ledger import DuplicateEntry, Entry, Ledger
from loopwright.loop import Loop
from loopwright.settings import Settings
from loopwright.trigger.causes import Cause, Ignored, Received
from loopwright.trigger.claims import OVER, Claims, Outcome
from loopwright.trigger.decide import Decision
from loopwright.trigger.events import Agenda
from loopwright.trigger.execute import AskEngine, Executor, StartRun
from loopwright.trigger.history import History
from loopwright.trigger.open_runs import OpenRuns
from loopwright.trigger.pending import Pending, Waiting
from loopwright.trigger.records import ALARM, REQUEST, runs, unanswered, unclaimed
from loopwright.trigger.rollouts import Rollout, Rollouts
from loopwright.trigger.worker import Worker

log = logging.getLogger("loopwright.trigger")

__all__ = ["Outcome", "Trigger"]


class Trigger:
    """Decides and runs for one loop. `start` begins the worker thread, `stop` ends it; calls come from any thread.

    `report` is handed each alarm once, by whoever wrote it; it must return at once. `where` are the facts of a `run`
    entry that say where the run is: its engine, and which one of that kind.
    """

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
        where: Mapping[str, str] = MappingProxyType({"engine": "local"}),
        report: Callable[[Entry], None] = lambda _alarm: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        poll_seconds: float = 2.0,
    ) -> None:
        self.loop, self.settings, self.history = loop, settings, History(ledger, loop.name, clock)
        self._report = report
        self._clock, self._agenda = clock, Agenda(loop.retrain, settings.clock, clock)
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
        self._claims = Claims(
            loop,
            settings,
            self.history,
            self._waiting,
            wake=self._wake,
            stopping=self._stopping,
            new_rows=new_rows,
            in_hand=self._in_hand,
            take=partial(self._take, work=self._executor.execute),
            clock=clock,
            where=where,
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

    def now(self) -> datetime:
        """The real moment, by the trigger's clock."""
        return self._clock()

    def alive(self) -> bool:
        """Whether the worker thread runs."""
        return self._worker.alive()

    def receive(self, received: Received) -> list[Outcome]:
        """Take what a notification says; one outcome a cause. Raises StateError when the ledger is not usable."""
        with self._wake:
            self._claims.check()
            for ignored in received.ignored:
                self._ignore(ignored)
            for source, group in received.resolved:
                self._resolve(source, group)
        return [self._take_in(cause) for cause in received.causes]

    def request(self, reason: str, by: str, since: datetime | None = None) -> Outcome:
        """A person asks for a run: only a run in flight stands against it, and then the request is not kept.

        The run uses the rows since `since`, a moment of the loop; None is all rows.
        """
        with self._wake:
            self._claims.check()
            facts = {"reason": reason, "by": by, **({"since": since.isoformat()} if since else {})}
            entry = self.history.append(REQUEST, facts)
        return self._claims.consider(entry)

    def reconsider(self) -> None:
        """Decide again about every kept cause whose moment has come, and complete what was left half-way.

        That is: decisions without their run, events without their decision, rollouts that could not go on, and open
        runs that nobody here has in hand.
        """
        with self._wake:
            entries = self.history.read()
            numbered = {entry.number: entry for entry in entries}
            for decision in unclaimed(entries):
                self._claims.claim(decision, numbered[decision.cause or 0], entries)
            for intent in self._open.due(runs(entries)):
                self._worker.add(partial(self._look_after, intent))
            if self._rollouts.due():
                self._worker.add(self._executor.roll_out_unfinished)
            due = self._waiting.due()
        for cause in due:
            self._claims.consider(cause)
        self._look_at_events()

    def _look_at_events(self) -> None:
        """Take in what has come beside alarms, and decide about events that another trigger left without decision."""
        with self._wake:
            entries = self.history.read()
            if begun := self._agenda.taken_up(entries):
                facts, key = begun
                self.history.append_once("scheduled", facts, key=key)
                entries = self.history.read()
        if tick := self._agenda.tick(entries):
            self._take_in(tick)
        if self._agenda.counts():
            count = self._claims.count()
            if isinstance(count, DataError):
                log.warning("the new rows cannot be counted: %s", count)
            elif came := self._agenda.new_data(entries, count):
                self._take_in(came)
        kept = {pending.alarm.number for pending in self.pending()}
        for event in unanswered(self.history.read()):
            if event.number not in kept:
                self._claims.consider(event)

    def pending(self) -> list[Pending]:
        """The causes that wait, the oldest first."""
        return self._waiting.all()

    def busy(self) -> str:
        """What the worker does, in words, or nothing."""
        return self._executor.busy

    def _take_in(self, cause: Cause) -> Outcome:
        with self._wake:
            self._claims.check()
            try:
                entry = self.history.append(cause.kind, cause.facts, key=cause.key)
                log.info("%s %d: %s", cause.kind, entry.number, cause.facts["summary"])
                if cause.kind == ALARM:
                    self._report(entry)
            except DuplicateEntry as error:
                # A repeat says how it is now: a source may have been mended since, or have broken.
                entry = replace(self.history.get(error.number), facts=cause.facts)
            self._waiting.admit(entry)
            # A group has one episode at a time: a newer one takes the place of what is kept of the one before.
            for number in self._waiting.drop_group((cause.source, cause.group), but=entry.number):
                self._claims.refuse(number, Decision("no", "superseded", f"entry {entry.number} is newer"))
        return self._claims.consider(entry)

    def _resolve(self, source: str, group: str) -> None:
        for number in self._waiting.drop_group((source, group)):
            self._claims.refuse(number, OVER)

    def _ignore(self, ignored: Ignored) -> None:
        """Record once a loop that alerts of it come here, as it is somebody's wrong route."""
        facts = {"action": "no", "rule": "other_loop", "reason": ignored.reason}
        name = hashlib.sha256(ignored.loop.encode()).hexdigest()[:40]
        self.history.append_once("decision", facts, key=f"other_loop/{name}")

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
        delays = (self._waiting.delay(), self._open.delay(), self._rollouts.delay(), self._agenda.delay())
        return min((delay for delay in delays if delay is not None), default=None)

    def _in_hand(self, cause: Entry) -> str:
        """What keeps this trigger from starting a run now, beside the runs in the ledger; empty for nothing."""
        # It can wait, so that its run does not stand in a queue, claimed, behind a rollout that goes on.
        first = cause.kind != REQUEST and self._worker.queued()
        return self._executor.busy or ("the trigger goes on first with what was left" if first else "")
