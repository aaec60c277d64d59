"""What a step leaves in the ledger where nobody sees its files: why it failed, and that a schedule began it."""

import pytest

from loopwright import declaration, settings
from loopwright.errors import DataError
from loopwright.ledger import Ledger
from loopwright.steps import recording


@pytest.fixture
def loop(small_folder, monkeypatch):
    monkeypatch.chdir(small_folder)
    return declaration.load(small_folder)


@pytest.fixture
def ledger(small_folder, loop):
    return Ledger(settings.prepare(settings.read(small_folder)).ledger_url)


def fail(loop, error, cause=0):
    with pytest.raises(type(error)), recording.step("validate", loop.to_json(), "a-run", cause):
        raise error


def test_a_step_that_fails_says_why_in_the_ledger_where_it_is_told_to(loop, ledger, monkeypatch):
    monkeypatch.setenv(recording.FAILURES, "ledger")
    entry = ledger.append(loop.name, "run", {"run": "a-run", "engine": "kfp", "by": "Ada"})
    fail(loop, DataError("age is missing"), entry.number)
    (failed,) = ledger.entries(loop.name, kind=recording.FAILED)
    assert failed.cause == entry.number
    assert failed.facts == {"step": "validate", "run": "a-run", "error": "age is missing", "exit_code": 3}


def test_an_error_of_no_kind_of_ours_is_told_with_its_type(loop, ledger, monkeypatch):
    monkeypatch.setenv(recording.FAILURES, "ledger")
    fail(loop, MemoryError("no more"))
    (failed,) = ledger.entries(loop.name, kind=recording.FAILED)
    assert (failed.facts["error"], failed.facts["exit_code"]) == ("MemoryError: no more", 1)


@pytest.mark.parametrize("kind", [DataError, OSError])
def test_no_password_of_an_error_comes_into_the_ledger(loop, ledger, monkeypatch, kind):
    monkeypatch.setenv(recording.FAILURES, "ledger")
    fail(loop, kind("postgresql://ada:hunter2@warehouse/rows does not answer"))
    (failed,) = ledger.entries(loop.name, kind=recording.FAILED)
    assert "postgresql://ada:***@warehouse" in failed.facts["error"]


def test_a_ledger_that_cannot_be_written_does_not_hide_why_the_step_failed(loop, ledger, monkeypatch):
    monkeypatch.setenv(recording.FAILURES, "ledger")
    monkeypatch.setenv("LOOPWRIGHT_LEDGER_URL", "sqlite:////nowhere/at/all.db")
    fail(loop, DataError("age is missing"))


def test_on_this_machine_a_failed_step_leaves_no_entry(loop, ledger):
    fail(loop, DataError("age is missing"))
    assert ledger.entries(loop.name) == []


def test_the_first_step_of_a_scheduled_run_writes_what_led_to_it_once(loop, ledger, monkeypatch):
    monkeypatch.setenv(recording.KFP_RUN, "180098a4")
    for _ in range(2):
        with recording.step("snapshot", loop.to_json(), "", recording.SCHEDULED) as step:
            step.facts = {"id": "abc"}
    entries = ledger.entries(loop.name)
    assert [entry.kind for entry in entries] == ["request", "run", "snapshot", "snapshot"]
    request, run, *snapshots = entries
    assert run.cause == request.number
    assert run.facts == {
        "run": f"{loop.name}-180098a4",
        "engine": "kfp",
        "place": "the schedule's KFP",
        "by": "Kubeflow Pipelines",
    }
    assert {snapshot.cause for snapshot in snapshots} == {run.number}
    assert {snapshot.facts["run"] for snapshot in snapshots} == {run.facts["run"]}


@pytest.mark.parametrize(("registered", "state"), [({"version": 3}, "succeeded"), (None, "rejected")])
def test_the_last_step_of_a_scheduled_run_writes_its_end_once(loop, ledger, monkeypatch, registered, state):
    monkeypatch.setenv(recording.KFP_RUN, "180098a4")
    with recording.step("snapshot", loop.to_json(), "", recording.SCHEDULED) as step:
        step.facts = {"id": "abc"}
    assert ledger.entries(loop.name, kind="run_ended") == []
    for _ in range(2):
        with recording.step("register", loop.to_json(), "", step.number) as last:
            last.facts = registered
    (end,) = ledger.entries(loop.name, kind="run_ended")
    (run,) = ledger.entries(loop.name, kind="run")
    assert (end.cause, end.facts["state"], end.facts["version"]) == (run.number, state, 3 if registered else None)


def test_the_end_of_a_run_that_somebody_submitted_is_left_to_them(loop, ledger, monkeypatch):
    monkeypatch.setenv(recording.KFP_RUN, "180098a4")
    entry = ledger.append(loop.name, "run", {"run": "a-run", "engine": "kfp", "by": "Ada"})
    with recording.step("register", loop.to_json(), "a-run", entry.number) as step:
        step.facts = {"version": 3}
    assert ledger.entries(loop.name, kind="run_ended") == []
