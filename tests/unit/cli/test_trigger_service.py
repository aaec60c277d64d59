"""The trigger's process: where it listens without a token."""

import sys

import pytest

from loopwright.cli import trigger_service

EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.fixture
def start(small_folder, monkeypatch):
    """The exit code of the process that was given these arguments; it does not serve, but ends well at once."""
    import uvicorn

    monkeypatch.setattr(trigger_service, "build", lambda context: None)
    monkeypatch.setattr("loopwright.trigger.app.make_app", lambda trigger: None)
    monkeypatch.setattr(uvicorn.Server, "run", lambda server: setattr(server, "started", True))

    def call(token, *arguments):
        monkeypatch.setenv("LOOPWRIGHT_TOKEN", token)
        monkeypatch.setattr(sys, "argv", ["trigger", str(small_folder), "--port", "0", *arguments])
        return trigger_service.main()

    return call


@pytest.mark.parametrize("token", ["", " \n"])
def test_without_a_token_it_does_not_listen_where_other_machines_reach_it(start, token, caplog):
    assert start(token, "--host", EVERYWHERE) == 9
    assert "there is no token, and other machines reach 0.0.0.0; expected the bearer token in" in caplog.text


def test_with_a_token_on_a_loopback_address_or_when_told_so_it_does(start):
    assert start("secret", "--host", EVERYWHERE) == 0
    assert start("") == 0
    assert start("", "--host", EVERYWHERE, "--without-token") == 0
