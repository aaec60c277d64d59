from datetime import UTC, datetime

import pytest

from loopwright import declaration
from loopwright.errors import BundleError, DeclarationError, RegistryError, RolloutError
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
def test_the_ledgers_order_decides_and_one_person_counts_once(more, state, small):
    assert approvals.decision(small, [*WAITS, *more], 7).state == state


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


def test_a_version_that_the_ledger_does_not_know_waits_where_a_person_is_asked(strict, small):
    with pytest.raises(RolloutError, match=r"not approved.*loopwright approve small 7"):
        approvals.require(strict, ASKED, version("approved"), "small")
    approvals.require(small, ASKED, version("approved"), "small")
    assert approvals.check(strict, ASKED, version("approved"), "ben").state == "waiting"
    said_of_it = [said(4, "approved", "ben"), said(5, "approved", "cleo")]
    approvals.require(strict, [*ASKED, *said_of_it], version("approved"), "small")


def test_a_digest_that_is_not_the_registered_one_does_not_go_live(small):
    registered = entry(3, "registered", 2, version=7, digest="other", approval="auto")
    with pytest.raises(BundleError, match="has the digest d of version 7"):
        approvals.require(small, [*ASKED, registered], version("approved"), "small")
    approvals.require(small, [*ASKED, entry(3, "registered", 2, version=7, digest="d")], version("approved"), "small")


def test_the_rules_of_the_registration_count_and_not_those_of_the_approver(strict, small_declaration):
    entries = [*ASKED, entry(3, "registered", 2, version=7, approval="required", rules=strict.gates.rules)]
    lax = declaration.parse(f"{small_declaration}  approval: required\n")
    for by, why in (("eve", "none of the approvers"), ("ada", "`gates.self_approval` is false")):
        with pytest.raises(RegistryError, match=why):
            approvals.check(lax, entries, version(), by)
    for words, state in (
        ([said(4, "approved", "ben", of=1)], "waiting"),
        ([said(4, "approved", "ben"), said(5, "approved", "ada")], "waiting"),
        ([said(4, "approved", "ben"), said(5, "approved", "eve")], "waiting"),
        ([said(4, "rejected", "eve")], "waiting"),
        ([said(4, "approved", "ben"), said(5, "approved", "cleo")], "approved"),
    ):
        assert approvals.decision(lax, [*entries, *words], 7).state == state


def test_words_on_a_number_that_was_given_again_are_of_the_model_before(small):
    first = entry(3, "registered", 2, version=7, approval="required", run="r")
    again = entry(6, "registered", 2, version=7, approval="required", run="s")
    yes, no = said(4, "approved", "ben", of=1), said(4, "rejected", "ben")
    assert approvals.decision(small, [*ASKED, first, yes], 7).state == "approved"
    assert approvals.decision(small, [*ASKED, first, yes, again], 7).state == "waiting"
    assert approvals.decision(small, [*ASKED, first, no, again], 7).state == "waiting"
    twice = entry(6, "registered", 2, version=7, approval="required", run="r")
    assert approvals.decision(small, [*ASKED, first, yes, twice], 7).state == "approved"
