"""The beginning and the end of a run that no trigger and no person asked for: a CronWorkflow's, or KFP's schedule's.

Other runs are in the ledger before they are submitted, and whoever submitted them writes how they ended. Of these the
first pod writes that the run begins, and the exit handler's pod how it ended, so that history, cool-downs and gates
know them as they know any other. On Kubeflow Pipelines the last step writes the end of a run that went through
(recording.py).
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loopwright import settings
from loopwright.ledger import DuplicateEntry, Entry, Ledger
from loopwright.loop import Loop

PLACE = "the schedule's namespace"
"""Its pods do not know their cluster; another place's engine, which knows no such run, is not to take it for gone."""


def begin(loop: str, run: str, reason: str) -> int:
    """Write that the run begins, unless an earlier attempt of its pod has; returns the number of its entry."""
    name, ledger = _open(loop)
    asked = _once(ledger, name, "request", {"reason": reason, "by": "schedule"}, None, f"{name}/scheduled_run/{run}")
    facts = {"run": run, "engine": "argo", "place": PLACE, "by": "schedule"}
    return _once(ledger, name, "run", facts, asked, f"{name}/run/{asked}")


def end(loop: str, run: str, phase: str) -> None:
    """Write how the run ended, by Argo's word for it and what its steps left in the ledger."""
    name, ledger = _open(loop)
    mine = [entry for entry in ledger.entries(name) if entry.facts.get("run") == run]
    began = next((entry for entry in mine if entry.kind == "run"), None)
    if began is None:
        return  # its first pod did not come to write it
    version = next((int(entry.facts["version"]) for entry in mine if entry.kind == "registered"), None)
    state = "failed" if phase != "Succeeded" else "succeeded" if version is not None else "rejected"
    facts = {
        "run": run,
        "state": state,
        "seconds": round((datetime.now(UTC) - began.at).total_seconds(), 3),
        "version": version,
        "error": None if phase == "Succeeded" else f"its Workflow ended as {phase}",
    }
    with suppress(DuplicateEntry):
        ledger.append(name, "run_ended", facts, cause=began.number, key=f"{name}/run_ended/{began.number}")


def _open(loop: str) -> tuple[str, Ledger]:
    return Loop.from_json(loop).name, Ledger(settings.read(Path.cwd()).ledger_url)


def _once(ledger: Ledger, loop: str, kind: str, facts: dict[str, Any], cause: int | None, key: str) -> int:
    try:
        entry: Entry = ledger.append(loop, kind, facts, cause=cause, key=key)
    except DuplicateEntry as error:
        return error.number
    return entry.number
