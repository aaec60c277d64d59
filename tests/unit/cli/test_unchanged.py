"""What serves is what was registered: the registry's digest is a tag, and is held against the ledger's."""

from datetime import UTC, datetime

import pytest

from loopwright.cli import render, serve, stages, up
from loopwright.cli.context import Context
from loopwright.errors import BundleError, RegistryError
from loopwright.governance import lineage
from loopwright.registry import ModelVersion


class Registry:
    """A stand-in of the registry, with the versions that it is given."""

    def __init__(self, *known):
        self.known = known

    def versions(self, _loop):
        return list(self.known)

    def champion(self, _loop):
        return next((one for one in self.known if "champion" in one.aliases), None)

    def get(self, _loop, number):
        return next(one for one in self.known if one.number == number)

    def newest(self, _loop):
        return self.known[-1]


def version(number, digest="d", *aliases, **tags):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelVersion(number, digest, "s", {"loopwright.approval": "approved", **tags}, "r", at, aliases)


@pytest.fixture
def context(small_folder):
    return Context.of(str(small_folder))


@pytest.mark.parametrize(
    "use",
    [
        up.champion,
        lambda context: render._pair(context, 1, False),
        lambda context: serve.serve.callback.__wrapped__(context, 1, 0, 0, "127.0.0.1"),
    ],
)
def test_a_model_that_was_replaced_in_the_registry_with_its_digest_is_not_served(context, use):
    vars(context)["registry"] = Registry(version(1, "forged", "champion"))
    context.ledger.append("small", "registered", {"version": 1, "digest": "d"})
    with pytest.raises(BundleError, match="digest forged of version 1; expected d, as the ledger has it"):
        use(context)


def test_the_lineage_of_such_a_version_says_so_and_reads_nothing_of_it(context):
    forged = version(1, "forged")
    context.ledger.append("small", "registered", {"version": 1, "digest": "d"})
    found = lineage.of("small", Registry(forged), context.ledger, forged)
    assert (found.origin, "as the ledger has it" in found.problem) == (None, True)


@pytest.mark.parametrize(
    ("back", "why"),
    [
        (version(1, "d", "previous", **{"loopwright.archived": "yes"}), "is archived, and would be the champion again"),
        (version(1, "d", "previous", **{"loopwright.approval": "rejected"}), "is not approved"),
        (version(1, "forged", "previous"), "as the ledger has it"),
    ],
)
def test_a_version_that_may_not_go_live_does_not_become_the_champion_again(context, back, why):
    vars(context)["registry"] = Registry(back, version(2, "d", "champion"))
    for number in (1, 2):
        context.ledger.append("small", "registered", {"version": number, "digest": "d"})
    with pytest.raises(RegistryError, match=why):
        stages.demote.callback.__wrapped__(context, "champion", reason="r")
