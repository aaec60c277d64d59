"""What every engine can do: submit a run once, say how it is, follow it, cancel it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from loopwright.errors import RunError

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED = "pending", "running", "succeeded", "failed", "cancelled"
ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED})
STEPS = ("snapshot", "validate", "split", "train", "evaluate", "register")


@dataclass(frozen=True)
class RunRequest:
    """One pipeline run that is wanted."""

    loop: str
    """The declaration, as `Loop.to_json` gives it."""
    name: str
    """The loop's name."""
    folder: Path
    """The loop's folder, to which a relative source is relative."""
    features: str
    """The feature code's source; empty for none."""
    run: str
    """The run's id: the same id is submitted at most once."""
    cause: int
    """The ledger entry that led to the run; 0 for none."""
    timeout: timedelta = timedelta(hours=6)


@dataclass(frozen=True)
class StepStatus:
    """One step of a run: its name, its state and how long it took, in seconds."""

    name: str
    state: str
    seconds: float = 0.0
    done: int = 0
    """How many of its parts are done, `of` so many; 0 of 0 of a step that does not tell."""
    of: int = 0
    notes: tuple[str, ...] = ()
    """What came of each of them, in words."""


@dataclass(frozen=True)
class RunStatus:
    """How a run is: its state, its steps, and when it ended what came of it."""

    run: str
    loop: str
    state: str
    steps: tuple[StepStatus, ...] = ()
    started: float = 0.0
    seconds: float = 0.0
    version: int | None = None
    """The registered version; None while it runs, and when a gate was not passed."""
    error: str | None = None
    exit_code: int = 0
    log: str = ""
    """Where the log is."""


class Engine(Protocol):
    """Where pipelines run."""

    @property
    def place(self) -> str:
        """Which one of its kind it is: an engine knows the runs of its own place and no others."""
        ...

    def submit(self, request: RunRequest) -> RunStatus:
        """Start a run. A second submission of the same run id starts nothing."""
        ...

    def status(self, run: str) -> RunStatus:
        """How a run is. Raises RunError when there is no such run."""
        ...

    def runs(self, loop: str) -> list[RunStatus]:
        """All runs of a loop, the oldest first."""
        ...

    def follow(self, run: str, progress: Callable[[RunStatus], None]) -> RunStatus:
        """Wait for a run to end, telling `progress` of every change."""
        ...

    def cancel(self, run: str) -> RunStatus:
        """End a run that has not ended, and wait until nothing of it is left."""
        ...


def uninstalled(engine: str, extra: str, error: ModuleNotFoundError) -> RunError:
    """The client of an engine is not installed here, where a run may be that another machine began on it."""
    return RunError(
        f"the client of the {engine} engine is not installed here: there is no module {error.name}",
        expected=f"loopwright with the extra `{extra}`",
        do=f"install it with `pip install 'loopwright[{extra}]'`, or ask on the machine that began the run",
    )
