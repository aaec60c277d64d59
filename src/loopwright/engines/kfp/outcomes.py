"""What came of a run, from the ledger: KFP's API says that a task failed and not why, and returns no version."""

from collections.abc import Mapping
from typing import Protocol

from loopwright.ledger import Ledger
from loopwright.steps.recording import FAILED, KINDS


class Outcomes(Protocol):
    """What the steps wrote."""

    def versions(self, loop: str) -> Mapping[str, int]:
        """The versions that a loop's runs registered, by the run's id."""
        ...

    def failure(self, loop: str, run: str) -> tuple[str, str, int] | None:
        """The step of the run that failed, its message and its exit code; None where nothing is known."""
        ...


class LedgerOutcomes:
    """What a ledger says came of runs."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def versions(self, loop: str) -> dict[str, int]:
        """The versions that a loop's runs registered, by the run's id."""
        entries = self._ledger.entries(loop, kind="registered")
        return {entry.facts["run"]: int(entry.facts["version"]) for entry in entries}

    def failure(self, loop: str, run: str) -> tuple[str, str, int] | None:
        """The step of the run that failed last, its message and its exit code; None where none was written.

        A step that went through when it was tried again is not why the run failed.
        """
        failed: dict[str, tuple[str, str, int]] = {}
        steps = {kind: step for step, kind in KINDS.items()}
        for entry in self._ledger.entries(loop):
            if entry.facts.get("run") != run:
                continue
            if entry.kind == FAILED:
                step = str(entry.facts["step"])
                failed.pop(step, None)
                failed[step] = (step, str(entry.facts["error"]), int(entry.facts["exit_code"]))
            elif entry.kind in steps:
                failed.pop(steps[entry.kind], None)
        return next(reversed(failed.values()), None)
