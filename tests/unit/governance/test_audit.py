from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from loopwright.errors import BundleError, RegistryError
from loopwright.governance import audit
from loopwright.ledger import Entry
from loopwright.registry import ModelVersion

AT = datetime(2026, 1, 1, tzinfo=UTC)
REGISTERED = [Entry(1, AT, "small", "registered", None, None, {"version": 7, "digest": "d"}, "")]


def registry(digest, said):
    """A stand-in of a registry whose store does not give the model."""

    def fetch(_loop, _version):
        raise RegistryError(f"the registry at http://store does not answer as it should: {said}")

    return SimpleNamespace(versions=lambda _loop: [ModelVersion(7, digest, "s", {}, "r", AT)], fetch=fetch)


@pytest.mark.parametrize("said", ["No such file or directory: '/a'", "An error (404) occurred: Not Found", "NoSuchKey"])
def test_a_model_that_was_deleted_is_not_there(said):
    assert audit.models("small", REGISTERED, registry("d", said)) == audit.Checked(0, 1)


@pytest.mark.parametrize("said", ["Connection refused", "An error (403) occurred: Forbidden", "port 4040: timed out"])
def test_a_store_that_is_away_is_not_taken_for_deleted_models(said):
    with pytest.raises(RegistryError, match="does not answer"):
        audit.models("small", REGISTERED, registry("d", said))


def test_another_digest_in_the_registry_is_found():
    with pytest.raises(BundleError, match="expected d, as the ledger has it"):
        audit.models("small", REGISTERED, registry("forged", ""))
