"""What Kubeflow Pipelines says of a run and its tasks, in the words of every engine."""

import json
from datetime import datetime
from typing import Any

from loopwright.engines.protocol import (
    CANCELLED,
    ENDED,
    FAILED,
    PENDING,
    RUNNING,
    STEPS,
    SUCCEEDED,
    RunStatus,
    StepStatus,
)

ENDING = "CANCELING"
# KFP's RuntimeState (backend/api/v2beta1/run.proto of 2.17). A run that is told to end is not over yet.
STATES = {
    "PENDING": PENDING,
    "RUNNING": RUNNING,
    "SUCCEEDED": SUCCEEDED,
    "CACHED": SUCCEEDED,
    "SKIPPED": SUCCEEDED,
    "FAILED": FAILED,
    ENDING: RUNNING,
    "CANCELED": CANCELLED,
    "PAUSED": RUNNING,
}


class ToldToEnd:
    """The runs that were seen to be told to end, of which KFP 2.17 says in the end that they failed, as Argo does."""

    def __init__(self) -> None:
        self._runs: set[str] = set()

    def of(self, run: Any) -> bool:
        """Look at a V2beta1Run: whether it has been told to end, as far as anybody saw or its history says.

        The history says so where KFP's persistence agent looked at the run in between: of two in three, as tried.
        """
        history = [one.state for one in run.state_history or []]
        if run.state == ENDING or history[-2:] == [ENDING, "FAILED"]:
            self._runs.add(run.run_id)
        elif run.state != "FAILED" or ENDING in history:
            # It was tried again since it was told to end, and what it came to is its own.
            self._runs.discard(run.run_id)
        return run.run_id in self._runs


def status(run: Any, now: float, link: str, *, told_to_end: bool = False) -> RunStatus:
    """A V2beta1Run as a status; its id is the run's parameter `run`, or for a recurring run KFP's (recording.py).

    `told_to_end` is what ToldToEnd says of it.
    """
    state = CANCELLED if run.state == "FAILED" and told_to_end else STATES.get(run.state, PENDING)
    parameters = (run.runtime_config.parameters if run.runtime_config else None) or {}
    began = seconds(run.created_at) or now
    ended = (seconds(run.finished_at) if state in ENDED else None) or now
    return RunStatus(
        run=str(parameters.get("run") or f"{loop_of(parameters)}-{run.run_id}"),
        loop=loop_of(parameters),
        state=state,
        steps=steps(run, state, now),
        started=began,
        seconds=max(0.0, ended - began),
        error="cancelled" if state == CANCELLED else _message(run.error),
        log=link,
    )


def steps(run: Any, state: str, now: float) -> tuple[StepStatus, ...]:
    """Every step's state and seconds; a task that KFP has not begun, or was not asked for, is pending."""
    found = {name: StepStatus(name, PENDING) for name in STEPS}
    for task in tasks(run):
        name = task.display_name
        if name not in found:
            continue
        began, ended = seconds(task.start_time), seconds(task.end_time)
        its = STATES.get(task.state, PENDING)
        if its == FAILED and state not in ENDED:
            its = RUNNING  # KFP tries it again
        took = 0.0 if began is None else max(0.0, (ended or now) - began) if its in ENDED else 0.0
        found[name] = StepStatus(name, its, round(took, 3))
    return tuple(found.values())


def tasks(run: Any) -> list[Any]:
    """The run's tasks, in the order in which they began."""
    found = (run.run_details.task_details if run.run_details else None) or []
    return sorted(found, key=lambda task: seconds(task.start_time) or 0.0)


def loop_of(parameters: dict[str, Any]) -> str:
    """The loop's name in a run's parameters; empty where they are another pipeline's."""
    try:
        return str(json.loads(parameters["loop"])["metadata"]["name"])
    except (KeyError, TypeError, ValueError):
        return ""


def seconds(moment: datetime | None) -> float | None:
    """A moment as seconds; the API's zero time, of what has not happened, is none."""
    return None if moment is None or moment.year < 2000 else moment.timestamp()


def _message(error: Any) -> str | None:
    return None if error is None or not error.message else str(error.message).splitlines()[0]
