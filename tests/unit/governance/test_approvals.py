from datetime import UTC, datetime

import pytest

from loopwright import declaration
from loopwright.errors import DeclarationError, RegistryError, RolloutError
from loopwright.governance import approvals
from loopwright.ledger import Entry
from loopwright.registry import ModelVersion


def entry(number, kind, cause=None, **facts):
    return Entry(number, datetime(2026, 1, number, tzinfo=UTC), "small", kind, cause, None, facts, "")


ASKED = [entry(1, "request", by="ada"), entry(2, "run", 1, run="r")]
WAITS = [*ASKED, entry(3, "registered", 2, version=7, approval="required")]


def version(state="waiting", **tags):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelVersion(7, "d", "s", {"loopwright.approval": state, **tags}, "r", at)


@pytest.fixture
def strict(small_declaration):
    text = "  approval: required\n  approvers: [ada, ben, cleo]\n  approvals: 2\n  self_approval: false\n"
    return declaration.parse(small_declaration + text)


def said(number, kind, by, of=2):
    return entry(number, kind, 3, version=7, by=by, reason="r", of=of)


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ([], "waiting"),
        ([said(4, "approved", "ben")], "waiting"),
        ([said(4, "approved", "ben"), said(5, "approved", "ben")], "waiting"),
        ([said(4, "approved", "ben"), said(5, "approved", "cleo")], "approved"),
        ([said(4, "approved", "ben"), said(5, "rejected", "cleo"), said(6, "approved", "ada")], "rejected"),
        ([said(4, "approved", "ben"), said(5, "approved", "cleo"), said(6, "rejected", "ada")], "approved"),
        ([said(4, "approved", "ben", of=1)], "approved"),
    ],
)
def test_the_ledgers_order_decides_and_one_person_counts_once(more, state):
    assert approvals.decision([*WAITS, *more], 7).state == state


def test_who_may_speak(strict, small):
    assert approvals.check(strict, WAITS, version(), "ben").state == "waiting"
    for by, why in (("eve", "none of the approvers"), ("ada", "`gates.self_approval` is false")):
        with pytest.raises(RegistryError, match=why):
            approvals.check(strict, WAITS, version(), by)
    approvals.check(strict, WAITS, version(), "ada", rejects=True)
    with pytest.raises(RegistryError, match="waits for nobody"):
        approvals.check(small, [*ASKED, entry(3, "registered", 2, version=7)], version("approved"), "ben")


def test_a_version_that_came_of_an_alarm_was_asked_for_by_nobody():
    assert approvals.asked_by(WAITS, 7) == "ada"
    assert approvals.asked_by([entry(1, "alarm"), entry(2, "run", 1), entry(3, "registered", 2, version=7)], 7) is None


def test_only_what_the_ledger_and_the_registry_agree_on_goes_live(strict):
    done = [*WAITS, said(4, "approved", "ben"), said(5, "approved", "cleo")]
    approvals.require(strict, done, version("approved"), "small")
    for entries, one, why in (
        (WAITS, version("approved"), "not approved"),
        (done, version("waiting"), "not approved"),
        (done, version("approved", **{"loopwright.archived": "yes"}), "archived"),
        ([*WAITS, said(4, "rejected", "ben")], version("approved"), "rejected by ben"),
    ):
        with pytest.raises(RolloutError, match=why):
            approvals.require(strict, entries, one, "small")


@pytest.mark.parametrize("text", ["  approvers: [ada]", "  approval: required\n  approvers: [ada]\n  approvals: 2"])
def test_a_declaration_that_nobody_could_satisfy_is_refused(small_declaration, text):
    with pytest.raises(DeclarationError, match=r"need `approval: required`|there are 1 approvers"):
        declaration.parse(f"{small_declaration}{text}\n")
