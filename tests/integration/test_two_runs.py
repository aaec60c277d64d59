"""Two runs of one loop that are started at the same moment: one goes through, the other withdraws."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
@pytest.mark.long
def test_of_two_runs_at_once_one_registers_a_version_and_the_other_says_so(loopwright: Any, small_folder: Path) -> None:
    both = [loopwright.start("run", "--reason", name) for name in ("one", "two")]
    said = [process.communicate(timeout=240)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 6], said
    refused = next(text for process, text in zip(both, said, strict=True) if process.returncode == 6)
    assert "one run of a loop at a time" in refused
    assert "Traceback" not in refused
    entries = loopwright.json("history")
    assert [entry["facts"]["version"] for entry in entries if entry["kind"] == "registered"] == [1]
    assert len([entry for entry in entries if entry["kind"] == "snapshot"]) == 1
    begun = [entry["facts"]["run"] for entry in entries if entry["kind"] == "run"]
    ended = {entry["facts"]["run"]: entry["facts"]["state"] for entry in entries if entry["kind"] == "run_ended"}
    assert set(begun) == set(ended)
    assert list(ended.values()).count("succeeded") == 1
