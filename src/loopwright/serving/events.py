"""Prediction events on their way to the monitor: merged into batches, held in a bounded queue, sent in the background.

A prediction only appends to the open batch. A task of its own sends what is closed, and keeps trying while the
monitor is away; when the queue is full the oldest batch goes, and is counted. Nothing here can slow or fail a
prediction.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import numpy as np

from loopwright.http import bearer
from loopwright.models.columns import Array, Columns, InputSpec, Value
from loopwright.serving.metrics import Metrics

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.2
FLUSH_ROWS = 1000
# A request of at least so many rows makes messages of its own, and its columns stay arrays all the way.
FEW_ROWS = 50
CAPACITY_ROWS = 20_000
# How long the sender waits before it tries a monitor again that did not answer: twice as long each time.
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0


@dataclass
class _Batch:
    """Predictions of one message: single rows are kept as they come, and become columns when they are sent."""

    at: float
    ids: list[str] = field(default_factory=list)
    predictions: list[float] = field(default_factory=list)
    rows: list[Sequence[Value]] = field(default_factory=list)
    columns: Columns | None = None

    def encoded(self, inputs: Sequence[InputSpec]) -> dict[str, bytes | list[Value]]:
        """The columns as the message has them."""
        # Single rows give tuples here, which are packed without an array of objects in between.
        columns = self.columns
        every: Iterable[Any] = (
            zip(*self.rows, strict=True) if columns is None else (columns[spec.name] for spec in inputs)
        )
        return {
            spec.name: _packed(values) if spec.kind == "number" else list(values)
            for spec, values in zip(inputs, every, strict=True)
        }


def _packed(numbers: Array | Sequence[Value]) -> bytes:
    """Numbers as a message carries them: float64, little-endian, NaN where one is missing."""
    return np.asarray(numbers, dtype="<f8").tobytes()


class Events:
    """The queue and its sender. Used from one event loop; `run` is its task."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        monitor: str,
        version: str,
        profile: bytes,
        inputs: Sequence[InputSpec],
        metrics: Metrics,
        *,
        token: str = "",
    ) -> None:
        self._client = client
        self._headers = bearer(token)
        self._events_url = f"{monitor.rstrip('/')}/v1/events"
        self._profile_url = f"{monitor.rstrip('/')}/v1/profiles/{version}"
        self._version = version
        self._profile = profile
        self._inputs = tuple(inputs)
        self._metrics = metrics
        self._encoder = msgspec.msgpack.Encoder()
        self._open: _Batch | None = None
        self._closed: deque[_Batch] = deque()
        self._rows = 0
        self._ready = asyncio.Event()
        self._away = False

    def add(self, ids: list[str], columns: Columns, predictions: Array) -> None:
        """Take the events of one request: n ids, the raw columns and the n predictions. Never blocks."""
        values: list[float] = predictions.tolist()
        if len(ids) < FEW_ROWS:
            lists = (columns[spec.name].tolist() for spec in self._inputs)
            for identity, row, prediction in zip(ids, zip(*lists, strict=True), values, strict=True):
                self.add_row(identity, row, prediction)
            return
        for start in range(0, len(ids), FLUSH_ROWS):
            part = slice(start, start + FLUSH_ROWS)
            cut = {spec.name: columns[spec.name][part] for spec in self._inputs}
            self._closed.append(_Batch(time.time(), ids[part], values[part], columns=cut))
        self._ready.set()
        self._took(len(ids))

    def add_row(self, identity: str, values: Sequence[Value], prediction: float) -> None:
        """Take the event of one row: its values in the order of the names. Never blocks."""
        batch = self._open or self._begin()
        batch.ids.append(identity)
        batch.rows.append(values)
        batch.predictions.append(prediction)
        if len(batch.ids) >= FLUSH_ROWS:
            self._close(batch)
        self._took(1)

    def _begin(self) -> _Batch:
        self._open = _Batch(time.time())
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._close, self._open)
        return self._open

    def _took(self, rows: int) -> None:
        self._rows += rows
        while self._rows > CAPACITY_ROWS and self._closed:
            self._drop(self._closed.popleft(), "full")

    async def run(self) -> None:
        """Introduce the version to the monitor, then send batches for as long as the process lives."""
        wait = _FIRST_WAIT
        introduced = False
        while True:
            introduced = introduced or await self._introduce()
            if introduced:
                await self._ready.wait()
            if introduced and await self._send_next():
                wait = _FIRST_WAIT
            else:
                await asyncio.sleep(wait)
                wait = min(_LONGEST_WAIT, 2 * wait)

    async def close(self, task: "asyncio.Task[None]", seconds: float) -> None:
        """Send what is queued, for at most so many seconds, and stop the sender; count what is left."""
        if self._open is not None:
            self._close(self._open)
        deadline = time.monotonic() + seconds
        while self._rows and not self._away and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        while self._closed:
            self._drop(self._closed.popleft(), "shutdown")

    def _close(self, batch: _Batch) -> None:
        if batch is self._open:
            self._closed.append(batch)
            self._open = None
            self._ready.set()

    def _drop(self, batch: _Batch, reason: str) -> None:
        self._rows -= len(batch.ids)
        self._metrics.dropped[reason] += len(batch.ids)

    async def _introduce(self) -> bool:
        response = await self._call("PUT", self._profile_url, self._profile, "application/json")
        if response is None or not response.is_success:
            self._note(response, "refused the profile")
            return False
        self._note_back()
        return True

    async def _send_next(self) -> bool:
        """Send the oldest batch; false when the monitor did not take it and is to be tried again later."""
        if not self._closed:
            self._ready.clear()
            return True
        batch = self._closed.popleft()
        try:
            response = await self._send(batch)
            conflict = response is not None and response.status_code == httpx.codes.CONFLICT
            # A monitor that was started anew has lost the profile.
            if conflict and await self._introduce():
                response = await self._send(batch)
        except asyncio.CancelledError:
            self._closed.appendleft(batch)
            raise
        if response is None or response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            self._closed.appendleft(batch)
            self._note(response, "failed")
            return False
        if response.is_success:
            self._rows -= len(batch.ids)
            self._metrics.sent += len(batch.ids)
            self._note_back()
        else:
            self._note(response, "refused events")
            self._drop(batch, "refused")
        return True

    async def _send(self, batch: _Batch) -> httpx.Response | None:
        content = self._encoder.encode(
            {
                "version": self._version,
                "ids": batch.ids,
                "at": batch.at,
                "columns": batch.encoded(self._inputs),
                "predictions": _packed(batch.predictions),
            }
        )
        return await self._call("POST", self._events_url, content, "application/msgpack")

    async def _call(self, method: str, url: str, content: bytes, kind: str) -> httpx.Response | None:
        headers = {**self._headers, b"Content-Type": kind.encode()}
        try:
            return await self._client.request(method, url, content=content, headers=headers)
        except httpx.HTTPError:
            return None

    def _note(self, response: httpx.Response | None, what: str) -> None:
        if not self._away:
            told = (
                f"{what}: {response.status_code} {response.text[:200]}" if response is not None else "does not answer"
            )
            log.warning("the monitor at %s %s; trying again", self._events_url, told)
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            log.info("the monitor at %s takes events again", self._events_url)
        self._away = False
