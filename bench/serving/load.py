"""The load: requests that are bytes already, sent over connections that stay open, each answer's status checked.

At saturation every connection sends the next request as soon as it has an answer. At a fixed rate requests are due at
random moments (a Poisson process) whether or not answers have come, and latency counts from when a request was due, so
that a server that falls behind cannot hide it.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.serving.payloads import Payload

_LENGTH = b"content-length: "
# How long the answers to the last requests are waited for.
_DRAIN_SECONDS = 20.0


class LoadError(Exception):
    """A server did not answer 200, or not at all."""


@dataclass
class Run:
    """What one phase gave: the time from its first request to its last answer, and each answer's latency."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


class Client(Protocol):
    """A connection, or what stands for one: takes one request at a time and calls back with its answer."""

    def ask(self, number: int, done: Callable[[bytes], None]) -> None:
        """Send the payload's request of this number, modulo how many there are."""


class HttpClient(asyncio.Protocol):
    """One HTTP/1.1 connection."""

    def __init__(self, payload: Payload) -> None:
        lines = [f"POST {payload.path} HTTP/1.1", "host: localhost", *payload.headers]
        self._requests = [
            "\r\n".join([*lines, f"content-length: {len(body)}"]).encode() + b"\r\n\r\n" + body
            for body in payload.bodies
        ]
        self._buffer = b""
        self._done: Callable[[bytes], None] | None = None
        self.failed: Callable[[Exception], None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep the transport to write to."""
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """A connection that ends while an answer is due is a failure."""
        if self._done is not None and self.failed is not None:
            self.failed(LoadError(f"the connection was closed: {error}"))

    def ask(self, number: int, done: Callable[[bytes], None]) -> None:
        """See Client."""
        self._done = done
        self.transport.write(self._requests[number % len(self._requests)])

    def data_received(self, data: bytes) -> None:
        """Find the end of the answer by its length."""
        self._buffer = buffer = self._buffer + data if self._buffer else data
        try:
            body = whole(buffer)
        except LoadError as error:
            if self.failed is not None:
                self.failed(error)
            return
        if body is not None and self._done is not None:
            self._buffer, done, self._done = b"", self._done, None
            done(body)


def whole(buffer: bytes) -> bytes | None:
    """The body of the answer in the buffer, None while it is incomplete. Raises LoadError unless it is a 200."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    if buffer[9:12] != b"200":
        raise LoadError(f"the answer is {buffer[:600].decode(errors='replace')}")
    at = buffer[:end].lower().find(_LENGTH)
    if at < 0:
        raise LoadError(f"the answer has no length: {buffer[:end].decode(errors='replace')}")
    at += len(_LENGTH)
    length = int(buffer[at : buffer.index(b"\r", at)])
    return buffer[end + 4 :] if len(buffer) == end + 4 + length else None


class GrpcClient:
    """One caller of a gRPC method on a channel that all share; requests and answers stay bytes."""

    def __init__(self, call: Callable[[bytes], Awaitable[bytes]], payload: Payload) -> None:
        self._call, self._bodies = call, payload.bodies
        self.failed: Callable[[Exception], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, number: int, done: Callable[[bytes], None]) -> None:
        """See Client."""
        task = asyncio.ensure_future(self._one(number, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, number: int, done: Callable[[bytes], None]) -> None:
        try:
            answer = await self._call(self._bodies[number % len(self._bodies)])
        except Exception as error:
            if self.failed is not None:
                self.failed(LoadError(str(error)))
            return
        done(answer)


@contextlib.asynccontextmanager
async def connect(address: str, payload: Payload, count: int) -> Any:
    """`count` clients of the server at host:port, by the protocol that the payload's path is of."""
    if payload.path.startswith("/inference."):
        import grpc.aio

        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.unary_unary(payload.path)
            yield [GrpcClient(call, payload) for _ in range(count)]
        return
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(lambda: HttpClient(payload), host, int(port)))[1] for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.transport.close()


async def one(client: Any, number: int = 0) -> bytes:
    """The answer to one request."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    client.failed = answer.set_exception
    client.ask(number, answer.set_result)
    return await asyncio.wait_for(answer, _DRAIN_SECONDS)


async def saturate(clients: Sequence[Any], seconds: float) -> Run:
    """Every client sends again as soon as it has an answer, for so many seconds. Raises LoadError."""
    run, clock = Run(), time.perf_counter
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    began = clock()
    stop, waiting = began + seconds, len(clients)
    numbers = iter(range(10**12))

    def start(client: Any) -> None:
        sent = clock()

        def done(_: bytes) -> None:
            nonlocal waiting
            now = clock()
            run.latencies.append(now - sent)
            if now < stop:
                start(client)
                return
            waiting -= 1
            if not waiting and not ended.done():
                ended.set_result(None)

        client.ask(next(numbers), done)

    _report_failures(clients, ended)
    for client in clients:
        start(client)
    await asyncio.wait_for(ended, seconds + _DRAIN_SECONDS)
    run.seconds = clock() - began
    return run


async def pace(clients: Sequence[Any], rate: float, seconds: float, seed: int = 1) -> Run:
    """Requests at so many a second on average; each latency counts from when the request was due. Raises LoadError."""
    run, clock, loop = Run(), time.perf_counter, asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    free, due = list(clients), deque[float]()
    moments = list(arrivals(rate, seconds, seed))
    numbers = iter(range(10**12))

    def arrive(moment: float) -> None:
        due.append(moment)
        send()

    def send() -> None:
        while free and due:
            client, moment = free.pop(), due.popleft()
            client.ask(next(numbers), lambda _, client=client, moment=moment: answered(client, moment))

    def answered(client: Any, moment: float) -> None:
        run.latencies.append(clock() - moment)
        free.append(client)
        send()
        if len(run.latencies) == len(moments) and not ended.done():
            ended.set_result(None)

    _report_failures(clients, ended)
    began, offset = clock(), loop.time()
    for moment in moments:
        loop.call_at(offset + moment, arrive, began + moment)
    await asyncio.wait_for(ended, seconds + _DRAIN_SECONDS)
    run.seconds = clock() - began
    return run


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """The moments of a Poisson process of this rate within so many seconds; at least one."""
    generator, moment = random.Random(seed), 0.0
    while True:
        yield moment
        moment += generator.expovariate(rate)
        if moment >= seconds:
            return


def _report_failures(clients: Sequence[Any], ended: "asyncio.Future[None]") -> None:
    def failed(error: Exception) -> None:
        if not ended.done():
            ended.set_exception(error)

    for client in clients:
        client.failed = failed
