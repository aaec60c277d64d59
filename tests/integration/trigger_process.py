"""A trigger in a process of its own, with stand-ins for the engine and the rollout: folders in which files appear.

    python trigger_process.py URL FOLDER PORT [CRASH]

A run of the stand-in engine is the file runs/NAME, made once, and goes on without its trigger, as on a cluster; while
the file `hold` is there it does not end. CRASH is a moment at which the process kills itself as `kill -9` does:
`before KIND` or `after KIND` for the first entry of a kind, `engine` and `rollout` for the midst of those.
"""

import os
import signal
import sys
import time
from pathlib import Path

import uvicorn

from loopwright.durations import Clock
from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.settings import Settings
from loopwright.trigger import RunResult, Trigger, execute, open_runs, pending, rollouts
from loopwright.trigger.app import make_app

URL, FOLDER, PORT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
CRASH = sys.argv[4] if len(sys.argv) > 4 else ""

LOOP = {
    "apiVersion": "loopwright/v1",
    "kind": "Loop",
    "metadata": {"name": "churn"},
    "data": {"source": "churn.csv", "label": {"column": "churned"}, "contract": {"age": {"type": "integer"}}},
    "model": {"task": "classification"},
    "retrain": {"on": ["drift", "new_data"], "cooldown": "0s"},
}

# What takes minutes where runs do.
execute.UNKNOWN_SECONDS = open_runs.UNKNOWN_SECONDS = 1.0
open_runs.ENDED_SECONDS = 0.5
pending.LOOK_SECONDS = 0.1
rollouts.FIRST_SECONDS = 0.2


def crash(moment: str) -> None:
    if moment == CRASH:
        os.kill(os.getpid(), signal.SIGKILL)


class CrashingLedger(Ledger):
    def append(self, loop, kind, *rest, **more):
        crash(f"before {kind}")
        entry = super().append(loop, kind, *rest, **more)
        crash(f"after {kind}")
        return entry


def started(run: str) -> Path:
    return FOLDER / "runs" / run


def run(*, cause: int, run: str) -> RunResult:
    with started(run).open("x") as stream:
        stream.write(str(cause))
    crash("engine")
    while (FOLDER / "hold").exists():
        time.sleep(0.02)
    return RunResult("succeeded", version=2)


def ask(intent):
    if not started(intent.facts["run"]).exists():
        return None
    return RunResult("running") if (FOLDER / "hold").exists() else RunResult("succeeded", version=2)


def roll_out(version: int, *, cause: int) -> None:
    crash("rollout")
    ledger.append("churn", "promoted", {"version": version}, cause=cause)


ledger = CrashingLedger(URL)
trigger = Trigger(
    Loop.model_validate(LOOP),
    ledger,
    Settings(FOLDER, URL, URL, "a secret", Clock()),
    run=run,
    rollout=roll_out,
    new_rows=lambda: 0,
    ask=ask,
    where={"engine": "a stand-in"},
    poll_seconds=0.05,
)
uvicorn.run(make_app(trigger), host="127.0.0.1", port=PORT, log_level="warning", access_log=False)
