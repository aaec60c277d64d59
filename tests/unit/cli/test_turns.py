import pytest

from loopwright.cli import turns
from loopwright.cli.context import Context
from loopwright.errors import RunError


@pytest.fixture
def context(small_folder):
    return Context.of(str(small_folder))


def begin(context, run):
    return context.ledger.append("small", "run", {"run": run, "engine": "local", "by": "ada"})


def test_the_run_that_the_ledger_has_first_goes_on_and_the_other_is_ended_as_cancelled(context):
    first, second = begin(context, "one"), begin(context, "two")
    turns.take(context, first)
    with pytest.raises(RunError, match="the run one of small was first"):
        turns.take(context, second)
    (end,) = context.ledger.entries("small", kind="run_ended")
    assert (end.facts["run"], end.facts["state"], end.cause) == ("two", "cancelled", second.number)
    turns.take(context, first)
    turns.keep(context, first)


def test_a_run_that_another_process_closed_does_not_go_on(context):
    first = begin(context, "one")
    context.ledger.append("small", "run_ended", {"run": "one", "state": "failed"}, cause=first.number)
    turns.take(context, begin(context, "two"))
    with pytest.raises(RunError, match="was closed by another one"):
        turns.keep(context, first)
