"""The outermost ASGI layer: what every HTTP request passes before KServe's application sees it.

It bounds the body in size and in the time it takes to arrive before anything parses it, answers plain requests for
predictions itself (see `fast`), names the version on every answer, counts outcomes, and while the process drains tells
clients to go elsewhere.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from loopwright.serving.fast import Fast
from loopwright.serving.metrics import Metrics, Outcome, Protocol
from loopwright.serving.rest import RETRY_AFTER, report
from loopwright.serving.scorer import Overloaded

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY_BYTES = 16 * 1024 * 1024
SWEEP_SECONDS = 1.0
_LONGEST_LENGTH = 12  # digits: a terabyte, and far from what int() takes long for
_TOO_LARGE, _TOO_SLOW, _UNAVAILABLE, _FAILED = 413, 408, 503, 500
# What an error is counted as, by its status.
_KINDS = {400: "malformed", 404: "unknown_model", 501: "unsupported", _UNAVAILABLE: "unavailable"} | {
    _TOO_SLOW: "slow_request",
    _TOO_LARGE: "too_large",
}


class _GoneError(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


class _RefusedError(Exception):
    """A request that is not read to its end."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Front:
    """Wraps KServe's application; `sweep` is its task."""

    def __init__(
        self,
        app: App,
        name: str,
        version: str,
        metrics: Metrics,
        fast: Fast | None = None,
        *,
        seconds: float = 30.0,
    ) -> None:
        self._app, self._fast, self._metrics, self._seconds = app, fast, metrics, seconds
        self._paths: dict[str, Protocol] = {f"/v1/models/{name}:predict": "v1", f"/v2/models/{name}/infer": "v2"}
        self._version = (b"x-model-version", version.encode())
        self._json = (b"content-type", b"application/json")
        # Requests whose body has not come, with the moment from which they are refused.
        self._reading: dict[asyncio.Task[Any], float] = {}
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "GET":
            await self._app(scope, receive, self._named(send))
            return
        started = time.perf_counter()
        path = scope["path"]
        protocol = self._paths.get(path)
        counted = protocol or _protocol(path)
        try:
            identity, length, json_length, plain = _look(scope["headers"])
            body = await self._body(length, receive)
            if protocol is not None and plain and self._fast is not None and scope["method"] == "POST":
                answer = await self._predict(protocol, body, identity, json_length)
                if answer is not None:
                    await self._send(send, 200, answer)
                    self._metrics.count(protocol, "ok", time.perf_counter() - started)
                    return
        except _GoneError:
            return
        except _RefusedError as error:
            status = error.status
            extra: Headers = [(b"retry-after", RETRY_AFTER.encode())] if status == _UNAVAILABLE else []
            # What has not been read of the body would be taken for the next request.
            extra += [(b"connection", b"close")] if status in (_TOO_LARGE, _TOO_SLOW) and not self.draining else []
            await self._send(send, status, orjson.dumps({"error": str(error)}), extra)
        else:
            status = await self._delegate(scope, body, receive, send)
        if counted is not None and status:
            self._count(counted, status, time.perf_counter() - started)

    async def sweep(self) -> None:
        """Refuse requests whose body takes too long to arrive."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for task, deadline in list(self._reading.items()):
                if now > deadline:
                    task.cancel()

    async def _predict(self, protocol: Protocol, body: bytes, identity: str, json_length: int | None) -> bytes | None:
        """The answer to a plain request; None for one that is KServe's to answer. Raises _RefusedError."""
        assert self._fast is not None
        request = self._fast.v1(body, identity) if protocol == "v1" else self._fast.v2(body, identity, json_length)
        if request is None:
            return None
        try:
            return await self._fast.answer(protocol, request)
        except Overloaded as error:
            raise _RefusedError(_UNAVAILABLE, str(error)) from error
        except Exception as error:
            report(error)
            raise _RefusedError(_FAILED, str(error) or type(error).__name__) from error

    async def _body(self, length: int | None, receive: Receive) -> bytes:
        """The whole body; read no further than the limit, whatever its length claims."""
        text = f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer rows at a time"
        if length is not None and length > MAX_BODY_BYTES:
            raise _RefusedError(_TOO_LARGE, text)
        task = asyncio.current_task()
        assert task is not None
        self._reading[task] = time.monotonic() + self._seconds
        try:
            message = await receive()
            body: bytes = message.get("body", b"")
            if message["type"] == "http.request" and not message.get("more_body", False):
                return body
            parts, size = [body], len(body)
            while message["type"] != "http.disconnect" and message.get("more_body", False):
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BODY_BYTES:
                    raise _RefusedError(_TOO_LARGE, text)
        except asyncio.CancelledError:
            if time.monotonic() <= self._reading[task]:
                raise
            task.uncancel()
            late = f"the body did not arrive within {self._seconds:g} s; send it again"
            raise _RefusedError(_TOO_SLOW, late) from None
        finally:
            del self._reading[task]
        if message["type"] == "http.disconnect":
            raise _GoneError
        return b"".join(parts)

    async def _send(self, send: Send, status: int, body: bytes, extra: Headers | None = None) -> None:
        headers = [self._json, (b"content-length", b"%d" % len(body)), self._version]
        if extra:
            headers += extra
        if self.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _delegate(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> int:
        """Hand a request to KServe's application; returns the status of its answer, 0 for none."""
        given, statuses = False, [0]

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
            await self._app(scope, replay, self._named(send, statuses))
        return statuses[0]

    def _named(self, send: Send, statuses: list[int] | None = None) -> Send:
        """`send`, with the version on the answer and its status told."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self._version]
                if self.draining:
                    message["headers"].append((b"connection", b"close"))
                if statuses is not None:
                    statuses[0] = message["status"]
            await send(message)

        return named

    def _count(self, protocol: Protocol, status: int, seconds: float) -> None:
        self._metrics.count(protocol, outcome(status), seconds)
        if status >= 400:
            self._metrics.failed(_KINDS.get(status, "internal" if status >= _FAILED else "malformed"))


def outcome(status: int) -> Outcome:
    """What a request for predictions came to, by its status."""
    if status < 400:
        return "ok"
    if status < _FAILED:
        return "invalid"
    return "refused" if status == _UNAVAILABLE else "error"


def _protocol(path: str) -> Protocol | None:
    return "v1" if path.endswith(":predict") else "v2" if path.endswith("/infer") else None


def _look(headers: Headers) -> tuple[str, int | None, int | None, bool]:
    """The request's id, its length, the length of its JSON, and whether it is plain HTTP: no cloud event."""
    identity, length, json_length, plain = "", None, None, True
    for name, value in headers:
        if name == b"content-length":
            if value.isdigit():
                length = int(value) if len(value) <= _LONGEST_LENGTH else MAX_BODY_BYTES + 1
        elif name == b"x-request-id":
            # Which of two counts is KServe's to say.
            plain = plain and not identity
            identity = value.decode("latin-1")
        elif name == b"inference-header-content-length":
            plain = plain and value.isdigit() and len(value) <= _LONGEST_LENGTH and json_length is None
            json_length = int(value) if plain else None
        elif name == b"content-encoding" or name[:3] == b"ce-":
            plain = False
        elif name == b"content-type":
            plain = plain and b"cloudevents" not in value.lower()
    return identity, length, json_length, plain


def _typed(headers: Headers) -> Headers:
    """The headers with JSON as the content's type, unless they say where JSON ends and binary tensors begin.

    KServe takes whatever is not called JSON for binary, and `curl -d` calls its content a form.
    """
    if any(name == b"inference-header-content-length" for name, _ in headers):
        return headers
    return [*(one for one in headers if one[0] != b"content-type"), (b"content-type", b"application/json")]
