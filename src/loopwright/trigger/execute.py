"""Carries out one claimed run: run -> `run_ended` -> rollout, each known to the ledger before the next begins.

The `run` entry is in the ledger before anything starts. If the process dies after that, the entry has no end, and the
next trigger, or another one, asks the engine what became of the run instead of running it twice.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from loopwright.errors import GateError, LoopwrightError, StateError
from loopwright.ledger import DuplicateEntry, Entry
from loopwright.loop import Loop
from loopwright.trigger.history import History
from loopwright.trigger.records import INTERRUPTED, LOST, runs
from loopwright.trigger.rollouts import Rollouts, is_claimed

log = logging.getLogger("loopwright.trigger")

# Real seconds after which a run that the engine does not know is taken never to have been started.
UNKNOWN_SECONDS = 60.0

# Real seconds after which an open run that cannot be asked after is closed, so that it blocks its loop no longer. Every
# engine ends a run after six hours, and whoever has it in hand then writes its end.
LOST_SECONDS = 7 * 3600.0


@dataclass(frozen=True)
class RunResult:
    """What became of a run. `version` is the version it registered, None where its gates were not passed."""

    state: Literal["running", "succeeded", "rejected", "failed", "cancelled"]
    version: int | None = None
    error: str | None = None


class StartRun(Protocol):
    """Runs the pipeline to its end. An error that it raises is a failed run; a GateError, a rejected one."""

    def __call__(self, cause: int, run: str) -> RunResult:
        """`cause` is the number of the `run` entry; `run` is the run's name, unique and a DNS label."""


AskEngine = Callable[[Entry], RunResult | None]
"""What the engine says of the run of a `run` entry; None when it knows no such run, or the run's process is gone.

Raises a LoopwrightError where it cannot say: it is out of reach, or the run is of another place.
"""


class Executor:
    """One worker's hands: it does one thing at a time, and `busy` says what."""

    def __init__(
        self,
        loop: Loop,
        history: History,
        *,
        run: StartRun,
        rollouts: Rollouts,
        ask: AskEngine,
        clock: Callable[[], datetime],
        stopping: threading.Event,
        poll_seconds: float,
    ) -> None:
        self.busy = ""
        self._unsaid_of: dict[int, str] = {}
        self._loop, self._history = loop, history
        self._run, self._rollouts, self._ask = run, rollouts, ask
        self._clock, self._stopping, self._poll_seconds = clock, stopping, poll_seconds

    def execute(self, intent: Entry) -> None:
        """Run the claimed `run` entry to its end, and roll out what it registered.

        Where the engine cannot be asked any more the entry stays open, until it says how the run ended.
        """
        if self._has_ended(intent):
            log.warning("the run %s was closed before it began", intent.facts["run"])
            return
        result = self._result(intent)
        if result.state != "running":
            self._finish(intent, result)

    def resume(self, intent: Entry) -> None:
        """Close a `run` entry that a stopped process left open, as the engine says it ended.

        A run that a trigger claimed is followed to its end. One that a person has under way is left to them, and one
        that the engine does not know yet is left to whoever has just claimed it.
        """
        while (result := self.ask(intent)) is not None and result.state == "running":
            if not is_claimed(self._loop, intent) or self._stopping.wait(self._poll_seconds):
                return
        if result is None and (self._clock() - intent.at).total_seconds() < UNKNOWN_SECONDS:
            return
        self._finish(intent, result or RunResult("failed", error=INTERRUPTED))

    def ask(self, intent: Entry) -> RunResult | None:
        """What the engine says of a run; one that cannot be asked after is taken to be under way, then lost."""
        try:
            return self._ask(intent)
        except LoopwrightError as error:
            self._unsaid(intent, str(error), with_trace=False)
        except Exception as error:
            self._unsaid(intent, f"{type(error).__name__}: {error}", with_trace=True)
        if (self._clock() - intent.at).total_seconds() >= LOST_SECONDS:
            return RunResult("failed", error=LOST)
        return RunResult("running")

    def _unsaid(self, intent: Entry, why: str, *, with_trace: bool) -> None:
        """Log once a reason that a run cannot be asked after: it is asked after every few seconds, for hours."""
        if self._unsaid_of.get(intent.number) != why:
            self._unsaid_of[intent.number] = why
            text = "the engine does not say what became of the run %s: %s"
            log.warning(text, intent.facts["run"], why, exc_info=with_trace)

    def close(self, intent: Entry, result: RunResult) -> None:
        """Close a `run` entry that another process left open."""
        log.info("the run %s was left open", intent.facts["run"])
        self._finish(intent, result)

    def roll_out_unfinished(self) -> None:
        """Roll out what is registered and has gone neither live nor back, if there is such a version."""
        try:
            end = self._rollouts.unfinished()
        except StateError:
            self._rollouts.put_off()
            raise
        if end:
            self._roll_out(end)

    def _roll_out(self, end: Entry) -> None:
        self.busy = f"the rollout of version {end.facts['version']} is under way"
        try:
            self._rollouts.go(end)
        finally:
            self.busy = ""

    def _result(self, intent: Entry) -> RunResult:
        name = intent.facts["run"]
        self.busy = f"the run {name} is in flight"
        log.info("the run %s starts", name)
        try:
            return self._run(cause=intent.number, run=name)
        except GateError as error:
            return RunResult("rejected", error=str(error))
        except LoopwrightError as error:
            return RunResult("failed", error=str(error))
        except Exception as error:
            log.exception("the run %s failed", name)
            return RunResult("failed", error=f"{type(error).__name__}: {error}")

    def _finish(self, intent: Entry, result: RunResult) -> None:
        self.busy = f"the run {intent.facts['run']} is being closed"
        try:
            end = self._end(intent, result)
            if end and result.version is not None and self._rollouts.are_ours(intent):
                self._roll_out(end)
        finally:
            self.busy = ""

    def _end(self, intent: Entry, result: RunResult) -> Entry | None:
        """Write the run's end; None if another process wrote it, or we are stopped before the ledger takes it."""
        name = intent.facts["run"]
        facts = {
            "run": name,
            "state": result.state,
            "seconds": round((self._clock() - intent.at).total_seconds(), 3),
            "version": result.version,
            "error": result.error,
        }
        log.info("the run %s ended: %s%s", name, result.state, f": {result.error}" if result.error else "")
        while True:
            try:
                if self._has_ended(intent):
                    return None
                return self._history.append("run_ended", facts, cause=intent.number, key=f"run_ended/{intent.number}")
            except DuplicateEntry:
                return None
            except StateError as error:
                # The run is over but the ledger cannot be written now. Without its end the loop would stay blocked.
                log.error("the end of the run %s is not written yet: %s", name, error)
                if self._stopping.wait(self._poll_seconds):
                    return None

    def _has_ended(self, intent: Entry) -> bool:
        return any(run.entry.number == intent.number and run.ended for run in runs(self._history.read()))
