import os

import pytest

from loopwright.cli import context


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 4711"), OSError("No username set")])
def test_a_user_without_a_name_is_its_number(monkeypatch, error):
    def unknown():
        raise error

    monkeypatch.setattr(context.getpass, "getuser", unknown)
    assert context.user() == f"user {os.getuid()}"
