"""`approve --workflow`: who may not approve is refused before the Workflow goes on."""

import pytest

from loopwright.cli import approve
from loopwright.cli.context import Context
from loopwright.errors import RegistryError, StateError


@pytest.fixture
def told(monkeypatch):
    """Who was said to have approved, to the version's Workflow."""
    told: list[str] = []

    def tell(cluster, loop, version, by, reason):
        told.append(by)
        return True

    monkeypatch.setattr("loopwright.rollout.kserve.connect", lambda namespace: None)
    monkeypatch.setattr("loopwright.rollout.submission.approve", tell)
    return told


@pytest.fixture
def context(small_folder):
    path = small_folder / "loop.yaml"
    path.write_text(path.read_text() + "  approval: required\n  approvers: [ben]\n  self_approval: false\n")
    return Context.of(str(small_folder))


def test_the_rules_of_the_version_s_registration_hold(context, told):
    rules = {"approvals": 1, "approvers": ["ada", "cleo"], "self_approval": False}
    asked = context.ledger.append("small", "request", {"by": "ada"}).number
    facts = {"version": 7, "approval": "required", "rules": rules}
    context.ledger.append("small", "registered", facts, cause=asked)
    for by, why in (("ben", "none of the approvers"), ("ada", "`gates.self_approval` is false")):
        with pytest.raises(RegistryError, match=why):
            approve._tell_workflow(context, 7, by, "checked")
    assert told == []
    approve._tell_workflow(context, 7, "cleo", "checked")
    assert told == ["cleo"]


def test_without_the_ledger_the_declaration_s_hold(context, told, monkeypatch):
    def away(*arguments, **options):
        raise StateError("the database does not answer")

    monkeypatch.setattr(context.ledger, "entries", away)
    with pytest.raises(RegistryError, match="eve is none of the approvers"):
        approve._tell_workflow(context, 7, "eve", "checked")
    approve._tell_workflow(context, 7, "ben", "checked")
    assert told == ["ben"]
