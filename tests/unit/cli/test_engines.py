"""Which engine a command and the trigger ask, and what the ledger says came of a run whose pods hand nothing back."""

import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from loopwright.cli import engines, open_runs, run, trigger_service
from loopwright.cli.context import Context
from loopwright.cli.schedule import schedule
from loopwright.engines.kfp import KfpEngine, LedgerOutcomes
from loopwright.engines.local import LocalEngine
from loopwright.engines.protocol import RunStatus
from loopwright.errors import DeclarationError, EngineAway, RunError, StateError
from loopwright.steps.recording import FAILED
from loopwright.trigger import RunResult


@pytest.fixture
def context(small_folder):
    return Context.of(str(small_folder))


class Known:
    """An engine that knows what it is told."""

    place = "here"

    def __init__(self, *known: RunStatus) -> None:
        self.known = list(known)

    def runs(self, _loop):
        return self.known

    def status(self, name):
        return next(status for status in self.known if status.run == name)


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


def test_a_schedule_that_is_over_before_it_begins_is_refused(small_folder):
    with (small_folder / "loop.yaml").open("a") as stream:
        stream.write('retrain: {on: [schedule], schedule: "0 2 * * 0"}\n')
    answer = CliRunner().invoke(schedule, [str(small_folder), "--until", "2025-01-31"])
    assert answer.exit_code == 2
    assert "2025-01-31 23:59 UTC has passed" in answer.output


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


def test_a_step_that_went_through_when_it_was_tried_again_is_not_why_a_run_failed(context):
    ledger, name = context.ledger, context.loop.name
    outcomes = LedgerOutcomes(ledger)
    ledger.append(name, FAILED, {"run": "one", "step": "snapshot", "error": "no answer", "exit_code": 8})
    assert outcomes.failure(name, "one") == ("snapshot", "no answer", 8)
    ledger.append(name, "snapshot", {"run": "two", "id": "abc"})
    assert outcomes.failure(name, "one") == ("snapshot", "no answer", 8), "that was another run's"
    ledger.append(name, "snapshot", {"run": "one", "id": "abc"})
    assert outcomes.failure(name, "one") is None, "its next step was killed, which writes nothing"
    ledger.append(name, FAILED, {"run": "one", "step": "train", "error": "one class", "exit_code": 3})
    assert outcomes.failure(name, "one") == ("train", "one class", 3)


def test_a_command_closes_no_open_run_of_another_engine(context, monkeypatch):
    """The local engine does not know the runs on a cluster, which are no less under way for it."""
    mine = entry(context, "on-this-machine", "local")
    entry(context, "on-a-cluster", "kfp")
    monkeypatch.setenv("LOOPWRIGHT_KFP_HOST", "http://127.0.0.1:9")
    with pytest.raises(RunError, match=r"the run on-a-cluster of small may be under way: .* does not answer"):
        open_runs.settle(context, Known())
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


def test_a_run_that_ended_on_a_cluster_is_closed_with_what_it_failed_of(context, monkeypatch):
    """An `interrupted` one would count for nothing, however often it fails."""
    context = replace(context, settings=replace(context.settings, engine="kfp"))
    one = entry(context, "scheduled", "kfp")
    open_runs.settle(context, Known(RunStatus("scheduled", "small", "failed", error="age is missing")))
    (end,) = context.ledger.entries(context.loop.name, kind="run_ended")
    assert (end.cause, end.facts["state"], end.facts["error"]) == (one.number, "failed", "age is missing")


def test_a_run_that_was_just_claimed_on_a_cluster_is_left_to_whoever_submits_it(context):
    context = replace(context, settings=replace(context.settings, engine="kfp"))
    entry(context, "claimed", "kfp")
    open_runs.settle(context, Known())
    assert context.ledger.entries(context.loop.name, kind="run_ended") == []


@pytest.mark.parametrize(("error", "ends"), [(RunError("it is refused"), 1), (EngineAway("no answer"), 0)])
def test_a_submission_that_is_refused_ends_its_run_and_one_without_an_answer_does_not(context, error, ends):
    class Refusing(Known):
        def submit(self, _request):
            raise error

    with pytest.raises(RunError, match=str(error)):
        run._start(context, Refusing(), "", "why not", lambda _status: None)
    found = context.ledger.entries(context.loop.name, kind="run_ended")
    assert [end.facts["error"] for end in found] == ["it is refused"] * ends


def test_the_trigger_leaves_a_run_open_whose_engine_is_away_and_closes_it_as_it_ended(context, monkeypatch):
    class Away(Known):
        def submit(self, _request):
            return None

        def follow(self, _name, _progress):
            raise EngineAway("the API does not answer")

    there = Away()
    monkeypatch.setattr(engines, "opened", lambda _settings, name="": there)
    executor = trigger_service.build(context)._executor
    mine = entry(context, "small-1", "local")
    executor.execute(mine)
    assert context.ledger.entries(context.loop.name, kind="run_ended") == []
    there.known = [RunStatus("small-1", "small", "failed", error="age is missing")]
    executor.close(mine, RunResult("failed", error="age is missing"))
    assert [end.facts["error"] for end in context.ledger.entries(context.loop.name, kind="run_ended")] == [
        "age is missing"
    ]


def test_a_run_on_an_engine_whose_client_is_not_installed_cannot_be_asked_after_and_is_no_traceback(
    context, monkeypatch
):
    for name, engine, module in (("one", "kfp", "kfp"), ("two", "argo", "kubernetes")):
        began = entry(context, name, engine)
        with monkeypatch.context() as without:
            for known in [one for one in sys.modules if one.split(".")[0] == module]:
                without.delitem(sys.modules, known)
            without.setitem(sys.modules, module, None)
            with pytest.raises(RunError, match=f"client of the {engine} engine is not installed.*pip install"):
                open_runs.status(context, began, {})


def test_a_ledger_that_is_away_does_not_end_a_run_whose_code_cannot_be_recorded(context, monkeypatch, caplog):
    from loopwright import revision
    from loopwright.cli import versioned

    def away(*_arguments, **_facts):
        raise StateError("the ledger is away")

    monkeypatch.setattr(revision, "read", lambda *_arguments, **_options: {"revision": "abc"})
    monkeypatch.setattr(context.ledger, "append", away)
    versioned.record_code(context, 1)
    assert "the code of the run of entry 1 is not recorded: the ledger is away" in caplog.text


@pytest.mark.parametrize(
    ("text", "end"), [("2030-01-31", "2030-01-31 23:59:59"), ("2030-01-31T08:00", "2030-01-31 08:00:00")]
)
def test_a_schedule_until_a_day_has_that_day(text, end):
    (option,) = [one for one in schedule.params if one.name == "until"]
    assert str(option.type.convert(text, None, None)) == end
