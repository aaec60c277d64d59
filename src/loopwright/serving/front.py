"""The outermost ASGI layer: what every HTTP request passes before KServe's application sees it.

It bounds the body before anything parses it, names the version on every answer, counts outcomes, and while the
process drains tells clients to go elsewhere. A faster way of answering `:predict` and `/infer` has its place in
`Front._answer`, where the whole body is at hand.
"""

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from loopwright.serving.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 16 * 1024 * 1024
_TOO_LARGE = 413
_LONGEST_LENGTH = 12  # digits: a terabyte, and far from what int() takes long for


class _GoneError(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


class Front:
    """Wraps KServe's application."""

    def __init__(self, app: App, version: str, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._headers = [(b"x-model-version", version.encode())]
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counted = scope["path"].endswith((":predict", "/infer"))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
                if self.draining:
                    message["headers"].append((b"connection", b"close"))
                if counted:
                    self._count(message["status"])
            await send(message)

        if scope["method"] == "GET":
            await self._app(scope, receive, answer)
            return
        try:
            body = await _read(scope, receive)
        except _GoneError:
            return
        if body is None:
            await _refuse(
                answer, _TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer rows at a time"
            )
            return
        await self._answer(scope, body, receive, answer)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        if scope["path"].endswith("/infer"):
            scope = {**scope, "headers": _typed(scope["headers"])}
        # Starlette answers what nobody caught, and raises it again for the server to log: once is enough.
        with contextlib.suppress(Exception):
            await self._app(scope, replay, send)

    def _count(self, status: int) -> None:
        counter = self._metrics.ok if status < 400 else self._metrics.invalid if status < 500 else self._metrics.error
        counter.inc()


def _typed(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with JSON as the content's type, unless they say where JSON ends and binary tensors begin.

    KServe takes whatever is not called JSON for binary, and `curl -d` calls its content a form.
    """
    if any(name == b"inference-header-content-length" for name, _ in headers):
        return headers
    return [*(one for one in headers if one[0] != b"content-type"), (b"content-type", b"application/json")]


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body, or None when it is too large: read no further than the limit, whatever its length claims."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if length.isdigit() and (len(length) > _LONGEST_LENGTH or int(length) > MAX_BODY_BYTES):
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _refuse(send: Send, status: int, text: str) -> None:
    body = orjson.dumps({"error": text})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
