import asyncio
import os
import subprocess
import sys
import time

import pytest

from loopwright.errors import ServingError
from loopwright.local import guard as guard_process
from loopwright.local.processes import Backoff, Child, Guard

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time;"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print(p.pid, flush=True); time.sleep(60)"
)


@pytest.fixture
def guard():
    guard = Guard(grace=0.2)
    yield guard
    guard.close()


@pytest.fixture
def child(tmp_path, guard):
    child = Child("worker", tmp_path / "logs" / "worker.log", guard)
    yield child
    asyncio.run(child.stop(0))


def begin(child, code):
    child.start([sys.executable, "-c", code], os.environ)


def until(met):
    deadline = time.monotonic() + 10
    while not (found := met()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def exists(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_child_leads_a_group_of_its_own_and_logs_to_its_file(child):
    begin(child, "import time; print('hello', flush=True); time.sleep(60)")
    until(lambda: child.last_line() == "hello")
    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)


def test_how_a_child_ended_is_known(child):
    begin(child, "import sys; sys.exit('no such model')")
    until(lambda: not child.running)
    assert (child.ended, child.last_line(), child.pid) == (1, "no such model", 0)


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(child):
    begin(child, STUBBORN)
    until(lambda: child.last_line() == "up")
    begun = time.monotonic()
    asyncio.run(child.stop(0.2))
    assert 0.2 <= time.monotonic() - begun < 5
    assert child.ended == -9


def test_what_a_child_started_ends_with_it(child):
    begin(child, PARENT)
    grandchild = int(until(child.last_line))
    assert exists(grandchild)
    asyncio.run(child.stop(5))
    until(lambda: not exists(grandchild))


def test_the_guard_ends_the_groups_that_it_knows_when_its_input_ends(tmp_path):
    guard = Guard(grace=0.2)
    child = Child("worker", tmp_path / "worker.log", guard)
    begin(child, PARENT)
    grandchild = int(until(child.last_line))
    guard.close()
    until(lambda: not exists(grandchild))
    until(lambda: not child.running)


def test_the_guard_kills_groups_that_ignore_sigterm(child):
    begin(child, STUBBORN)
    until(lambda: child.last_line() == "up")
    guard_process.end({child.pid}, grace=0.1)
    until(lambda: not child.running)
    assert child.ended == -9


def test_a_guard_that_was_killed_is_replaced_and_told_everything(child, guard):
    begin(child, PARENT)
    grandchild = int(until(child.last_line))
    guard._process.kill()
    guard._process.communicate()
    guard.remove(0)
    assert guard._process.poll() is None
    guard.close()
    until(lambda: not exists(grandchild))


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_the_kernel_kills_a_child_whose_parent_was_killed_without_any_guard(tmp_path):
    code = f"""
import os, pathlib, sys, time
from loopwright.local.processes import Child
class NoGuard:
    add = remove = lambda self, group: None
child = Child("worker", pathlib.Path({str(tmp_path)!r}) / "worker.log", NoGuard())
child.start([sys.executable, "-c", "import time; time.sleep(60)"], os.environ)
print(child.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert exists(pid)
        parent.kill()
    until(lambda: not exists(pid))


def test_a_command_that_does_not_exist_is_named(child):
    with pytest.raises(ServingError, match="worker cannot be started: /no/such/command: "):
        child.start(["/no/such/command"], {})
    assert not child.running


def test_a_large_log_is_set_aside(child, monkeypatch):
    monkeypatch.setattr("loopwright.local.processes.LOG_LIMIT", 10)
    for text in ("a first long line", "second"):
        begin(child, f"print({text!r})")
        until(lambda: not child.running)
    assert child.log.read_text() == "second\n"
    assert child.log.with_name("worker.log.1").read_text() == "a first long line\n"


def test_the_delay_doubles_to_a_limit_and_begins_anew_after_a_long_life():
    backoff = Backoff(first=1.0, most=5.0)
    assert [backoff.delay(0.1) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.delay(6.0) == 1.0
