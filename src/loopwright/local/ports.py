"""Which ports the processes of `loopwright up` listen on.

A port given by the user is checked before anything starts, so that the message names it; the others are looked for.
They are taken below 32,768, where Linux begins to give ports to outgoing connections: a predictor that is restarted
then finds its port as it left it.
"""

import random
import socket
from collections.abc import Iterator

from loopwright.errors import ServingError

LOOPBACK = "127.0.0.1"
_RANGE = range(20_000, 32_768)


def address(host: str) -> str:
    """The IP address of a host to listen on. Raises ServingError for a name that has none."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise ServingError(
            f"{host} has no address: {error.strerror or error}",
            expected="an IP address or a host name of this machine",
            do="use 127.0.0.1, or 0.0.0.0 to be reached from other machines",
        ) from error


def check(port: int, purpose: str, host: str = LOOPBACK) -> None:
    """Raises ServingError, naming the port and what it is for, when nothing new can listen there."""
    problem = _problem(host, port)
    if problem:
        raise ServingError(
            f"port {port} on {host} cannot be used for {purpose}: {problem}",
            expected="a free port",
            do=f"stop the process that listens there, or give {purpose} another port (0 takes a free one)",
        )


def free(count: int) -> list[int]:
    """This many different ports on which nothing listens now. Raises ServingError when there are too few."""
    ports = [port for port, _ in zip(_candidates(), range(count), strict=False)]
    if len(ports) < count:
        raise ServingError(f"no free port from {_RANGE.start} to {_RANGE.stop - 1}", do="stop what uses them")
    return ports


def usable(port: int) -> bool:
    """Whether a process of this machine could listen on the port now."""
    return not _problem(LOOPBACK, port)


def _candidates() -> Iterator[int]:
    # At random, so that two supervisors that start together seldom look at the same ports.
    for port in random.sample(_RANGE, len(_RANGE)):
        if usable(port):
            yield port


def _problem(host: str, port: int) -> str:
    """Why nothing new can listen on the port, or nothing."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: connections that wait for their end do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OverflowError:
            return "it is not between 0 and 65535"
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""
