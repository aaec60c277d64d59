"""The first version that serves on a cluster, put there by hand or by `deploy`: registry and ledger learn of it."""

from types import SimpleNamespace

import pytest

from loopwright.cli import going_live
from loopwright.cli.context import Context


class Registry:
    """A stand-in of the registry: which version is the champion."""

    def __init__(self, champion=None):
        self.number = champion

    def champion(self, loop):
        return None if self.number is None else SimpleNamespace(number=self.number)

    def promote(self, loop, number):
        self.number = number


def target(serving, saved=None):
    """A stand-in of a data plane that serves a version, and of a rollout's state there."""
    return SimpleNamespace(
        gateway=SimpleNamespace(champion=lambda: serving), states=SimpleNamespace(load=lambda: saved)
    )


@pytest.fixture
def context(small_folder):
    made = Context.of(str(small_folder))
    vars(made)["registry"] = Registry()
    return made


def test_a_version_that_serves_before_anybody_said_so_becomes_the_champion_once(context):
    registered = context.ledger.append("small", "registered", {"version": 1, "digest": "d"})
    assert going_live._serves_unknown(context, target(1), 1)
    outcome = going_live.adopt(context, 1)
    assert (outcome.promoted, context.registry.number) == (True, 1)
    entry = context.ledger.entries("small")[-1]
    assert (entry.kind, entry.facts["version"], entry.cause) == ("promoted", 1, registered.number)
    assert not going_live._serves_unknown(context, target(1), 1)


@pytest.mark.parametrize("plane", [target(None), target(1), target(2, saved="a rollout under way")])
def test_anything_else_is_rolled_out(context, plane):
    assert not going_live._serves_unknown(context, plane, 2)
