import os

import pytest

from loopwright.errors import StateError
from loopwright.local import lock


def test_a_held_lock_is_refused_naming_the_holder_and_how_to_stop_it(tmp_path):
    with (
        lock.held(tmp_path, "churn"),
        pytest.raises(StateError, match=f"churn is up already, as process {os.getpid()}.*`kill {os.getpid()}`"),
        lock.held(tmp_path, "churn"),
    ):
        pytest.fail("two holders")


def test_the_holder_is_known_while_it_holds_and_not_after(tmp_path):
    assert lock.holder(tmp_path) is None
    with lock.held(tmp_path, "churn"):
        assert lock.holder(tmp_path) == os.getpid()
    assert lock.holder(tmp_path) is None
    with lock.held(tmp_path, "churn"):
        assert lock.holder(tmp_path) == os.getpid()


def test_the_lock_is_given_up_when_the_holder_fails(tmp_path):
    with pytest.raises(RuntimeError), lock.held(tmp_path, "churn"):
        raise RuntimeError
    assert lock.holder(tmp_path) is None
