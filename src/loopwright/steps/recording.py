"""One ledger entry a step: what a component wraps around the step's pure function.

Where the ledger and the registry are comes from the environment, not from a pipeline's parameters, which everyone can
read in the Kubeflow Pipelines UI.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopwright import settings
from loopwright.errors import LoopwrightError
from loopwright.ledger import Ledger
from loopwright.loop import Loop

# The file to which steps add a line when they start, end and fail, for whoever follows the run on this machine.
PROGRESS = "LOOPWRIGHT_PROGRESS"

# What a step's entry in the ledger is called.
KINDS = {
    "snapshot": "snapshot",
    "validate": "validated",
    "split": "split",
    "train": "trained",
    "evaluate": "judged",
    "register": "registered",
}


class Step:
    """A step under way: the loop, the settings, and the facts that its ledger entry will have."""

    def __init__(self, loop: str, cause: int = 0) -> None:
        self.loop = Loop.from_json(loop)
        self._cause = cause
        self.settings = settings.read(Path.cwd())
        self.facts: Mapping[str, Any] | None = None
        self.number = 0

    def of_run(self, name: str) -> Any:
        """A fact of the entry that is the step's cause, which for the first step is the run; None where it has none."""
        return Ledger(self.settings.ledger_url).get(self._cause).facts.get(name) if self._cause else None

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
        under_way = Step(loop, cause)
        yield under_way
        if under_way.facts is not None:
            ledger, facts = Ledger(under_way.settings.ledger_url), {**under_way.facts, "run": run}
            under_way.number = ledger.append(under_way.loop.name, KINDS[name], facts, cause=cause or None).number
    except LoopwrightError as error:
        say(state="failed", error=str(error), exit_code=error.exit_code)
        raise
    except BaseException as error:
        say(state="failed", error=f"{type(error).__name__}: {error}", exit_code=1)
        raise
    say(state="succeeded")
