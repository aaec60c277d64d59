"""The monitor over HTTP, as one ASGI application with its background tasks.

Whoever writes has the bearer token: profiles, events and labels decide what is an alarm and which version is taken
back. So has whoever reads predictions by id. Requests are checked and acknowledged, and counted by a task of their own
in between; another task looks. All of it shares one event loop, so there are no locks. At shutdown what was
acknowledged is still counted.
"""

import asyncio
import itertools
import logging
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from loopwright import http
from loopwright.monitor import exposition
from loopwright.monitor.alerts import Poster
from loopwright.monitor.counters import OtherProfileError
from loopwright.monitor.events import EventError, check, decode
from loopwright.monitor.labels import LabelError
from loopwright.monitor.push import RemoteWriter
from loopwright.monitor.receiver import Receiver
from loopwright.monitor.state import Monitor
from loopwright.statistics.profile import Profile

REPEAT_CHECK = 15.0
"""Seconds between two questions whether a notice is to be sent again."""

SHIPPING = 5.0
"""Seconds that the store has at the end to take what the archive has gathered; the rest stays on disk."""

GREATEST_BODY = 16 * 2**20
GREATEST_DISCARDED = 256 * 2**20
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

log = logging.getLogger(__name__)


class Refused(http.Refused):
    """A refusal of the monitor's own; `reason` is what a refused message of events counts as."""

    def __init__(self, status: int, text: str, reason: str = "") -> None:
        super().__init__(status, text)
        self.reason = reason


class _Label(msgspec.Struct):
    id: str
    label: str | float | int | bool


class _LabelMessage(msgspec.Struct):
    labels: list[_Label]


class _Handlers:
    """The routes."""

    def __init__(self, monitor: Monitor, poster: Poster | None, token: str, now: Callable[[], float]) -> None:
        self.monitor, self.poster, self.token, self.now = monitor, poster, token, now
        self.writer: RemoteWriter | None = None
        self.arrived = asyncio.Event()
        self._labels = msgspec.json.Decoder(_LabelMessage)

    async def profile(self, request: Request) -> Response:
        content, version = await self._body(request), request.path_params["version"]
        if not _VERSION.fullmatch(version):
            raise Refused(400, f"{version[:80]!r} is no version; expected letters, digits, `.`, `_` and `-`")
        try:
            profile = Profile.from_json(content)
        except ValueError as error:
            raise Refused(400, f"not a profile: {error}") from error
        loop = self.monitor.loop
        if (profile.loop, profile.task) != (loop.name, loop.model.task):
            found = f"{profile.task} of {profile.loop}"
            raise Refused(400, f"the profile is for {found}; expected {loop.model.task} of {loop.name}")
        try:
            new = self.monitor.counters.put(version, profile, self.now())
        except OtherProfileError as error:
            raise Refused(409, str(error)) from error
        if new:
            log.info("profile of version %s: %d features of %d rows", version, len(profile.features), profile.rows)
        return JSONResponse({"version": version, "new": new}, status_code=201 if new else 200)

    async def events(self, request: Request) -> Response:
        try:
            message = decode(await self._body(request))
        except EventError as error:
            raise Refused(400, str(error), "broken") from error
        counts = self.monitor.counters.versions.get(message.version)
        if counts is None:
            text = f"no profile of version {message.version[:64]}; send it with PUT /v1/profiles/VERSION first"
            raise Refused(409, text, "unknown_version")
        if message.at and message.at < self.now() - self.monitor.late:
            raise Refused(400, "these events are of long ago; what is counted is the traffic of now", "late")
        try:
            batch = check(message, counts.profile)
        except EventError as error:
            raise Refused(400, str(error), "columns") from error
        if not self.monitor.queue.offer(batch):
            raise Refused(503, "too many events wait to be counted; send fewer, or later", "overflow")
        self.arrived.set()
        return JSONResponse({"accepted": len(batch.predictions)}, status_code=202)

    async def labels(self, request: Request) -> Response:
        try:
            message = self._labels.decode(await self._body(request))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(400, f"not a message of labels: {error}") from error
        # Predictions that were acknowledged before their label came are counted first, so that it finds them.
        for _ in range(self.monitor.queue.batches):
            self.monitor.count_one(self.now())
            await asyncio.sleep(0)
        while self.monitor.pair(self.now()):
            await asyncio.sleep(0)
        profiles = {version: counts.profile for version, counts in self.monitor.counters.versions.items()}
        try:
            joined = self.monitor.labels.join(
                ((label.id, label.label) for label in message.labels), profiles, self.now()
            )
        except LabelError as error:
            raise Refused(400, str(error)) from error
        return JSONResponse(asdict(joined))

    async def answers(self, request: Request) -> Response:
        # Predictions by id are somebody's; the counts that anybody may read are nobody's.
        http.admit(request, self.token)
        after, version = request.query_params.get("after", ""), request.path_params["version"]
        found, cursor = self.monitor.answers.read(version, after)
        return Response(
            msgspec.json.encode({"version": version, "answers": found, "cursor": cursor}), media_type="application/json"
        )

    async def metrics(self, request: Request) -> Response:
        return Response(exposition.render(self.samples()), media_type=exposition.CONTENT_TYPE)

    def samples(self) -> Iterator[exposition.Sample]:
        """All metrics' samples."""
        yield from self.monitor.samples(self.poster.outcomes if self.poster else Counter[str]())
        if self.writer is not None:
            yield from self.writer.samples()

    async def drift(self, request: Request) -> Response:
        return JSONResponse(self.monitor.drift())

    async def performance(self, request: Request) -> Response:
        return JSONResponse(self.monitor.performance.report())

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, http.Refused), "registered for Refused only"
        if request.url.path == "/v1/events":
            self.monitor.rejected[error.reason if isinstance(error, Refused) else "unauthorized"] += 1
        headers = error.headers | ({"Retry-After": "1"} if error.status == 503 else {})
        return JSONResponse({"error": error.text}, status_code=error.status, headers=headers)

    async def gone(self, request: Request, error: Exception) -> Response:
        return Response(status_code=400)

    async def _body(self, request: Request) -> bytes:
        """The body of a request that writes. Raises Refused for one that may not, or when it is too large."""
        http.admit(request, self.token)
        body = await http.read(request, GREATEST_BODY, discarded=GREATEST_DISCARDED)
        if body is None:
            text = f"the body is larger than {GREATEST_BODY} bytes; send fewer rows at a time"
            raise Refused(413, text, "too_large")
        return body

    async def count(self) -> None:
        """Count what arrives, one batch at a time, so that requests are answered in between."""
        while True:
            while self.monitor.count_one(self.now()):
                await asyncio.sleep(0)
            await self.arrived.wait()
            self.arrived.clear()

    async def look(self) -> None:
        """Look again and again, evenly, with glances in between."""
        rule = self.monitor.rule
        due = time.monotonic() + rule.glance
        for number in itertools.count(1):
            await asyncio.sleep(max(due - time.monotonic(), 0))
            due = max(due + rule.glance, time.monotonic())
            (self.monitor.glance if number % rule.glances else self.monitor.look)(self.now())

    async def repeat(self) -> None:
        """Tell of what still fires between looks, too."""
        while True:
            await asyncio.sleep(REPEAT_CHECK)
            self.monitor.repeat(self.now())


