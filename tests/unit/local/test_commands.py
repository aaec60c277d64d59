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


def test_mlflow_is_told_the_loops_registry_by_its_environment_as_it_may_hold_a_password(tmp_path):
    uri = "postgresql://me:s3cret@db/mlflow"
    given = settings.read(tmp_path, {"LOOPWRIGHT_REGISTRY_URI": uri})
    called = commands.mlflow(given, 5000)
    assert commands.mlflow_environment(given)["MLFLOW_BACKEND_STORE_URI"] == uri
    assert "s3cret" not in " ".join(called)
    assert called[called.index("--default-artifact-root") + 1] == f"{tmp_path}/.loopwright/artifacts"


def test_mlflows_server_takes_its_store_from_that_variable(tmp_path):
    from click.testing import CliRunner
    from mlflow import cli

    given = settings.read(tmp_path, {})
    arguments = commands.mlflow(given, 5000)[3:]
    assert arguments[0] == "server"
    context = cli.server.make_context("server", arguments[1:], resilient_parsing=True)
    assert context.params["default_artifact_root"] == str(given.artifacts)
    with CliRunner().isolation(env=commands.mlflow_environment(given)):
        context = cli.server.make_context("server", arguments[1:])
    assert context.params["backend_store_uri"] == given.registry_uri


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
