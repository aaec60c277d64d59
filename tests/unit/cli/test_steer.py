"""A person's decision about a rollout that another process runs, as that process may be done any moment."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from loopwright.cli import steer
from loopwright.cli.context import Context
from loopwright.errors import RolloutError
from loopwright.rollout.resume import Saved
from loopwright.rollout.states import FileStates


class Registry:
    """A stand-in of the registry that remembers what lost its alias."""

    def __init__(self):
        self.demoted = []

    def demote(self, loop, number):
        self.demoted.append(number)


@pytest.fixture
def context(small_folder, tmp_path, monkeypatch):
    """A rollout of version 2 that another process runs."""
    made = Context.of(str(small_folder))
    vars(made)["registry"] = Registry()
    states = FileStates(tmp_path / "live")
    (tmp_path / "live").mkdir()
    entry = made.ledger.append("small", "rollout", {"version": 2}).number
    states.save(Saved(2, "bundle", "digest", 1, (10,), entry, entry, 0.0))
    target = SimpleNamespace(gateway=None, states=states)
    monkeypatch.setattr("loopwright.rollout.planes.open_target", lambda *_: nullcontext(target))
    return made


def test_an_abort_that_the_other_process_has_done_before_it_is_looked_for_is_done(context, monkeypatch):
    drive = steer.drive

    def late(context, target, *arguments, **options):
        assert target.states.command().kind == "abort"
        context.ledger.append("small", "rolled_back", {"version": 2, "reason": "aborted"})
        target.states.clear()
        return drive(context, target, *arguments, **options)

    monkeypatch.setattr(steer, "drive", late)
    steer._decide(context, "abort", "not today")
    assert context.registry.demoted == [2]


def test_a_decision_that_cannot_be_carried_out_is_refused(context, monkeypatch):
    def lost(*arguments, **options):
        raise RolloutError("the data plane is not there")

    monkeypatch.setattr(steer, "drive", lost)
    with pytest.raises(RolloutError, match="the data plane is not there"):
        steer._decide(context, "abort", "not today")
