import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loopwright import processes

linux = pytest.mark.skipif(sys.platform != "linux", reason="what is asked is Linux's")


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@linux
def test_an_id_and_a_start_name_one_process(sleeper):
    start = processes.started(sleeper.pid)
    assert start is not None
    assert processes.alive(sleeper.pid)
    assert processes.alive(sleeper.pid, start)
    assert not processes.alive(sleeper.pid, start - 1), "another process that had the id before"


@linux
def test_the_start_is_the_kernels(sleeper):
    booted = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if "btime" in line)
    at = booted + processes.started(sleeper.pid) / os.sysconf("SC_CLK_TCK")
    assert abs(time.time() - at) < 10


def test_a_process_that_ended_lives_no_more_also_before_it_is_waited_for(sleeper):
    sleeper.kill()
    if sys.platform == "linux":
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.alive(sleeper.pid)
    sleeper.wait()
    assert not processes.alive(sleeper.pid)
    assert processes.started(sleeper.pid) is None


def test_a_lock_is_held_by_one_and_the_others_read_its_note(tmp_path):
    path = tmp_path / "lock"
    with processes.locked(path, "a long note") as first:
        assert first is None
        with processes.locked(path, "two") as second:
            assert second == "a long note"
    with processes.locked(path, "short") as third:
        assert third is None
        assert path.read_text() == "short"
    with processes.locked(path, None) as asked:
        assert asked is None
    assert path.read_text() == "short", "who only asks writes nothing"


CHILD = """
import signal, time
from loopwright import processes
processes.end_with_parent({parent}, signal.SIGTERM)
print("lives", flush=True)
time.sleep(20)
"""


def test_a_process_whose_parent_is_gone_already_ends():
    child = subprocess.run([sys.executable, "-c", CHILD.format(parent=os.getpid() + 1)], capture_output=True, text=True)
    assert (child.returncode, child.stdout) == (1, "")


@linux
def test_a_process_ends_with_its_parent():
    code = CHILD.format(parent="__import__('os').getppid()")
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "lives\n"
        begun = time.monotonic()
        process.kill()
        # The pipe ends when its last writer does.
        assert process.stdout.read() == ""
        assert time.monotonic() - begun < 10
