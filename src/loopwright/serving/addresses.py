"""Ports: taken before anything heavy is loaded, so that one that is in use is found out at once."""

import socket

from loopwright.errors import ServingError


def listen(host: str, port: int) -> socket.socket:
    """A TCP socket bound to the address, not yet listening; port 0 takes a free one. Raises ServingError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise no_port("HTTP", host, port, error) from error
    return bound


def no_port(what: str, host: str, port: int, error: Exception) -> ServingError:
    """The error that says which address cannot be used and why."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be bound"
    return ServingError(
        f"{what} cannot listen on {host}:{port}: {reason}",
        expected="a free port",
        do="stop what uses it, or name another port",
    )
