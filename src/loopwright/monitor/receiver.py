"""Where KServe's events come in: who may send them, what is acknowledged, and when what was is counted."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from loopwright import http
from loopwright.monitor.cloudevents import read
from loopwright.monitor.events import EventError
from loopwright.monitor.state import Monitor

GATHER = 0.05
"""Seconds in which events gather before they are looked at, as many at a time cost less."""
EXPIRY_CHECK = 15.0
"""Seconds between two looks at what has waited for too long."""
_REST = re.compile(rb"(?:/([A-Za-z0-9][A-Za-z0-9._-]{0,63}))?")

log = logging.getLogger(__name__)


@lru_cache(maxsize=64)
def _version(rest: bytes) -> str | None:
    """The version that the path names, empty where it names none; None for another path."""
    found = _REST.fullmatch(rest)
    return None if found is None else (found[1] or b"").decode()


class Receiver:
    """`token` is the bearer token, and `password` that of basic authorization, which is good for events only."""

    def __init__(self, monitor: Monitor, now: Callable[[], float], *, token: str = "", password: str = "") -> None:
        self._monitor, self._now = monitor, now
        self._token, self._password = token, password
        self._arrived = asyncio.Event()

    def take(self, rest: bytes, headers: Mapping[bytes, bytes], body: bytes) -> tuple[int, str]:
        """The status, and what is wrong if something is; `rest` is what stands behind the path, `/VERSION` or nothing.

        KServe's logger writes an error into its log for every answer but 200.
        """
        version = _version(rest)
        if version is None:
            return 404, "expected /v1/cloudevents or /v1/cloudevents/VERSION"
        try:
            http.admit_headers(headers, self._token, self._password)
        except http.Refused as error:
            return self._refuse(error.status, error.text, "unauthorized")
        try:
            halves = read(version, headers, body)
        except EventError as error:
            return self._refuse(400, str(error), error.reason)
        for half in halves:
            if not self._monitor.intake.offer(half):
                return self._refuse(503, "too many events wait to be counted; send fewer, or later", "overflow")
        self._arrived.set()
        return 200, ""

    async def route(self, request: Request, greatest: int, discarded: int) -> Response:
        """The same for requests that come the ordinary way, in which large ones do."""
        headers = dict(request.headers.raw)
        try:
            http.admit_headers(headers, self._token, self._password)
        except http.Refused as error:
            status, text = self._refuse(error.status, error.text, "unauthorized")
            return JSONResponse({"error": text}, status_code=status, headers=error.headers)
        body = await http.read(request, greatest, discarded=discarded)
        if body is None:
            status, text = self._refuse(413, f"the event is larger than {greatest} bytes", "too_large")
        else:
            status, text = self.take(request.path_params["rest"].encode(), headers, body)
        return JSONResponse({"error": text} if text else {}, status_code=status)

    def _refuse(self, status: int, text: str, reason: str) -> tuple[int, str]:
        self._monitor.rejected[reason] += 1
        return status, text

    async def run(self) -> None:
        """Count what arrives, many at a time, and let in other work between."""
        # An event belongs to the event loop it is waited for in.
        self._arrived = asyncio.Event()
        while True:
            while self._monitor.pair(self._now()):
                await asyncio.sleep(0)
            self._monitor.intake.expire(self._now())
            try:
                await asyncio.wait_for(self._arrived.wait(), EXPIRY_CHECK)
            except TimeoutError:
                continue
            self._arrived.clear()
            await asyncio.sleep(GATHER)
