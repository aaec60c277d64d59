"""Which engine a command and the trigger ask, and what the ledger says came of a run whose pods hand nothing back."""

import pytest
from click.testing import CliRunner

from loopwright.cli import engines, run, trigger_service
from loopwright.cli.context import Context
from loopwright.cli.schedule import schedule
from loopwright.engines.kfp import KfpEngine, LedgerOutcomes
from loopwright.engines.local import LocalEngine
from loopwright.engines.protocol import RunStatus
from loopwright.errors import DeclarationError, StateError
from loopwright.steps.recording import FAILED
from loopwright.trigger import RunResult


@pytest.fixture
def context(small_folder):
    return Context.of(str(small_folder))


class Known:
    """An engine that knows what it is told."""

    def __init__(self, *known: RunStatus) -> None:
        self.known = list(known)

    def runs(self, _loop):
        return self.known


def entry(context, name, engine):
    return context.ledger.append(context.loop.name, "run", {"run": name, "engine": engine, "by": "Ada"})


def test_a_loop_runs_on_this_machine_unless_it_is_told_otherwise(small_folder, monkeypatch):
    assert isinstance(engines.opened(Context.of(str(small_folder)).settings), LocalEngine)
    monkeypatch.setenv("LOOPWRIGHT_ENGINE", "kfp")
    context = Context.of(str(small_folder))
    assert isinstance(engines.opened(context.settings), KfpEngine)
    assert isinstance(engines.opened(context.settings, "local"), LocalEngine)


def test_a_loop_that_declares_no_schedule_gets_none(small_folder):
    answer = CliRunner().invoke(schedule, [str(small_folder)])
    assert isinstance(answer.exception, DeclarationError)
    assert "has no `retrain.schedule`" in str(answer.exception)


def test_an_engine_that_there_is_not_is_named(small_folder, monkeypatch):
    monkeypatch.setenv("LOOPWRIGHT_ENGINE", "slurm")
    with pytest.raises(StateError, match="LOOPWRIGHT_ENGINE is 'slurm'; expected local or argo or kfp"):
        Context.of(str(small_folder))


def test_versions_and_failures_are_read_from_the_ledger(context):
    ledger, name = context.ledger, context.loop.name
    ledger.append(name, "registered", {"run": "one", "version": 3, "digest": "abc"})
    for message in ("a node was lost", "age is missing"):
        ledger.append(name, FAILED, {"run": "two", "step": "validate", "error": message, "exit_code": 3})
    outcomes = LedgerOutcomes(ledger)
    assert outcomes.versions(name) == {"one": 3}
    assert outcomes.failure(name, "two") == ("validate", "age is missing", 3)
    assert outcomes.failure(name, "one") is None


def test_a_command_closes_no_open_run_of_another_engine(context):
    """The local engine does not know the runs on a cluster, which are no less under way for it."""
    entry(context, "on-a-cluster", "kfp")
    mine = entry(context, "on-this-machine", "local")
    run._close_interrupted(context, Known())
    ended = context.ledger.entries(context.loop.name, kind="run_ended")
    assert [(one.cause, one.facts["error"]) for one in ended] == [(mine.number, "interrupted")]


def test_the_trigger_asks_the_engine_of_the_run(context, monkeypatch):
    there = {
        "local": Known(RunStatus("old", "small", "succeeded", version=1)),
        "kfp": Known(RunStatus("new", "small", "failed", error="age is missing")),
    }
    monkeypatch.setattr(engines, "opened", lambda _settings, name="": there[name or "local"])
    ask = trigger_service.build(context)._executor.ask
    assert ask(entry(context, "old", "local")) == RunResult("succeeded", 1)
    # Nothing of it is in the folder of runs, which on this machine would mean that its process was killed.
    assert ask(entry(context, "new", "kfp")) == RunResult("failed", error="age is missing")
    assert ask(entry(context, "new", "local")) is None
