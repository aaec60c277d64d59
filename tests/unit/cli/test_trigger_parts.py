"""What the trigger's process makes of the local engine's answers, and of a rollout that a person had stopped."""

import json
from dataclasses import replace

import pytest

from loopwright.cli import trigger_service
from loopwright.cli.context import Context
from loopwright.engines.local import PROCESS, PROGRESS, REQUEST, RESULT, result
from loopwright.errors import RolledBack, RolloutError
from loopwright.trigger import RunResult

GONE = 2**22 + 1  # no process has an id above the kernel's greatest


@pytest.fixture
def context(small_folder):
    return Context.of(str(small_folder))


@pytest.fixture
def trigger(context):
    return trigger_service.build(context)


@pytest.fixture
def run(context):
    """A run's folder as the engine leaves it, and its entry."""

    def make(ended=None, progress=()):
        folder = context.settings.runs / "a-run"
        folder.mkdir(parents=True)
        (folder / REQUEST).write_text(json.dumps({"name": context.loop.name, "run": "a-run"}))
        (folder / PROCESS).write_text(json.dumps({"pid": GONE, "started": 1}))
        (folder / PROGRESS).write_text("".join(json.dumps(line) + "\n" for line in progress))
        if ended is not None:
            (folder / RESULT).write_text(json.dumps(ended))
        return entry(context)

    return make


def entry(context):
    return context.ledger.append(context.loop.name, "run", {"run": "a-run", "engine": "local", "by": "Ada"})


def test_a_run_that_went_down_with_its_process_is_interrupted(trigger, run):
    assert trigger._executor.ask(run()) == RunResult("failed", error="interrupted")


def test_a_run_whose_step_failed_before_its_process_went_is_a_failure(trigger, run):
    line = {"step": "validate", "state": "failed", "at": 3.0, "error": "age is missing", "exit_code": 3}
    assert trigger._executor.ask(run(progress=[line])) == RunResult("failed", error="age is missing")


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (result("failed", 3.0, error="no memory"), RunResult("failed", error="no memory")),
        (result("cancelled", 3.0, error="cancelled"), RunResult("cancelled", error="cancelled")),
        (result("succeeded", 3.0, version=4), RunResult("succeeded", version=4)),
        (result("succeeded", 3.0), RunResult("rejected")),
    ],
)
def test_a_run_that_ended_is_what_its_result_says(trigger, run, ended, expected):
    assert trigger._executor.ask(run(ended)) == expected


def test_a_run_that_the_engine_does_not_know_is_unknown(trigger, context):
    assert trigger._executor.ask(entry(context)) is None


@pytest.mark.parametrize("end", [KeyboardInterrupt(), RolledBack("it is worse")])
def test_a_version_that_was_taken_back_ends_its_rollout_and_not_the_worker(trigger, monkeypatch, caplog, end):
    def take_live(context, version, cause):
        raise end

    monkeypatch.setattr("loopwright.cli.going_live.take_live", take_live)
    try:
        trigger._rollouts._rollout(2, cause=1)
    except KeyboardInterrupt:  # pytest would end with it
        pytest.fail("the worker's thread would end")
    assert caplog.records


def test_a_rollout_that_cannot_go_on_is_the_triggers_to_try_again(trigger, monkeypatch):
    def take_live(context, version, cause):
        raise RolloutError("process 7 is rolling out version 1")

    monkeypatch.setattr("loopwright.cli.going_live.take_live", take_live)
    with pytest.raises(RolloutError, match="process 7"):
        trigger._rollouts._rollout(2, cause=1)


def test_on_a_cluster_a_rollout_is_handed_over_as_a_workflow(context, monkeypatch):
    handed = []

    def submitted(context, version, progress):
        handed.append(version)

    monkeypatch.setattr("loopwright.cli.going_live.submitted", submitted)
    elsewhere = replace(context, settings=replace(context.settings, workflows=True))
    trigger_service.build(elsewhere)._rollouts._rollout(2, cause=1)
    assert handed == [2]
