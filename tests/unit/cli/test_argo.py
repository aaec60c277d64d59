"""The engine `argo` as the commands and the trigger use it: rendered, chosen, and asked after runs of the ledger."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from loopwright import cluster, declaration
from loopwright.cli import engines, open_runs, run, trigger_service
from loopwright.cli.context import Context
from loopwright.cli.render import render
from loopwright.engines.protocol import RunStatus
from loopwright.errors import RolloutError, RunError


class Runs:
    """An engine whose runs are a list: a stand-in for Argo's."""

    place = "models"

    def __init__(self):
        self.known = []

    def status(self, name):
        return next(status for status in self.known if status.run == name)

    def runs(self, loop):
        return self.known


@pytest.fixture
def argo(monkeypatch):
    made, local = Runs(), engines.opened
    monkeypatch.setattr(
        engines, "opened", lambda settings, name="": made if (name or settings.engine) == "argo" else local(settings)
    )
    return made


@pytest.fixture
def context(small_folder, monkeypatch):
    monkeypatch.delenv("LOOPWRIGHT_ENGINE", raising=False)
    return Context.of(str(small_folder))


@pytest.mark.long
def test_render_writes_the_pipeline_and_its_schedule_before_there_is_a_version(small_folder, tmp_path):
    text = (small_folder / declaration.FILE).read_text() + 'retrain: {on: [schedule], schedule: "0 2 * * 0"}\n'
    (small_folder / declaration.FILE).write_text(text)
    answer = CliRunner().invoke(render, [str(small_folder), "--argo", "--to", str(tmp_path / "out"), "--json"])
    assert answer.exit_code == 0, answer.output
    files = json.loads(answer.output)["files"]
    assert [name.rsplit("/", 1)[1] for name in files] == ["workflowtemplate.yaml", "cronworkflow.yaml"]
    template, scheduled = (yaml.safe_load(Path(name).read_text()) for name in files)
    assert scheduled["spec"]["workflowSpec"]["workflowTemplateRef"]["name"] == template["metadata"]["name"]


def test_without_a_cluster_a_run_on_argo_fails_and_says_what_is_needed(small_folder, monkeypatch):
    def none(namespace):
        raise RolloutError("there is no cluster to talk to", do="see that `kubectl get namespaces` answers")

    monkeypatch.setattr(cluster, "connect", none)
    answer = CliRunner().invoke(run.run, [str(small_folder), "--engine", "argo"])
    assert isinstance(answer.exception, RunError)
    assert "there is no cluster to talk to" in str(answer.exception)


def test_a_command_closes_no_run_of_another_engine(context, argo):
    entry = context.ledger.append("small", "run", {"run": "small-1", "engine": "argo", "by": "Ada"})
    argo.known = [RunStatus("small-1", "small", "running")]
    with pytest.raises(RunError, match="the run small-1 of small is under way"):
        open_runs.settle(context, engines.opened(context.settings))
    assert [one.number for one in context.ledger.entries("small")] == [entry.number]


def test_the_trigger_asks_the_engine_that_a_run_is_on(context, argo):
    asked = trigger_service.build(context)._executor.ask
    entry = context.ledger.append("small", "run", {"run": "small-1", "engine": "argo", "by": "Ada"})
    assert asked(entry) is None, "it knows no such run"
    argo.known = [RunStatus("small-1", "small", "running")]
    assert asked(entry).state == "running"
    argo.known = [RunStatus("small-1", "small", "failed", error="the pod train failed: OOMKilled", exit_code=6)]
    found = asked(entry)
    assert (found.state, found.error) == ("failed", "the pod train failed: OOMKilled")
    argo.known = [RunStatus("small-1", "small", "succeeded", version=4)]
    assert asked(entry).version == 4
