import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from loopwright import processes, settings
from loopwright.engines import local, protocol
from loopwright.engines.compiled import pipeline
from loopwright.engines.local import LocalEngine
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


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Each run's process is waited for: a result is there a moment before its process has ended."""
    yield
    for process in local._children.values():
        process.wait(10)
    local._children.clear()


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
    (folder / local.RESULT).unlink()
    engine.cancel("run-1")


def test_runs_are_listed_by_their_loop_the_oldest_first(state: settings.Settings) -> None:
    engine = LocalEngine(state, SUCCEEDS)
    for run, name in (("b", "small"), ("a", "small"), ("c", "other")):
        engine.submit(request(run, name=name))
        engine.follow(run, ignore)
    assert [status.run for status in engine.runs("small")] == ["b", "a"]
    assert [status.run for status in engine.runs("none")] == []


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is no run, and leads a group."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        yield process
        process.kill()


def left_without_process(state: settings.Settings, ago: float) -> LocalEngine:
    """A run whose starter died `ago` seconds ago between writing the request and writing the process."""
    engine = LocalEngine(state)
    folder = state.runs / "run-1"
    assert engine._claim(folder, request())
    at = time.time() - ago
    os.utime(folder / local.REQUEST, (at, at))
    return engine


def test_a_run_that_never_got_a_process_has_failed_after_a_while(state: settings.Settings) -> None:
    engine = left_without_process(state, ago=local.START + 1)
    status = engine.follow("run-1", ignore)
    assert (status.state, status.exit_code) == ("failed", 6)
    assert status.error is not None
    assert "the run's process was not started" in status.error
    assert engine.cancel("run-1").state == "failed"


def test_a_run_that_is_being_started_can_be_cancelled(state: settings.Settings) -> None:
    engine = left_without_process(state, ago=local.START - 0.3)
    assert engine.status("run-1").state == "running"
    assert engine.cancel("run-1").state == "cancelled"


def test_a_process_that_cannot_be_started_is_a_failed_run_and_says_what_to_do(state: settings.Settings) -> None:
    engine = LocalEngine(state, ("/no/such/program",))
    with pytest.raises(RunError, match=r"the run run-1 cannot be started: .*No such file.*run it again"):
        engine.submit(request())
    status = engine.status("run-1")
    assert (status.state, status.exit_code) == ("failed", 6)
    assert status.error is not None
    assert "No such file" in status.error


@pytest.mark.parametrize(
    ("error", "raised", "ends"),
    [
        (OSError(28, "No space left on device"), RunError, "failed"),
        (KeyboardInterrupt(), KeyboardInterrupt, "cancelled"),
    ],
)
def test_a_process_that_cannot_be_written_down_does_not_run(
    state: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    raised: type[BaseException],
    ends: str,
) -> None:
    write, seen = local.write_json, list[int]()

    def fails(path: Path, value: dict[str, Any], **given: Any) -> None:
        if path.name == local.PROCESS:
            seen.append(value["pid"])
            raise error
        write(path, value, **given)

    monkeypatch.setattr(local, "write_json", fails)
    with pytest.raises(raised):
        LocalEngine(state, SLEEPS).submit(request())
    assert not processes.alive(seen[0])
    assert LocalEngine(state).status("run-1").state == ends


def test_an_empty_folder_does_not_stand_in_the_way(state: settings.Settings) -> None:
    (state.runs / "run-1").mkdir()
    engine = LocalEngine(state, SUCCEEDS)
    engine.submit(request())
    assert engine.follow("run-1", ignore).state == "succeeded"
    assert [path.name for path in state.runs.iterdir()] == ["run-1"]


@pytest.mark.skipif(sys.platform != "linux", reason="the start is known on Linux")
def test_another_process_with_the_runs_id_is_not_the_run_and_is_left_alone(
    state: settings.Settings, stranger: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "GRACE", 0.2)  # Nobody waits for the stranger here, so that its group stays.
    engine, folder = left_without_process(state, ago=60), state.runs / "run-1"
    start = processes.started(stranger.pid)
    assert start is not None
    (folder / local.PROCESS).write_text(json.dumps({"pid": stranger.pid, "started": start - 500}))
    status = engine.status("run-1")
    assert status.state == "failed"
    assert status.error is not None
    assert "ended without a result" in status.error
    assert engine._end("run-1", "cancelled", "cancelled").state == "cancelled"
    assert stranger.poll() is None
    (folder / local.RESULT).unlink()
    (folder / local.PROCESS).write_text(json.dumps({"pid": stranger.pid, "started": start}))
    assert engine.cancel("run-1").state == "cancelled"
    assert stranger.wait(10) == -15


