"""One ledger entry a step: what a component wraps around the step's pure function.

Where the ledger and the registry are comes from the environment, not from a pipeline's parameters, which everyone can
read in the Kubeflow Pipelines UI.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from loopwright import settings
from loopwright.errors import LoopwrightError
from loopwright.ledger import DuplicateEntry, Ledger
from loopwright.loop import Loop
from loopwright.steps import scheduled

# The file to which steps add a line when they start, end and fail, for whoever follows the run on this machine.
PROGRESS = "LOOPWRIGHT_PROGRESS"
# Where whoever follows the run sees no file of its pods: `ledger`, to which a step that fails then adds an entry.
FAILURES = "LOOPWRIGHT_FAILURES"
FAILED = "step_failed"

# The cause of a run that a schedule of Kubeflow Pipelines started: its first step writes what led to it. Such a run has
# no name of ours; it is called by the id that KFP gave it, which its pods carry.
SCHEDULED = -1
KFP_RUN = "LOOPWRIGHT_KFP_RUN"

# What a step's entry in the ledger is called.
KINDS = {
    "snapshot": "snapshot",
    "validate": "validated",
    "split": "split",
    "train": "trained",
    "evaluate": "judged",
    "register": "registered",
}
LAST = "register"


class Step:
    """A step under way: the loop, the settings, and the facts that its ledger entry will have."""

    def __init__(self, loop: str, cause: int = 0, run: str = "") -> None:
        self.loop = Loop.from_json(loop)
        self.settings = settings.read(Path.cwd())
        self.named = bool(run or os.environ.get(KFP_RUN))
        self.run = run or f"{self.loop.name}-{os.environ.get(KFP_RUN, 'run')}"
        self.cause = self._begin(self.run) if cause == SCHEDULED else cause
        self.facts: Mapping[str, Any] | None = None
        self.number = 0
        self.step = ""

    def going(self, done: int, of: int, note: str) -> None:
        """Tell whoever follows the run on this machine how far the step is; in a pod the log says it."""
        _tell({"at": time.time(), "step": self.step, "state": "running", "done": done, "of": of, "note": note})

    def of_run(self, name: str) -> Any:
        """A fact of the entry that is the step's cause, which for the first step is the run; None where it has none."""
        return Ledger(self.settings.ledger_url).get(self.cause).facts.get(name) if self.cause else None

    def before(self, kind: str = "snapshot") -> Mapping[str, Any] | None:
        """The facts of the loop's newest entry of this kind, None where there is none."""
        found = Ledger(self.settings.ledger_url).entries(self.loop.name, kind=kind, newest=1)
        return found[-1].facts if found else None

    def told(self, kind: str) -> Mapping[str, Any] | None:
        """The facts of this run's newest entry of this kind; another run's are none of its."""
        found = self.before(kind)
        return found if found is not None and found.get("run") == self.run else None

    def _begin(self, run: str) -> int:
        """The number of the `run` entry of a run that nobody claimed, written once however often the step is tried."""
        ledger, name = Ledger(self.settings.ledger_url), self.loop.name
        by = "Kubeflow Pipelines"
        # Its pods do not know KFP's address: where KFP does not know it, it is another KFP's, and none that is gone.
        facts = {"run": run, "engine": "kfp", "place": "the schedule's KFP", "by": by}
        if (known := self._entry(ledger, run)) is not None:
            return known
        asked = {"reason": f"the schedule {self.loop.retrain.schedule}", "by": by}
        request = ledger.append(name, "request", asked)
        try:
            return ledger.append(name, "run", facts, cause=request.number, key=f"{name}/run/scheduled/{run}").number
        except DuplicateEntry:
            return self._entry(ledger, run) or request.number

    def _entry(self, ledger: Ledger, run: str) -> int | None:
        entries = ledger.entries(self.loop.name, kind="run")
        return next((entry.number for entry in entries if entry.facts["run"] == run), None)

    def recorded(self, kind: str, run: str) -> bool:
        """Whether the ledger has an entry of this kind of the run, from an attempt before this one."""
        entries = Ledger(self.settings.ledger_url).entries(self.loop.name, kind=kind)
        return any(entry.facts.get("run") == run for entry in entries)


def _tell(line: Mapping[str, Any]) -> None:
    if PROGRESS in os.environ:
        # One write to a file opened for appending: lines of two processes do not mix.
        with open(os.environ[PROGRESS], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


@contextmanager
def step(
    name: str, loop: str, run: str, cause: int, tell: Callable[[Mapping[str, Any]], None] = _tell
) -> Iterator[Step]:
    """Run a step's body and record its facts as one entry; no facts, no entry. A cause of 0 is none.

    `tell` gets a line when the step starts, ends and fails: the moment, the step, its state, and the error.
    """

    def say(**line: Any) -> None:
        tell({"at": time.time(), "step": name, **line})

    say(state="running")
    try:
        under_way = Step(loop, cause, run)
        under_way.step = name
        yield under_way
        if under_way.facts is not None:
            ledger, facts = Ledger(under_way.settings.ledger_url), {**under_way.facts, "run": under_way.run}
            number = ledger.append(under_way.loop.name, KINDS[name], facts, cause=under_way.cause or None).number
            under_way.number = number
        if name == LAST and not run and KFP_RUN in os.environ:
            # Nobody follows what KFP's schedule began. Of a run that failed the end is written by whoever looks next: a
            # step does not know whether KFP tries it again.
            scheduled.end(loop, under_way.run, "Succeeded")
    except BaseException as error:
        told = str(error) if isinstance(error, LoopwrightError) else f"{type(error).__name__}: {error}"
        failure = {
            "error": settings.redacted(told),
            "exit_code": error.exit_code if isinstance(error, LoopwrightError) else 1,
        }
        say(state="failed", **failure)
        if os.environ.get(FAILURES) == "ledger":
            _keep(loop, run, {"step": name, **failure}, cause)
        raise
    say(state="succeeded")


def _keep(loop: str, run: str, facts: Mapping[str, Any], cause: int) -> None:
    # What cannot be written must not hide why the step failed; the pod's log has that.
    with suppress(Exception):
        failed = Step(loop, cause, run)
        ledger = Ledger(failed.settings.ledger_url)
        ledger.append(failed.loop.name, FAILED, {**facts, "run": failed.run}, cause=failed.cause or None)