def build(
    monitor: Monitor,
    poster: Poster | None = None,
    *,
    token: str = "",
    now: Callable[[], float] = time.time,
    writer: RemoteWriter | None = None,
    receiver: Receiver | None = None,
) -> Starlette:
    """The application. `token` is asked of whoever writes when it is not empty; `now` is the real time in seconds."""
    handlers = _Handlers(monitor, poster, token, now)
    receiver = receiver or Receiver(monitor, now, token=token)
    handlers.writer = writer

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # An event belongs to the event loop it is waited for in.
        handlers.arrived = asyncio.Event()
        work = [handlers.count, receiver.run, handlers.look, handlers.repeat, *([poster.run] if poster else [])]
        if monitor.archive is not None:
            work += [partial(monitor.archive.run, now), monitor.archive.clean]
        if writer is not None:
            work.append(partial(writer.run, handlers.samples))
        tasks = [asyncio.create_task(_kept(job)) for job in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            while monitor.count_one(now()) or monitor.pair(now()):
                pass
            monitor.remember(now(), now=True)
            if monitor.archive is not None:
                await monitor.archive.close(SHIPPING)
            if writer is not None:
                await writer.close(handlers.samples)
            log.info("stopped")

    return Starlette(
        routes=[
            Route("/v1/profiles/{version}", handlers.profile, methods=["PUT"]),
            Route("/v1/events", handlers.events, methods=["POST"]),
            Route(
                "/v1/cloudevents{rest:path}",
                partial(receiver.route, greatest=GREATEST_BODY, discarded=GREATEST_DISCARDED),
                methods=["POST"],
            ),
            Route("/v1/labels", handlers.labels, methods=["POST"]),
            Route("/v1/answers/{version}", handlers.answers),
            Route("/v1/drift", handlers.drift),
            Route("/v1/performance", handlers.performance),
            Route("/metrics", handlers.metrics),
            Route("/healthz", handlers.health),
        ],
        exception_handlers={http.Refused: handlers.refused, ClientDisconnect: handlers.gone},
        lifespan=lifespan,
    )


async def _kept(job: Callable[[], Awaitable[None]]) -> None:
    """Keep a background job running: a failure is logged, and it begins again."""
    while True:
        try:
            await job()
        except Exception:
            log.exception("a background job of the monitor failed; it goes on")
            await asyncio.sleep(0.1)
