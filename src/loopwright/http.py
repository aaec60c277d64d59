"""What the trigger and the monitor ask of a request before they do anything for it, and of where they listen.

Both act on what they are sent: one starts runs, the other decides by it whether a version is taken back. So the
bearer token of LOOPWRIGHT_TOKEN comes first, requests of web pages are refused, and a body is read only up to a size.
"""

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING

from loopwright.errors import ServingError

if TYPE_CHECKING:
    from starlette.requests import Request


class Refused(Exception):
    """A request that is answered with a status and a text."""

    def __init__(self, status: int, text: str, *, scheme: str = "Bearer") -> None:
        super().__init__(text)
        self.status, self.text, self._scheme = status, text, scheme

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to the status."""
        return {"WWW-Authenticate": f'{self._scheme} realm="loopwright"'} if self.status == 401 else {}


def bearer(token: str) -> dict[bytes, bytes]:
    """The headers that a client sends the token with; none without one."""
    return {b"Authorization": f"Bearer {token}".encode()} if token else {}


def admit(request: "Request", token: str, *, page: bool = False) -> None:
    """Raise Refused unless the request has the bearer token, where there is one, and is not of a web page.

    A `page` is for a browser, which can send the token as a password only.
    """
    # Compared in constant time, so that the token cannot be found byte by byte from how long a refusal takes. Headers
    # are bytes, which are read as Latin-1.
    given = request.headers.get("authorization", "").encode("latin-1")
    if token and not hmac.compare_digest(given, f"Bearer {token}".encode()):
        if not page:
            raise Refused(401, "the bearer token is missing or wrong")
        if not hmac.compare_digest(_password(given), token.encode()):
            raise Refused(401, "the password is the token of LOOPWRIGHT_TOKEN", scheme="Basic")
    # Without a token a page in the user's browser could post to 127.0.0.1; browsers always name the origin.
    if "origin" in request.headers:
        raise Refused(403, "requests from web pages are not taken")


def _password(given: bytes) -> bytes:
    """The password of an Authorization header as browsers send it; nothing of any other."""
    scheme, _, content = given.partition(b" ")
    try:
        decoded = base64.b64decode(content, validate=True) if scheme.lower() == b"basic" else b""
    except ValueError:
        return b""
    return decoded.partition(b":")[2]


def admit_headers(headers: Mapping[bytes, bytes], token: str, password: str = "") -> None:
    """The same for a request's headers, by their names in lower case; `password` is good as well, in basic form.

    Raises Refused. Who sends what a client cannot be told to put a bearer token on has a URL instead, with a password
    in it; it is another secret than the token, as such URLs are shown and logged.
    """
    given = headers.get(b"authorization", b"")
    if token and not hmac.compare_digest(given, f"Bearer {token}".encode()) and not _basic(given, password):
        raise Refused(401, "the bearer token or the password is missing or wrong")
    if b"origin" in headers:
        raise Refused(403, "requests from web pages are not taken")


def _basic(given: bytes, password: str) -> bool:
    kind, _, encoded = given.partition(b" ")
    if not password or kind.lower() != b"basic":
        return False
    try:
        _, _, found = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return False
    return hmac.compare_digest(found, password.encode())


async def read(request: "Request", greatest: int, *, discarded: int = 0) -> bytes | None:
    """The request's body, or None when it has more than `greatest` bytes.

    A client that is cut off while it sends sees a broken connection instead of the answer, so a body that is too
    large is read to its end and thrown away if it has no more than `discarded` bytes.
    """
    most = max(greatest, discarded)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        return None
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            return None
        if size <= greatest:
            body += chunk
        else:
            body.clear()
    return bytes(body) if size <= greatest else None


def require_token(host: str, token: str, *, without: bool = False) -> None:
    """Raise ServingError when other machines reach `host` and there is no token, unless it is to be `without` one."""
    if not (token or without or _loopback(host)):
        raise ServingError(
            f"there is no token, and other machines reach {host or 'every address of this machine'}",
            expected="the bearer token in LOOPWRIGHT_TOKEN, or a loopback address such as 127.0.0.1",
            do="set LOOPWRIGHT_TOKEN, or give --without-token to take requests from anybody",
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # What another name stands for is not asked: it may be another address when it is listened on.
        return host == "localhost"
