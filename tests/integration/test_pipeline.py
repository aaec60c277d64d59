"""The pipeline on this machine and MLflow, called as a user does, and what bad input makes of it."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loopwright import settings
from loopwright.registry import Registry


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "loop.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def registered(folder: Path) -> list[int]:
    return [version.number for version in Registry(settings.read(folder, {})).versions("small")]


def processes(folder: Path) -> list[str]:
    """Command lines of processes that have to do with the folder."""
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(folder) in line and "ps -eo" not in line]


@pytest.mark.slow
def test_a_run_registers_a_version_and_one_that_does_not_pass_registers_none(
    loopwright: Any, small_folder: Path
) -> None:
    first = loopwright.json("run", "--reason", "to begin with")
    assert first["version"] == 1
    assert first["passed"]
    assert first["champion"] is None
    (artifacts,) = (small_folder / ".loopwright" / "runs").glob("*/artifacts")
    for page, says in (("validation.html", "spend"), ("judgement.html", "roc_auc")):
        assert says in (artifacts / page).read_text(), "the run leaves what one looks at"
    cards = {path.name for path in (small_folder / ".loopwright").rglob("artifacts/card/*.html")}
    assert cards == {"model-card.html", "data-sheet.html"}, "they are logged with the version"
    rendered = loopwright.json("render", "--to", "out", "--prometheus", "--namespace", "models")
    assert {Path(name).name for name in rendered["files"]} >= {"inferenceservice.yaml", "rules.yml", "alertmanager.yml"}
    assert ".models.svc:" in (small_folder / "out" / "prometheus" / "alertmanager.yml").read_text()
    edit(small_folder, "minimum: {roc_auc: 0.6}", "minimum: {roc_auc: 0.999}")
    refused = loopwright("run")
    assert refused.returncode == 4
    assert "no version was registered: minimum roc_auc" in refused.stderr
    assert "at least 0.999 needed" in refused.stderr
    versions = Registry(settings.read(small_folder, {})).versions("small")
    assert [(version.number, version.aliases) for version in versions] == [(1, ("challenger",))]

    entries = loopwright.json("history")
    steps = ["request", "run", "snapshot", "validated", "split", "trained", "judged"]
    assert [entry["kind"] for entry in entries] == [*steps, "registered", "run_ended", *steps, "run_ended"]
    # Each step follows from the one before; that the run has ended follows from the run.
    causes = [entry["cause"] for entry in entries]
    assert causes == [None, 1, 2, 3, 4, 5, 6, 7, 2, None, 10, 11, 12, 13, 14, 15, 11]
    assert entries[0]["facts"]["reason"] == "to begin with"
    assert entries[-1]["facts"]["state"] == "rejected"
    assert [entry["number"] for entry in loopwright.json("history", "--why", "8")] == list(range(1, 9))

    status = loopwright.json("status")
    assert (status["up"], status["champion"], status["challenger"]) == (False, None, 1)
    assert status["last_run"]["state"] == "rejected"
    assert loopwright.json("audit", "verify") == {"valid": True, "entries": 17, "snapshots": 1, "models": 1}
    (taken,) = (small_folder / ".loopwright" / "snapshots").glob("*.parquet")
    pd.read_parquet(taken).assign(plan="basic").to_parquet(taken)
    altered = loopwright("audit", "verify")
    assert altered.returncode == 3
    assert "was changed: its bytes are not those that the ledger has" in altered.stderr


@pytest.mark.slow
@pytest.mark.long
def test_an_interrupted_and_a_killed_run_leave_nothing_behind_and_the_next_run_works(
    loopwright: Any, small_folder: Path, until: Callable[..., Any], ending: Callable[..., str]
) -> None:
    interrupted = loopwright.start("run")
    progress = small_folder / ".loopwright" / "runs"
    until(
        lambda: any('"step": "train"' in path.read_text() for path in progress.glob("*/progress.jsonl")),
        "the run begins to train",
    )
    output = ending(interrupted, signal.SIGINT)
    assert interrupted.returncode == 130, output
    assert "Traceback" not in output
    until(lambda: not processes(small_folder), "nothing of the run is left")
    assert registered(small_folder) == []
    assert loopwright.json("history")[-1]["facts"]["state"] == "cancelled"

    killed = loopwright.start("run")
    until(lambda: len(list(progress.glob("*/progress.jsonl"))) == 2, "the run begins")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    until(lambda: not processes(small_folder), "nothing of the run is left")
    assert loopwright.json("status")["last_run"]["state"] == "failed"
    assert loopwright.json("run")["version"] == 1
    ended = [entry["facts"]["state"] for entry in loopwright.json("history") if entry["kind"] == "run_ended"]
    assert ended == ["cancelled", "failed", "succeeded"]


def rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        change(pd.read_csv(folder / "rows.csv", dtype=str)).to_csv(folder / "rows.csv", index=False)

    return apply


def declaration(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder, old, new)


def content(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None  # type: ignore[func-returns-value]


BAD = {
    "misspelt key": (declaration("missing: 0.1", "mising: 0.1"), 2, "unknown key `mising`; did you mean `missing`?"),
    "missing data": (lambda folder: (folder / "rows.csv").unlink(), 3, "there is no data at"),
    "empty data": (content("rows.csv", b""), 3, "rows.csv is empty"),
    "not a table": (content("rows.csv", b"\x89PNG\r\n\xff\xfe\x00"), 3, "is neither CSV nor Parquet"),
    "one class": (rows(lambda frame: frame.assign(left="No")), 3, "the label left has 1 class (No)"),
    "all rows break it": (rows(lambda frame: frame.assign(plan="gold")), 3, "800 of 800 rows (100.0%) break"),
    "column gone": (rows(lambda frame: frame.drop(columns="spend")), 3, "spend: the column is gone"),
    "other type": (rows(lambda frame: frame.assign(age="old")), 3, "age: 800 of 800 values are something else"),
    "too few rows": (rows(lambda frame: frame.head(30).assign(spend="5")), 3, "expected at least 20 rows in each part"),
    "no label": (rows(lambda frame: frame.assign(left=None)), 3, "800 of 800 rows (100.0%) break the contract: left"),
    "unknown parameter": (declaration("num_iterations: 20", "num_leavs: 3"), 2, "LightGBM has no parameter num_leavs"),
    "no such estimator": (declaration("task:", "estimator: 'nomod:factory', task:"), 2, "nomod"),
    "feature code gone": (declaration("task:", "features: f.py, task:"), 2, "the feature code"),
}


@pytest.mark.parametrize("case", BAD)
def test_check_names_what_is_wrong_and_what_to_do_and_leaves_nothing_behind(
    loopwright: Any, small_folder: Path, case: str
) -> None:
    make, code, message = BAD[case]
    make(small_folder)
    result = loopwright("check")
    assert result.returncode == code, result.stderr
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert not (small_folder / ".loopwright").exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["all rows break it", "one class"])
def test_a_run_on_bad_data_fails_as_check_does_and_registers_nothing(
    loopwright: Any, small_folder: Path, case: str
) -> None:
    make, code, message = BAD[case]
    make(small_folder)
    result = loopwright("run", "--json")
    answer = json.loads(result.stdout)
    assert (result.returncode, answer["exit_code"]) == (code, code)
    assert message in answer["error"]
    assert "Traceback" not in result.stdout + result.stderr
    ended = loopwright.json("history")[-1]
    assert (ended["kind"], ended["facts"]["state"]) == ("run_ended", "failed")
    assert message in ended["facts"]["error"]
    assert not list((small_folder / ".loopwright").glob("snapshots/.*"))


def test_feature_code_that_fails_is_named_with_its_line(loopwright: Any, small_folder: Path) -> None:
    edit(small_folder, "task:", "features: f.py, task:")
    (small_folder / "f.py").write_text("def features(columns):\n    return {'a': columns['agee']}\n")
    result = loopwright("check")
    assert result.returncode == 2
    assert "features.py, line 2, failed: KeyError: 'agee'" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_state_folder_is_named(loopwright: Any, small_folder: Path) -> None:
    (small_folder / ".loopwright").mkdir(mode=0o500)
    result = loopwright("run")
    assert result.returncode == 7
    assert "cannot be written: Permission denied" in result.stderr


def test_a_state_folder_that_cannot_be_made_is_named(loopwright: Any, small_folder: Path) -> None:
    (small_folder / ".loopwright").write_text("a file")
    result = loopwright("run")
    assert result.returncode == 7
    assert "the state folder" in result.stderr
    assert "name another with LOOPWRIGHT_STATE" in result.stderr
    assert (small_folder / ".loopwright").read_text() == "a file"


def test_a_full_disk_is_named_and_nothing_half_written_stays(loopwright: Any, small_folder: Path) -> None:
    # /dev/full is a device on which every write fails as on a full disk.
    loopwright.environment["LOOPWRIGHT_LEDGER_URL"] = "sqlite:////dev/full"
    result = loopwright("run")
    assert result.returncode == 7, result.stderr
    assert "the ledger at sqlite:////dev/full cannot be used" in result.stderr
    assert not list((small_folder / ".loopwright" / "runs").iterdir())


def test_init_refuses_to_write_over_a_declaration(loopwright: Any, small_folder: Path) -> None:
    before = (small_folder / "loop.yaml").read_text()
    result = loopwright("init", ".", "--data", "rows.csv", "--label", "left")
    assert result.returncode == 2
    assert "exists already" in result.stderr
    assert (small_folder / "loop.yaml").read_text() == before


def test_init_writes_a_declaration_that_check_accepts(loopwright: Any, small_folder: Path) -> None:
    result = loopwright("init", "fresh", "--data", "rows.csv", "--label", "left")
    assert result.returncode == 0, result.stderr
    assert "classification of left, 3 inputs, 800 rows" in result.stdout
    assert loopwright.json("check", "fresh")["passed"]


def test_an_altered_ledger_is_found(loopwright: Any, small_folder: Path) -> None:
    from loopwright.ledger import Ledger

    url = f"sqlite:///{small_folder}/.loopwright/ledger.db"
    for number in range(3):
        Ledger(url).append("small", "request", {"reason": str(number), "by": "a test"})
    assert loopwright.json("audit", "verify") == {"valid": True, "entries": 3, "snapshots": 0, "models": 0}
    import sqlite3

    with sqlite3.connect(small_folder / ".loopwright" / "ledger.db") as connection:
        connection.execute("UPDATE loopwright_ledger SET facts = replace(facts, '\"1\"', '\"9\"') WHERE number = 2")
    result = loopwright("audit", "verify")
    assert result.returncode == 5
    assert "entry 2 (request) was changed after it was written" in result.stderr
