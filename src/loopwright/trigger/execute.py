"""Carries out one claimed run: run -> `run_ended` -> rollout, each known to the ledger before the next begins.

The `run` entry is in the ledger before anything starts. If the process dies after that, the entry has no end, and the
next trigger asks the engine what became of the run instead of running it twice.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from loopwright.errors import GateError, LoopwrightError, StateError
from loopwright.ledger import DuplicateEntry, Entry
from loopwright.loop import Loop
from loopwright.trigger.decide import runs
from loopwright.trigger.history import History

log = logging.getLogger("loopwright.trigger")

INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class RunResult:
    """What became of a run. `version` is the version it registered, None where its gates were not passed."""

    state: Literal["running", "succeeded", "rejected", "failed"]
    version: int | None = None
    error: str | None = None


class StartRun(Protocol):
    """Runs the pipeline to its end. An error that it raises is a failed run; a GateError, a rejected one."""

    def __call__(self, cause: int, run: str) -> RunResult:
        """`cause` is the number of the `run` entry; `run` is the run's name, unique and a DNS label."""


class Rollout(Protocol):
    """Takes a version live and judges it, or goes on with its rollout where that was interrupted."""

    def __call__(self, version: int, *, cause: int) -> object:
        """`cause` is the number of the `registered` entry. Raises RolloutError where the version did not go live."""


AskEngine = Callable[[Entry], RunResult | None]
"""What the engine says of the run of a `run` entry; None when it knows no such run, or the run's process is gone."""


class Executor:
    """One worker's hands: it does one thing at a time, and `busy` says what."""

    def __init__(
        self,
        loop: Loop,
        history: History,
        *,
        run: StartRun,
        rollout: Rollout,
        ask: AskEngine,
        clock: Callable[[], datetime],
        stopping: threading.Event,
        poll_seconds: float,
    ) -> None:
        self.busy = ""
        self._loop, self._history = loop, history
        self._run, self._rollout, self._ask = run, rollout, ask
        self._clock, self._stopping, self._poll_seconds = clock, stopping, poll_seconds

    def execute(self, intent: Entry) -> None:
        """Run the claimed `run` entry to its end, and roll out what it registered."""
        self._finish(intent, self._result(intent))

    def resume(self, intent: Entry) -> None:
        """Close a `run` entry that a stopped process left open, as the engine says it ended."""
        name = intent.facts["run"]
        while True:
            try:
                result = self._ask(intent)
            except LoopwrightError as error:
                log.warning("the engine does not say what became of the run %s: %s", name, error)
                result = RunResult("running")
            result = result or RunResult("failed", error=INTERRUPTED)
            if result.state != "running":
                break
            if self._stopping.wait(self._poll_seconds):
                return
        self._finish(intent, result)

    def unfinished_rollout(self) -> Entry | None:
        """The end of the newest run of a trigger, if it registered a version and no version went live or back since."""
        entries = self._history.read()
        ended = [run for run in runs(entries) if run.ended]
        if not ended or not self._is_ours(ended[-1].entry) or self._loop.gates.approval != "auto":
            return None
        end = ended[-1].ended
        if end is None or end.facts["version"] is None:
            return None
        over = any(entry.kind in ("promoted", "rolled_back") and entry.number > end.number for entry in entries)
        return None if over else end

    def roll_out(self, end: Entry) -> None:
        """Roll out the version that a `run_ended` entry names."""
        version = int(end.facts["version"])
        cause = _registered(self._history.read(), end) or end
        self.busy = f"the rollout of version {version} is under way"
        try:
            self._rollout(version, cause=cause.number)
            log.info("version %d was rolled out", version)
        except LoopwrightError as error:
            log.warning("version %d was not rolled out: %s", version, error)
        except Exception:
            log.exception("version %d was not rolled out", version)
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
        end = self._end(intent, result)
        if end and result.version is not None and self._loop.gates.approval == "auto" and self._is_ours(intent):
            self.roll_out(end)
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
                if any(run.name == name and run.ended for run in runs(self._history.read())):
                    return None
                return self._history.append("run_ended", facts, cause=intent.number, key=f"run_ended/{intent.number}")
            except DuplicateEntry:
                return None
            except StateError as error:
                # The run is over but the ledger cannot be written now. Without its end the loop would stay blocked.
                log.error("the end of the run %s is not written yet: %s", name, error)
                if self._stopping.wait(self._poll_seconds):
                    return None

    def _is_ours(self, intent: Entry) -> bool:
        """Whether a trigger claimed the run; what a person ran by hand, that person rolls out."""
        return (intent.key or "").startswith(f"{self._loop.name}/run/")


def _registered(entries: Sequence[Entry], end: Entry) -> Entry | None:
    for entry in reversed(entries):
        if entry.kind == "registered" and entry.facts["version"] == end.facts["version"]:
            return entry
    return None
