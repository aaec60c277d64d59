import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
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


# What a command may not import while it answers: its exit code, and the modules. MLflow alone takes seconds.
TRAINING = {"mlflow", "scipy", "sklearn", "lightgbm", "kfp", "kserve"}
WITHOUT = {
    "check": (0, TRAINING | {"sqlalchemy"}),
    "status": (0, TRAINING | {"pandas", "pyarrow"}),
    "history": (0, TRAINING | {"pandas", "pyarrow", "numpy", "httpx"}),
    "lineage": (0, TRAINING),
    "drift": (9, TRAINING | {"pandas", "pyarrow", "numpy", "sqlalchemy"}),
}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loop with a version; a stand-in for MLflow's database has the tables that are read, and no model is stored."""
    from loopwright.registry.tables import SCHEMA

    folder = tmp_path_factory.mktemp("loops")
    rows = "".join(f"{number},{number % 7},{'yes' if number % 3 else 'no'}\n" for number in range(200))
    (folder / "rows.csv").write_text("id,calls,left\n" + rows)
    made = loopwright("init", "churn", "--data", "rows.csv", "--label", "left", cwd=folder)
    assert made.returncode == 0, made.stderr
    model = folder / "model"
    (model / "data" / "bundle").mkdir(parents=True)
    state = folder / "churn" / ".loopwright"
    state.mkdir(exist_ok=True)
    with closing(sqlite3.connect(state / "mlflow.db", isolation_level=None)) as database:
        database.executescript("""
            CREATE TABLE alembic_version (version_num);
            CREATE TABLE model_versions
                (workspace, name, version, creation_time, source, run_id, storage_location, current_stage);
            CREATE TABLE model_version_tags (workspace, name, version, "key", value);
            CREATE TABLE registered_model_aliases (workspace, name, version, alias);
            INSERT INTO model_version_tags VALUES ('default', 'churn', 1, 'loopwright.bundle', 'bundle');
            INSERT INTO registered_model_aliases VALUES ('default', 'churn', 1, 'champion');
        """)
        database.execute("INSERT INTO alembic_version VALUES (?)", (SCHEMA,))
        values = ("default", "churn", 1, 0, "", "run", model.as_uri(), "None")
        database.execute("INSERT INTO model_versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    return folder


@pytest.mark.parametrize("command", WITHOUT)
def test_a_command_answers_without_the_libraries_that_it_has_no_use_for(command: str, registered: Path) -> None:
    code, heavy = WITHOUT[command]
    call = [command, "churn", *(["--monitor", "http://127.0.0.1:9"] if command == "drift" else [])]
    run = (
        f"import sys; from loopwright.cli import main; sys.argv = ['loopwright', *{call!r}]\n"
        "try: main.main()\n"
        f"except SystemExit as ended: print('ended', ended.code, sorted({heavy!r} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=registered)
    assert result.stdout.splitlines()[-1:] == [f"ended {code} []"], result.stderr
    if command in ("status", "lineage"):
        assert "version 1" in result.stdout


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
