"""The way of KServe's events past the web framework: one small POST each, thousands a second.

uvicorn's protocol, Starlette's routing and a task a request take several times as long as what is to be done with such
an event. So a connection begins here: as long as what comes over it are whole, plain POSTs of events they are read and
answered in place. The first request that is anything else, or that is written in any unusual way, is handed with all
that follows it to uvicorn, which knows all of HTTP.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PATH = b"/v1/cloudevents"
MOST_HEAD, MOST_BODY = 16 * 2**10, 256 * 2**10
"""Bytes of a request that is read here."""
MOST_UNREAD = 64 * 2**10
"""Bytes of answers that a client may leave unread."""
_BEGIN = b"POST " + PATH
_END = b" HTTP/1.1"
_UNUSUAL = {b"transfer-encoding", b"expect", b"upgrade", b"connection", b"content-encoding"}

Take = Callable[[bytes, Mapping[bytes, bytes], bytes], tuple[int, str]]
"""Takes the path after PATH, the headers by their names in lower case, and the body; gives the status and an error."""


class Post(NamedTuple):
    """A whole request, and where it ends."""

    rest: bytes
    headers: dict[bytes, bytes]
    body: bytes
    end: int


def parse(data: bytes, start: int) -> Post | bool | None:
    """The request that begins at `start`: whole, None while more has to come, False where it is not for here."""
    if not data.startswith(_BEGIN, start):
        return None if _BEGIN.startswith(data[start : start + len(_BEGIN)]) else False
    head = data.find(b"\r\n\r\n", start, start + MOST_HEAD)
    if head < 0:
        return None if len(data) - start < MOST_HEAD else False
    first, *lines = data[start:head].split(b"\r\n")
    if not first.endswith(_END) or data.count(b"\n", start, head) != len(lines):
        return False
    headers = dict(map(_header, lines))
    length = headers.get(b"content-length", b"")
    # A name that stands twice is for who knows all the rules, too.
    if b"" in headers or len(headers) != len(lines) or not length.isdigit() or len(length) > 6:
        return False
    body = head + 4
    end = body + int(length)
    if end - body > MOST_BODY:
        return False
    return Post(first[len(_BEGIN) : -len(_END)], headers, data[body:end], end) if end <= len(data) else None


@lru_cache(maxsize=512)
def _header(line: bytes) -> tuple[bytes, bytes]:
    """The name, in lower case, and the value; no name where the line is unusual. Most lines come again and again."""
    name, found, value = line.partition(b":")
    name = name.lower()
    if not found or name in _UNUSUAL or name.split() != [name]:
        return b"", b""
    return name, value.strip()


def protocol(take: Take) -> type[asyncio.Protocol]:
    """uvicorn's protocol with this way before it."""

    class Front(HttpToolsProtocol):
        _kept = b""
        _handed = False

        def data_received(self, data: bytes) -> None:
            if self._handed:
                super().data_received(data)
                return
            data = self._kept + data
            at, answers = 0, list[bytes]()
            while at < len(data):
                found = parse(data, at)
                if isinstance(found, Post):
                    answers.append(_answer(*take(found.rest, found.headers, found.body)))
                    at = found.end
                    continue
                self._handed = found is False
                break
            self._kept = data[at:]
            if answers:
                self._write(answers)
            if self._handed:
                rest, self._kept = self._kept, b""
                super().data_received(rest)

        def _write(self, answers: list[bytes]) -> None:
            transport: Any = self.transport
            if transport.get_write_buffer_size() > MOST_UNREAD:
                transport.abort()
            else:
                transport.write(b"".join(answers))

    return Front


_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def _answer(status: int, error: str) -> bytes:
    if not error:
        return _TAKEN
    extra = 'WWW-Authenticate: Bearer realm="loopwright"\r\n' if status == HTTPStatus.UNAUTHORIZED else ""
    extra += "Retry-After: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    body = msgspec.json.encode({"error": error})
    first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    return f"{first}{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body
