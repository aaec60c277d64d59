import socket

import pytest

from loopwright.errors import ServingError
from loopwright.local import ports


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_named_with_what_wanted_it_and_what_to_do(taken):
    with pytest.raises(ServingError, match=rf"port {taken} on 127.0.0.1 cannot be used for the gateway: address") as e:
        ports.check(taken, "the gateway")
    assert "give the gateway another port (0 takes a free one)" in str(e.value)
    assert not ports.usable(taken)


def test_a_number_that_is_no_port_is_refused():
    with pytest.raises(ServingError, match=r"port 70000 .* not between 0 and 65535"):
        ports.check(70_000, "the monitor")


def test_free_ports_differ_and_are_below_those_of_outgoing_connections():
    found = ports.free(50)
    assert len(set(found)) == 50
    assert all(20_000 <= port < 32_768 and ports.usable(port) for port in found)


def test_a_host_name_becomes_an_address_and_an_unknown_one_is_refused():
    assert ports.address("127.0.0.1") == "127.0.0.1"
    with pytest.raises(ServingError, match=r"no-such-host\.invalid has no address"):
        ports.address("no-such-host.invalid")
