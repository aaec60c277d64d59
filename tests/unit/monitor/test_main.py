"""The process' command line and its listening socket."""

import socket

import pytest

from loopwright.errors import ServingError
from loopwright.monitor.__main__ import _listen, main


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
