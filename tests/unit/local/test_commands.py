import sys
from pathlib import Path

import pytest

from loopwright import settings
from loopwright.errors import ServingError
from loopwright.local import commands
from loopwright.rollout.state import Placement


def test_the_processes_are_called_as_they_say_they_are():
    python = [sys.executable, "-m"]
    assert commands.predictor("churn", Placement(3, "/b", "ff"), 1, 2, "http://m") == [
        *python,
        *["loopwright.serving", "--bundle", "/b", "--digest", "ff", "--name", "churn", "--version", "3"],
        *["--http-port", "1", "--grpc-port", "2", "--monitor", "http://m"],
    ]
    assert commands.monitor(Path("/l.json"), 5, "http://t/v1/alerts") == [
        *python,
        *["loopwright.monitor", "--loop", "/l.json", "--port", "5"],
        *["--alerts", "http://t/v1/alerts", "--token-env", "LOOPWRIGHT_TOKEN"],
    ]
    assert commands.trigger(Path("/loop"), 6) == [*python, "loopwright.cli.trigger_service", "/loop", "--port", "6"]


def test_mlflow_serves_the_loops_registry(tmp_path):
    called = commands.mlflow(settings.read(tmp_path, {}), 5000)
    assert called[called.index("--backend-store-uri") + 1] == f"sqlite:///{tmp_path}/.loopwright/mlflow.db"
    assert called[called.index("--default-artifact-root") + 1] == f"{tmp_path}/.loopwright/artifacts"


def test_envoy_is_taken_from_beside_python_before_path(tmp_path, monkeypatch):
    for folder in ("venv", "path"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "envoy").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert commands.find_envoy() == str(tmp_path / "venv" / "envoy")
    (tmp_path / "venv" / "envoy").unlink()
    assert commands.find_envoy() == str(tmp_path / "path" / "envoy")


def test_without_envoy_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServingError, match=r"there is no `envoy`.*pip install 'loopwright\[gateway\]'"):
        commands.envoy(tmp_path / "bootstrap.json")
