"""The pages of a run: what is left in its folder, however far it came."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from loopwright.engines import local_runner
from loopwright.errors import ContractError
from loopwright.governance import pages
from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.registry import Registry
from loopwright.settings import prepare, read
from loopwright.steps import pods, recording
from loopwright.steps.pods import EVALUATION, REPORT, SET_ASIDE
from loopwright.steps.validate import validate


def test_a_run_whose_data_was_refused_leaves_the_page_that_says_why(
    small: Loop, small_rows: pd.DataFrame, tmp_path: Path
) -> None:
    pages.left(small.to_json(), tmp_path)
    assert list(tmp_path.iterdir()) == [], "it did not come that far"
    small_rows.drop(columns="plan").to_parquet(tmp_path / "rows.parquet", index=False)
    paths = [tmp_path / name for name in ("rows.parquet", "valid.parquet", SET_ASIDE, REPORT)]
    with pytest.raises(ContractError, match="plan"):
        validate(small, *paths, None, None)
    pages.left(small.to_json(), tmp_path)
    assert "plan" in (tmp_path / pages.VALIDATION).read_text()
    assert not (tmp_path / pages.JUDGEMENT).exists()


def test_a_page_that_cannot_be_made_is_a_warning(small: Loop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / EVALUATION).write_text("half of i")
    with caplog.at_level(logging.WARNING):
        pages.left(small.to_json(), tmp_path)
    assert "the run's pages are not in" in caplog.text


def test_a_card_that_cannot_be_logged_is_a_warning(
    small: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(self: Registry, name: str, number: int) -> None:
        raise ConnectionError("MLflow does not answer")

    monkeypatch.setattr(Registry, "get", away)
    settings = prepare(read(tmp_path, {}))
    Ledger(settings.ledger_url)
    with caplog.at_level(logging.WARNING):
        assert pages.logged(small, settings, 3) is False
    assert "the card of version 3 is not in MLflow: MLflow does not answer" in caplog.text


def test_a_run_on_this_machine_that_failed_leaves_its_pages_too(
    small: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_asked: object) -> None:
        raise ContractError("the data is not what it was")

    seen: list[Path] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(recording.PROGRESS, "")
    monkeypatch.setitem(pods.STEPS, "snapshot", refuse)
    monkeypatch.setattr(pages, "left", lambda loop, folder: seen.append(folder))
    request = {"loop": small.to_json(), "run": "small-1", "cause": 0, "features": "", "folder": str(tmp_path)}
    with pytest.raises(ContractError, match="the data is not what it was"):
        local_runner._run(request, tmp_path)
    assert seen == [tmp_path / local_runner.ARTIFACTS]
