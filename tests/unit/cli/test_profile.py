"""loopwright profile: files become the profile that a monitor takes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopwright.cli.profile import profile
from loopwright.errors import StateError
from loopwright.statistics.profile import Profile


@pytest.fixture
def folder(tmp_path: Path, churn_declaration: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A loop, rows as CSV, and predictions with labels as Parquet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.yaml").write_text(churn_declaration)
    pd.DataFrame({"age": [20, 40, None] * 10, "plan": ["basic", "premium", "basic"] * 10}).to_csv("rows.csv")
    labels = ["No", "Yes"] * 20
    pd.DataFrame({"prediction": np.linspace(0, 1, 40), "churned": labels}).to_parquet("held.parquet")
    return tmp_path


def test_the_file_is_a_profile_and_it_is_said_how_it_is_given_to_the_monitor(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(folder), "--rows", "rows.csv", "--predictions", "held.parquet", "--to", "profile.json"]
    profile.main(options, standalone_mode=False)
    said = capsys.readouterr().out
    assert "the profile of 30 rows is in profile.json: 2 inputs and the prediction" in said
    assert "--data-binary @profile.json" in said
    made = Profile.from_json((folder / "profile.json").read_text())
    assert (made.rows, list(made.features)) == (30, ["age", "plan"])
    assert made.labelled is not None
    profile.main([*options, "--json"], standalone_mode=False)
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "file": "profile.json", "rows": 30, "inputs": {"age": "number", "plan": "category"}, "labelled": True,
    }  # fmt: skip


def test_a_folder_that_is_not_there_is_said(folder: Path) -> None:
    options = [str(folder), "--rows", "rows.csv", "--predictions", "held.parquet", "--to", "nowhere/profile.json"]
    with pytest.raises(StateError, match=r"nowhere/profile\.json cannot be written"):
        profile.main(options, standalone_mode=False)
