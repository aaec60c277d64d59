"""The process' command line and its listening socket."""

import contextlib
import socket

import pytest

from loopwright.errors import ServingError
from loopwright.monitor import __main__ as process
from loopwright.monitor.__main__ import _listen, main

EVERYWHERE = "0.0.0.0"  # noqa: S104


def test_answers_are_not_held_back_for_acknowledgements():
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert client.fileno() >= 0


def test_an_address_that_cannot_be_listened_on_is_named():
    with pytest.raises(ServingError, match=r"cannot listen on no-such-host\.invalid:80: "):
        _listen("no-such-host.invalid", 80)


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_what_is_no_port_is_refused(port, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--loop", "loop.json", "--port", port])
    assert caught.value.code == 2
    assert f"'{port}' is no port" in capsys.readouterr().err


def test_what_is_wrong_is_one_line_on_stderr(tmp_path, capsys):
    assert main(["--loop", str(tmp_path / "absent.json"), "--port", "0"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {tmp_path / 'absent.json'} cannot be read: No such file or directory; expected")


@pytest.fixture
def start(loop, tmp_path, monkeypatch):
    """The exit code of the process that was given these arguments; it does not serve, but ends well at once."""
    path = tmp_path / "loop.json"
    path.write_text(loop.to_json())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "_listen", lambda host, port: contextlib.nullcontext())

    async def serve(*_arguments):
        return 0

    monkeypatch.setattr(process, "_serve", serve)

    def call(token, *arguments):
        monkeypatch.setenv("LOOPWRIGHT_TOKEN", token)
        return main(["--loop", str(path), "--port", "0", *arguments])

    return call


@pytest.mark.parametrize("token", ["", " \n"])
def test_without_a_token_it_does_not_listen_where_other_machines_reach_it(start, token, capsys):
    assert start(token, "--host", EVERYWHERE) == 9
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: there is no token, and other machines reach 0.0.0.0; expected the bearer token in")
    assert "--without-token" in line


def test_with_a_token_on_a_loopback_address_or_when_told_so_it_does(start):
    assert start("secret", "--host", EVERYWHERE) == 0
    assert start("", "--host", "127.0.0.1") == 0
    assert start("", "--host", EVERYWHERE, "--without-token") == 0
