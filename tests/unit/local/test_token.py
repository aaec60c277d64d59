import stat
from dataclasses import replace

import pytest

from loopwright import settings
from loopwright.local import token


@pytest.fixture
def empty(tmp_path):
    return settings.prepare(settings.read(tmp_path, {}))


def test_each_up_has_a_token_of_its_own_that_only_its_user_reads(empty):
    first = token.issue(empty).token
    path = empty.live / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token.find(empty) == first
    second = token.issue(empty).token
    assert second != first
    assert token.find(empty) == second


def test_a_token_that_was_given_is_used_and_not_stored(empty):
    token.issue(empty)
    given = replace(empty, token="given")
    assert token.issue(given) == given
    assert not (empty.live / "token").exists()
    assert token.find(given) == "given"


def test_without_an_up_there_is_no_token(empty):
    token.issue(empty)
    token.discard(empty)
    assert token.find(empty) == ""
