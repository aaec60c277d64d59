"""`up` with a stand-in for the supervisor, which only says that everything is ready."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loopwright.cli import up as command
from loopwright.ledger import Ledger
from loopwright.local.options import choose_places
from loopwright.rollout.state import Status


class Supervisor:
    def __init__(self, _loop: Any, _folder: Path, settings: Any, options: Any) -> None:
        self.options, self.places = options, choose_places(options, settings)

    def run(self) -> None:
        self.options.on_ready(Status(pid=1, started=1.0, endpoints=self.places.urls, weights={1: 100}))


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_a_registrys_password_is_neither_shown_nor_written_to_the_ledger(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch, json_option: list[str]
) -> None:
    monkeypatch.setenv("LOOPWRIGHT_REGISTRY_URI", "https://me:s3cret@mlflow.example.com")
    monkeypatch.setattr("loopwright.local.supervisor.Supervisor", Supervisor)
    monkeypatch.setattr(command, "champion", lambda context: None)
    shown = CliRunner().invoke(command.up, [str(small_folder), "--port", "0", *json_option], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "https://me:***@mlflow.example.com" in shown.output
    ledger = Ledger(f"sqlite:///{small_folder}/.loopwright/ledger.db")
    started, stopped = ledger.entries("small")
    assert started.facts["endpoints"]["mlflow"] == "https://me:***@mlflow.example.com"
    assert "s3cret" not in shown.output + json.dumps([started.facts, stopped.facts])
