"""One HTTP/1.1 connection to the monitor, held open, with one request at a time on it.

A message of events is sent several times a second next to predictions that cost less than a tenth of a millisecond
each. httpx takes about a millisecond of the event loop for one; on asyncio's own transport, with uvicorn's parser, it
is a twentieth of that. This can only do what the predictor asks of its monitor: no redirects, proxies or cookies.
"""

import asyncio
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httptools

from loopwright.errors import ServingError

SECONDS = 5.0
# As much of an answer is kept as is told of it.
_KEPT_BYTES = 1000


class Answer(NamedTuple):
    """What the monitor said: its status, and the beginning of its text."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked for."""
        return 200 <= self.status < 300


class Poster:
    """Sends to one monitor. Used from one event loop, by one task."""

    def __init__(self, url: str, headers: dict[bytes, bytes], *, seconds: float = SECONDS) -> None:
        """Connects when there is something to send. Raises ServingError for what is no address of a monitor."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ServingError(f"the monitor's address {url!r} cannot be read: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or not url.isprintable():
            raise ServingError(f"found {url!r} as the monitor's address", expected="one such as http://127.0.0.1:9090")
        if any(b"\r" in value or b"\n" in value for value in headers.values()):
            raise ServingError("a header for the monitor has several lines", do="check LOOPWRIGHT_TOKEN")
        self.url = url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port or (443 if self._secure else 80)
        self._path = parts.path.rstrip("/")
        # Credentials in an address are not sent.
        host = parts.netloc.rpartition("@")[2]
        lines = {b"Host": host.encode(), **headers}
        self._headers = b"".join(b"%s: %s\r\n" % line for line in lines.items())
        self._seconds = seconds
        self._connection: _Connection | None = None

    async def __call__(self, method: str, path: str, content: bytes, kind: str) -> Answer | None:
        """Ask, with a body of this type; None where the monitor does not answer, in time or at all."""
        head = b"%s %s HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (
            *(method.encode(), (self._path + path).encode(), self._headers, kind.encode(), len(content)),
        )
        try:
            async with asyncio.timeout(self._seconds):
                return await (await self._connected()).ask(head, content)
        except OSError:  # TimeoutError is one, and so is what TLS finds wrong
            self.close()
            return None
        except asyncio.CancelledError:
            # The answer that is still to come belongs to no other request.
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.end()
        self._connection = None

    async def _connected(self) -> "_Connection":
        if self._connection is None or self._connection.closed:
            context = ssl.create_default_context() if self._secure else None
            loop = asyncio.get_running_loop()
            _, self._connection = await loop.create_connection(_Connection, self._host, self._port, ssl=context)
        return self._connection


class _Connection(asyncio.Protocol):
    """The transport's events, as answers; httptools calls the methods of its own names."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: Any = None
        self._answer: asyncio.Future[Answer] | None = None
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._fail(f"the connection was closed: {error}")

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            # Nobody asked.
            self.end()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.end()
            self._fail(f"the answer is not HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        if len(self._body) < _KEPT_BYTES:
            self._body += body[:_KEPT_BYTES]

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        if not self._parser.should_keep_alive():
            self.end()
        if answer is not None and not answer.done():
            answer.set_result(Answer(self._parser.get_status_code(), self._body.decode(errors="replace")))

    async def ask(self, head: bytes, content: bytes) -> Answer:
        """Send a request and wait for its answer. Raises OSError when the connection ends before."""
        self._body, self._parser = b"", httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.writelines([head, content])
        return await self._answer

    def end(self) -> None:
        """Close without waiting for anything."""
        self.closed = True
        self._transport.abort()

    def _fail(self, why: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(why))
