import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loopwright.cli.main import COMMANDS


def loopwright(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loopwright.cli.main", *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )


def test_help_costs_no_more_than_twenty_bare_interpreter_starts() -> None:
    def fastest(call: list[str]) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run(call, check=True, capture_output=True)
            times.append(time.perf_counter() - began)
        return min(times)

    bare = fastest([sys.executable, "-S", "-c", "pass"])
    assert fastest([sys.executable, "-m", "loopwright.cli.main", "--help"]) < 20 * bare


# What a command waits for before it does anything. A run's own command waits for the process that has the heavy ones,
# and so does the process that watches over that.
LIGHT = {
    "--help": ("cli.main", {"pandas", "numpy", "sqlalchemy", "pydantic", "rich"}),
    "run": (
        "cli.run, loopwright.cli.versioned, loopwright.engines.local, loopwright.revision, loopwright.trigger.execute",
        {"pandas", "numpy", "mlflow", "kfp", "starlette", "httpx"},
    ),
    "a run's process": ("engines.local_runner", {"pandas", "numpy", "mlflow", "kfp", "sqlalchemy"}),
}


@pytest.mark.parametrize("what", LIGHT)
def test_what_starts_first_imports_nothing_heavy(what: str) -> None:
    modules, heavy = LIGHT[what]
    code = f"import sys, loopwright.{modules}; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = loopwright(command, "--help")
    assert result.returncode == 0, result.stderr
    assert f"Example: loopwright {command}" in " ".join(result.stdout.split())


def test_an_unknown_command_is_answered_with_the_one_that_was_meant() -> None:
    result = loopwright("rolout")
    assert result.returncode == 2
    assert "did you mean `rollout`?" in result.stderr


def test_without_a_loop_every_message_says_how_to_make_one(tmp_path: Path) -> None:
    result = loopwright("status", cwd=tmp_path)
    assert result.returncode == 2
    assert f"no loop.yaml in {tmp_path}" in result.stderr
    assert "loopwright init NAME --data FILE --label COLUMN" in result.stderr
    named = loopwright("run", str(tmp_path / "gone"), "--json")
    assert named.returncode == 2
    assert json.loads(named.stdout)["exit_code"] == 2


def test_the_loop_in_the_current_folder_is_found(small_folder: Path) -> None:
    result = loopwright("check", cwd=small_folder)
    assert result.returncode == 0, result.stderr
    assert "ready: 800 rows can be used" in result.stdout
