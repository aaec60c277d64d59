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
from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from loopwright.models.columns import Array, Columns, InputSpec, Prediction, Value
from loopwright.serving.batch import Batch, Part, row_ids
from loopwright.serving.metrics import Metrics
from loopwright.serving.post import Answer, Poster

log = logging.getLogger(__name__)

# A message goes when it has so many single rows, or is so old. Making columns of more rows would take long at a time.
FLUSH_SECONDS = 0.2
FLUSH_ROWS = 1000
# The columns of a request of at least so many rows stay arrays all the way. A message of arrays costs little a row and
# much to send, so that several requests share one, up to so many rows and so many values, of 8 bytes each.
FEW_ROWS = 50
MOST_ROWS, MOST_VALUES = 5000, 500_000
CAPACITY_ROWS = 20_000
# How long the sender waits before it tries a monitor again that did not answer: twice as long each time.
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0


class Events:
    """The queue and its sender. Used from one event loop; `run` is its task."""

    def __init__(
        self,
        poster: Poster,
        version: str,
        profile: bytes,
        inputs: Sequence[InputSpec],
        metrics: Metrics,
    ) -> None:
        self._poster = poster
        self._version = version
        self._profile = profile
        self._inputs = tuple(inputs)
        self._most = max(FLUSH_ROWS, min(MOST_ROWS, MOST_VALUES // max(len(self._inputs), 1)))
        self._metrics = metrics
        self._encoder = msgspec.msgpack.Encoder()
        self._open: Batch | None = None
        self._closed: deque[Batch] = deque()
        self._rows = 0
        self._ready = asyncio.Event()
        self._away = False

    def add(self, identity: str, columns: Columns, predictions: Array) -> None:
        """Take the events of one request: its id, the raw columns and the n predictions. Never blocks."""
        count = len(predictions)
        if count < FEW_ROWS:
            lists = (columns[spec.name].tolist() for spec in self._inputs)
            rows = zip(*lists, strict=True)
            for one, row, prediction in zip(row_ids(identity, count), rows, predictions.tolist(), strict=True):
                self.add_row(one, row, prediction)
            return
        for start in range(0, count, self._most):
            some = slice(start, start + self._most)
            batch = self._open or self._begin()
            cut = {spec.name: columns[spec.name][some] for spec in self._inputs}
            batch.parts.append(Part(identity, start, cut, predictions[some]))
            self._took(batch, len(predictions[some]))

    def add_row(self, identity: str, values: Sequence[Value], prediction: Prediction) -> None:
        """Take the event of one row: its values in the order of the names. Never blocks."""
        batch = self._open or self._begin()
        batch.ids.append(identity)
        batch.rows.append(values)
        batch.predictions.append(prediction)
        self._took(batch, 1)

    def _begin(self) -> Batch:
        self._open = Batch(time.time())
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._close, self._open)
        return self._open

    def _took(self, batch: Batch, rows: int) -> None:
        batch.count += rows
        self._rows += rows
        if len(batch.rows) >= FLUSH_ROWS or batch.count >= self._most:
            self._close(batch)
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
        self._poster.close()
        while self._closed:
            self._drop(self._closed.popleft(), "shutdown")

    def _close(self, batch: Batch) -> None:
        if batch is self._open:
            self._closed.append(batch)
            self._open = None
            self._ready.set()

    def _drop(self, batch: Batch, reason: str) -> None:
        self._rows -= batch.count
        self._metrics.dropped[reason] += batch.count

    async def _introduce(self) -> bool:
        response = await self._poster("PUT", f"/v1/profiles/{self._version}", self._profile, "application/json")
        if response is None or not response.ok:
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
            conflict = response is not None and response.status == HTTPStatus.CONFLICT
            # A monitor that was started anew has lost the profile.
            if conflict and await self._introduce():
                response = await self._send(batch)
        except asyncio.CancelledError:
            self._closed.appendleft(batch)
            raise
        if response is None or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._closed.appendleft(batch)
            self._note(response, "failed")
            return False
        if response.ok:
            self._rows -= batch.count
            self._metrics.sent += batch.count
            self._note_back()
        else:
            self._note(response, "refused events")
            self._drop(batch, "refused")
        return True

    async def _send(self, batch: Batch) -> Answer | None:
        message = {"version": self._version, "at": batch.at, **batch.fields(self._inputs)}
        content = self._encoder.encode(message)
        return await self._poster("POST", "/v1/events", content, "application/msgpack")

    def _note(self, response: Answer | None, what: str) -> None:
        if not self._away:
            told = f"{what}: {response.status} {response.text[:200]}" if response is not None else "does not answer"
            log.warning("the monitor at %s %s; trying again", self._poster.url, told)
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            log.info("the monitor at %s takes events again", self._poster.url)
        self._away = False