def test_what_a_killed_run_left_behind_is_ended_with_it(state: settings.Settings, tmp_path: Path) -> None:
    leaves = (
        "import os, subprocess, sys; from pathlib import Path;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"Path({str(tmp_path / 'left')!r}).write_text(str(child.pid)); os._exit(9)"
    )
    engine = LocalEngine(state, (sys.executable, "-c", leaves))
    engine.submit(request())
    assert engine.follow("run-1", ignore).state == "failed"
    left, deadline = int((tmp_path / "left").read_text()), time.monotonic() + 5
    while processes.alive(left):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_runner_whose_starter_is_gone_does_nothing(state: settings.Settings) -> None:
    left_without_process(state, ago=0)
    folder = state.runs / "run-1"
    ended = subprocess.run([*local.RUNNER, str(folder), str(os.getpid() + 1)], timeout=30)
    assert ended.returncode == 1
    assert [path.name for path in folder.iterdir()] == [local.REQUEST]


def steps_of(state: settings.Settings, body: str) -> RunStatus:
    """A run on the product's own runner, whose steps are replaced by a line of Python."""
    code = (
        "import os, signal, sys, time; from pathlib import Path; from loopwright.engines import local_runner;"
        f"local_runner._run = lambda request, folder: {body};"
        "sys.exit(local_runner.main(Path(sys.argv[1]), int(sys.argv[2])))"
    )
    engine = LocalEngine(state, (sys.executable, "-c", code))
    engine.submit(request())
    return engine.follow("run-1", ignore)


def test_the_runners_steps_give_the_version_or_none(state: settings.Settings) -> None:
    status = steps_of(state, "3")
    assert (status.state, status.version, status.error) == ("succeeded", 3, None)


def test_a_password_in_the_error_of_a_run_is_not_written_down(state: settings.Settings) -> None:
    status = steps_of(state, "int('postgresql://me:secret@host/db')")
    assert status.state == "failed"
    assert status.error is not None
    assert "postgresql://me:***@host/db" in status.error
    assert "secret" not in (state.runs / "run-1" / local.RESULT).read_text()


def test_steps_that_were_killed_are_a_failed_run_that_says_by_what(state: settings.Settings) -> None:
    status = steps_of(state, "os.kill(os.getpid(), signal.SIGKILL)")
    assert (status.state, status.exit_code) == ("failed", 6)
    assert status.error is not None
    assert "was ended by SIGKILL; on Linux it is what ends a process when memory is short" in status.error


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for the child in /proc")
def test_steps_that_are_busy_outside_python_end_with_the_runner(state: settings.Settings) -> None:
    code = (
        "import ctypes, sys; from pathlib import Path; from loopwright.engines import local_runner;"
        # PyDLL keeps the interpreter's lock: no handler of Python's could run before the sleep is over.
        "local_runner._run = lambda request, folder: ctypes.PyDLL(None).sleep(60);"
        "sys.exit(local_runner.main(Path(sys.argv[1]), int(sys.argv[2])))"
    )
    engine = LocalEngine(state, (sys.executable, "-c", code))
    engine.submit(request())
    pid = local.read_json(state.runs / "run-1" / local.PROCESS)["pid"]
    deadline = time.monotonic() + 10
    while not Path(f"/proc/{pid}/task/{pid}/children").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    began = time.monotonic()
    assert engine.cancel("run-1").state == "cancelled"
    assert time.monotonic() - began < local.GRACE / 2


def test_an_unknown_run_is_named(state: settings.Settings) -> None:
    with pytest.raises(RunError, match="there is no run gone"):
        LocalEngine(state).status("gone")


def test_the_compiled_pipeline_is_found() -> None:
    assert pipeline("training").name == "training.yaml"
    assert pipeline("training").exists()
