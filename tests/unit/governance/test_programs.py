import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loopwright.errors import RecordError
from loopwright.governance import programs


def run(tmp_path, code, **options):
    return programs.run([sys.executable, "-c", code], "it failed", tmp_path, tmp_path, **options)


def test_what_fails_is_told_by_its_last_words(tmp_path):
    with pytest.raises(RecordError, match=r"it failed: .*ModuleNotFoundError: No module named 'nowhere'"):
        run(tmp_path, "import nowhere")


def test_what_was_killed_is_told_by_the_signal(tmp_path):
    with pytest.raises(RecordError, match="it failed: it was ended by SIGKILL; there was probably not enough memory"):
        run(tmp_path, "import os; os.kill(os.getpid(), 9)")


@pytest.mark.parametrize(
    ("said", "do"),
    [
        # pip 25, without a network.
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)': /simple/numpy/\n"
            "ERROR: Could not find a version that satisfies the requirement numpy==1 (from versions: none)\n"
            "ERROR: No matching distribution found for numpy==1",
            "can be reached",
        ),
        ("ERROR: No matching distribution found for networkx==1", "PIP_FIND_LINKS"),
        ("error: Failed to build `networkx`", "see what it says"),
    ],
)
def test_an_index_that_is_away_is_told_from_one_that_lacks_a_package(tmp_path, said, do):
    with pytest.raises(RecordError, match=do) as found:
        run(tmp_path, f"import sys; sys.exit({said!r})")
    assert "--here" in str(found.value)


def test_secrets_are_for_nobody_and_the_index_is_for_who_installs():
    given = {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "2",
        "UV_INDEX_URL": "https://ada:word@example.org",
        "PIP_INDEX_URL": "https://example.org",
        "https_proxy": "http://example.org",
        "LOOPWRIGHT_TOKEN": "t",
        "LOOPWRIGHT_LEDGER_URL": "postgresql://ada:word@example.org",
        "MLFLOW_TRACKING_URI": "https://example.org",
        "AWS_PROFILE": "p",
        "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
        "GITHUB_TOKEN": "t",
        "PGPASSWORD": "p",
        "PIP_USER": "1",
        "UV_REQUIRE_HASHES": "1",
        "PYTHONPATH": "/elsewhere",
    }
    child = programs.environment(given, installs=False)
    assert child == {"PATH": "/bin", "OMP_NUM_THREADS": "2"}
    index = {name: given[name] for name in ("UV_INDEX_URL", "PIP_INDEX_URL", "https_proxy")}
    assert programs.environment(given, installs=True) == {**child, **index}


STARTS = """
import os, subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open(sys.argv[1] + ".new", "w") as stream:
    stream.write(f"{os.getpid()} {other.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(60)
"""
WAITS = """
import signal, sys, tempfile
from pathlib import Path
from loopwright.governance import programs

signal.signal(signal.SIGTERM, signal.default_int_handler)
with tempfile.TemporaryDirectory(dir=sys.argv[1]) as name:
    programs.run([sys.executable, "-c", sys.argv[2], sys.argv[3]], "it failed", Path(name), Path(name))
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_what_ends_who_waits_ends_all_that_was_started_and_leaves_no_folder(tmp_path):
    (tmp_path / "own").mkdir()
    started = tmp_path / "started"
    command = [sys.executable, "-c", WAITS, tmp_path / "own", STARTS, started]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as waits:
        until = time.monotonic() + 30
        while not started.exists() and time.monotonic() < until:
            time.sleep(0.02)
        pids = [int(one) for one in started.read_text().split()]
        os.kill(waits.pid, signal.SIGTERM)
        assert waits.wait(30) != 0
    while not all(map(gone, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    assert [gone(pid) for pid in pids] == [True, True]
    assert list((tmp_path / "own").iterdir()) == []
