import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from loopwright import settings
from loopwright.engines import local, protocol
from loopwright.engines.local import LocalEngine
from loopwright.engines.local_runner import pipeline
from loopwright.engines.protocol import RunRequest, RunStatus
from loopwright.errors import RunError

# A stand-in for the runner: the code is called with the run's folder.
SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")
SUCCEEDS = (
    sys.executable,
    "-c",
    "import sys; from pathlib import Path; from loopwright.engines import local; from loopwright import files;"
    "files.write_json(Path(sys.argv[1]) / local.RESULT, local.result('succeeded', 1.5, version=3))",
)
DIES = (sys.executable, "-c", "import os; os._exit(9)")


def request(run: str = "run-1", **changes: Any) -> RunRequest:
    values = {"loop": "{}", "name": "small", "folder": Path("/"), "features": "", "run": run, "cause": 4}
    return RunRequest(**{**values, **changes})


@pytest.fixture
def state(tmp_path: Path) -> settings.Settings:
    return settings.prepare(settings.read(tmp_path, {}))


def ignore(_status: RunStatus) -> None:
    """Progress that nobody watches."""


def test_a_run_that_succeeds_ends_with_its_version(state: settings.Settings) -> None:
    engine = LocalEngine(state, SUCCEEDS)
    seen: list[str] = []
    engine.submit(request())
    status = engine.follow("run-1", lambda status: seen.append(status.state))
    assert (status.state, status.version, status.seconds, status.exit_code) == ("succeeded", 3, 1.5, 0)
    assert seen[-1] == "succeeded"


def test_the_same_run_is_started_once(state: settings.Settings) -> None:
    first, second = LocalEngine(state, SUCCEEDS), LocalEngine(state, DIES)
    first.submit(request())
    second.submit(request())
    assert second.follow("run-1", ignore).state == "succeeded"


def test_a_run_whose_process_died_without_a_result_has_failed(state: settings.Settings) -> None:
    engine = LocalEngine(state, DIES)
    engine.submit(request())
    status = engine.follow("run-1", ignore)
    assert (status.state, status.exit_code) == ("failed", 6)
    assert status.error is not None
    assert "ended without a result" in status.error


def test_a_cancelled_run_ends_at_once_and_for_every_process(state: settings.Settings) -> None:
    engine = LocalEngine(state, SLEEPS)
    engine.submit(request())
    began = time.monotonic()
    assert engine.cancel("run-1").state == "cancelled"
    assert time.monotonic() - began < local.GRACE
    assert LocalEngine(state).status("run-1").state == "cancelled"
    assert engine.cancel("run-1").state == "cancelled"


def test_a_run_that_takes_too_long_is_ended_and_has_failed(state: settings.Settings) -> None:
    engine = LocalEngine(state, SLEEPS)
    engine.submit(request(timeout=timedelta(seconds=0.3)))
    status = engine.follow("run-1", ignore)
    assert status.state == "failed"
    assert status.error == "it did not end within 0:00:00.300000"


def test_a_failed_steps_message_and_exit_code_are_the_runs(state: settings.Settings) -> None:
    engine = LocalEngine(state, SLEEPS)
    engine.submit(request())
    folder = state.runs / "run-1"
    lines = [
        {"at": 10.0, "step": "snapshot", "state": "running"},
        {"at": 10.5, "step": "snapshot", "state": "succeeded"},
        {"at": 10.5, "step": "validate", "state": "running"},
        {"at": 11.0, "step": "validate", "state": "failed", "error": "all rows are bad", "exit_code": 3},
    ]
    half = '{"at": 11.0, "st'
    (folder / local.PROGRESS).write_text("".join(json.dumps(line) + "\n" for line in lines) + half)
    steps = {step.name: (step.state, step.seconds) for step in engine.status("run-1").steps}
    assert steps["snapshot"] == ("succeeded", 0.5)
    assert steps["validate"] == ("failed", 0.5)
    assert steps["train"] == (protocol.PENDING, 0.0)
    (folder / local.RESULT).write_text(json.dumps(local.result("failed", 1.0, error="a task failed")))
    status = engine.status("run-1")
    assert (status.error, status.exit_code) == ("all rows are bad", 3)
    pid = int((folder / local.PROCESS).read_text())
    local._signal(pid, local.signal.SIGKILL)
    local._children[pid].wait()


def test_runs_are_listed_by_their_loop_the_oldest_first(state: settings.Settings) -> None:
    engine = LocalEngine(state, SUCCEEDS)
    for run, name in (("b", "small"), ("a", "small"), ("c", "other")):
        engine.submit(request(run, name=name))
        engine.follow(run, ignore)
    assert [status.run for status in engine.runs("small")] == ["b", "a"]
    assert [status.run for status in engine.runs("none")] == []


def test_an_unknown_run_is_named(state: settings.Settings) -> None:
    with pytest.raises(RunError, match="there is no run gone"):
        LocalEngine(state).status("gone")


def test_the_compiled_pipeline_is_found() -> None:
    assert pipeline("training").name == "training.yaml"
    assert pipeline("training").exists()
