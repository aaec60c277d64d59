"""Live traffic of the churn loop: requests, and a week later what became of the customers.

Customers are drawn from the process at the loop's time and sent, one a request, through the gateway. When the label
delay has passed their labels flow two ways: to the monitor, by the prediction's id, and into the warehouse's folder,
a new file every loop day, which the next training reads. Nothing here knows what the loop will make of it.

The driver runs in a thread with an event loop of its own. A request that fails is counted, with the reason, and never
raised; the driver's own errors are raised by `snapshot()` and `stop()`.
"""

import asyncio
import json
import random
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import numpy as np

from loopwright.durations import Clock

# Requests are drawn this many seconds ahead: one draw of 20 rows costs about what one of a single row does.
_AHEAD = 0.1
_LATE = 1.0
_OPEN_REQUESTS = 128
_LABELS_A_POST = 1000
# Labels that wait for a monitor that does not answer; the oldest are given up first.
_WAITING_LABELS = 50_000
_RECENT = 4096


class Process(Protocol):
    """What is needed of generator.ChurnProcess."""

    def rows(self, moments: Any) -> Any: ...
    def labels(self, rows: Any, exported: datetime | float | None = None) -> list[str]: ...
    def export(self, rows: Any, path: Path, at: datetime | float | None = None) -> Path: ...
    def drift(self, kind: str, since: datetime | float) -> None: ...
    def repair(self, kind: str, since: datetime | float) -> None: ...


@dataclass
class _Counts:
    sent: int = 0
    ok: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    by_version: Counter[str] = field(default_factory=Counter)
    failed_by_version: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    export: Counter[str] = field(default_factory=Counter)
    loss: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Answered:
    """A prediction whose label is not known yet; `due` in the loop's time, seconds since the epoch."""

    due: float
    id: str
    version: str
    probability: float
    label: str


@dataclass
class _Exported:
    """A file in the warehouse and the labels it was written with."""

    path: Path
    rows: Any
    labels: list[str]


class Traffic:
    """A driver of one loop: `rate` requests a real second, in exponential gaps, the same for a seed.

    `clock` is the loop's; `export_every` and `restate` are durations of the loop. Like many warehouse jobs, the export
    restates its last `restate` of files when what they should hold has changed, so that a bug in it, and its repair,
    reach back that far.
    """

    def __init__(
        self,
        generator: Process,
        gateway_url: str,
        monitor_url: str,
        token: str,
        data_folder: Path,
        clock: Clock,
        rate: float = 200.0,
        seed: int = 0,
        *,
        model: str = "churn",
        positive: str = "Yes",
        label_delay: timedelta = timedelta(days=7),
        export_every: timedelta = timedelta(days=1),
        restate: timedelta = timedelta(days=40),
        file_format: str = "csv",
        timeout: float = 5.0,
    ) -> None:
        self._process, self._clock, self._rate = generator, clock, rate
        self._predict_url = f"{gateway_url.rstrip('/')}/v1/models/{model}:predict"
        self._labels_url = f"{monitor_url.rstrip('/')}/v1/labels"
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self._folder, self._format = Path(data_folder), file_format
        self._positive, self._delay = positive, label_delay.total_seconds()
        self._export_every, self._restate, self._timeout = export_every, restate.total_seconds(), timeout
        self._gaps = random.Random(seed)
        self._prefix = f"{model}-{seed}-{time.time_ns() // 1_000_000:x}"
        self._counts, self._lock = _Counts(), threading.Lock()
        self._latencies: deque[float] = deque(maxlen=_RECENT)
        self._answered: deque[_Answered] = deque()
        self._drawn: deque[Any] = deque()
        self._exported: deque[_Exported] = deque()
        self._started = self._stopped = 0.0
        self._cpu, self._open = 0.0, 0
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._running = threading.Event()

    def start(self) -> "Traffic":
        """Begin to send. Returns when the driver runs."""
        if self._thread is not None:
            raise RuntimeError("this traffic has been started before; make another")
        self._thread = threading.Thread(target=self._main, name="traffic", daemon=True)
        self._thread.start()
        self._running.wait(10.0)
        return self

    def stop(self) -> dict[str, Any]:
        """Send no more, wait for open requests, deliver the labels that are due, and return the last snapshot."""
        if self._thread is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # the event loop has just ended by itself
                assert self._loop is not None
                assert self._stopping is not None
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(4 * self._timeout)
        return self.snapshot()

    def drift(self, kind: str) -> datetime:
        """Switch a drift of the process on, from now on in the loop's time, which is returned."""
        now = self._clock.now()
        self._process.drift(kind, now)
        return now

    def repair(self, kind: str) -> datetime:
        """Switch a drift off again, from now on in the loop's time, which is returned."""
        now = self._clock.now()
        self._process.repair(kind, now)
        return now

    def snapshot(self) -> dict[str, Any]:
        """The statistics so far, as JSON: requests, answers by version, failures by reason, latencies in milliseconds
        of the last 4,096 answers, labels, exports, and each version's Brier score on the true labels.
        """
        if self._error is not None:
            raise RuntimeError(f"the traffic ended by itself: {self._error!r}") from self._error
        with self._lock:
            counts, latencies = self._counts, list(self._latencies)
            seconds = (self._stopped or time.monotonic()) - self._started if self._started else 0.0
            return {
                "seconds": round(seconds, 2),
                "sent": counts.sent,
                "ok": counts.ok,
                "failed": dict(counts.failed),
                "by_version": dict(counts.by_version),
                "failed_by_version": dict(counts.failed_by_version),
                "rate": round(counts.sent / seconds, 1) if seconds else 0.0,
                "latency_ms": _percentiles(latencies),
                "labels": {"waiting": len(self._answered), **counts.labels},
                "export": dict(counts.export),
                "brier": {
                    version: {"labels": labels, "mean": round(counts.loss[version] / labels, 4)}
                    for version, labels in counts.labelled.items()
                },
                "cpu_share": round(self._cpu / seconds, 4) if seconds else 0.0,
            }

    def __enter__(self) -> "Traffic":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._error = error
        finally:
            self._stopped = time.monotonic()
            self._running.set()

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._started = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        connector = aiohttp.TCPConnector(limit=_OPEN_REQUESTS, keepalive_timeout=30)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            self._running.set()
            # One that fails ends the others, and the error is kept for whoever asks.
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._requests(session, tasks))
                tasks.create_task(self._every(max(0.1, self._seconds(timedelta(hours=6))), self._deliver, session))
                tasks.create_task(self._every(self._seconds(self._export_every), self._export))
            await self._deliver(session)
            await self._export()

    async def _every(self, seconds: float, action: Any, *arguments: Any) -> None:
        while not await self._pause(seconds):
            await action(*arguments)

    async def _pause(self, seconds: float) -> bool:
        """Wait, but no longer than until the driver is to stop; whether it is."""
        assert self._stopping is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), max(0.0, seconds))
        return self._stopping.is_set()

    async def _requests(self, session: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> None:
        """Draw arrivals a little ahead, and start each request at its moment."""
        assert self._stopping is not None
        number, arrival = 0, time.time()
        while not self._stopping.is_set():
            # After a pause of the whole machine the customers of that time are not sent all at once.
            arrival = max(arrival, time.time() - _LATE)
            moments = []
            while arrival < time.time() + _AHEAD:
                moments.append(arrival)
                arrival += self._gaps.expovariate(self._rate)
            for real, body, label, moment in self._draw(moments):
                if await self._pause_until(real):
                    return
                number += 1
                if self._open >= _OPEN_REQUESTS:
                    self._fail("not sent: too many requests are open", None)
                else:
                    self._open += 1
                    tasks.create_task(self._request(session, f"{self._prefix}-{number}", body, label, moment))
            self._cpu = time.thread_time()
            await self._pause_until(arrival - _AHEAD)

    async def _pause_until(self, real: float) -> bool:
        """Wait for a moment of the wall clock; whether the driver is to stop. A sleep costs less than a wait_for."""
        assert self._stopping is not None
        wait = real - time.time()
        if wait > _AHEAD * 2:
            return await self._pause(wait)
        await asyncio.sleep(max(0.0, wait))
        return self._stopping.is_set()

    def _draw(self, reals: list[float]) -> list[tuple[float, bytes, str, float]]:
        """The customers that arrive at these real moments: moment, request body, true label, loop's moment."""
        if not reals:
            return []
        moments = [self._clock.at(real).timestamp() for real in reals]
        rows = self._process.rows(np.array(moments))
        # The warehouse learns of every customer, whether or not the model could be asked about it.
        self._drawn.append(rows)
        bodies = [json.dumps({"instances": [record]}).encode() for record in rows.records()]
        return list(zip(reals, bodies, self._process.labels(rows), moments, strict=True))

    async def _request(self, session: aiohttp.ClientSession, id: str, body: bytes, label: str, moment: float) -> None:
        headers = {"Content-Type": "application/json", "X-Request-Id": id}
        begun = time.perf_counter()
        with self._lock:
            self._counts.sent += 1
        version = None
        try:
            async with session.post(self._predict_url, data=body, headers=headers) as response:
                answer = await response.read()
                version = response.headers.get("X-Model-Version")
                if response.status != 200:
                    self._fail(f"HTTP {response.status}", version)
                    return
            content = json.loads(answer)
            version = str(content["model_version"])
            prediction = content["predictions"][0]
            answered = _Answered(
                moment + self._delay, str(prediction["id"]), version, float(prediction["probability"]), label
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError, TypeError) as error:
            self._fail(_reason(error), version)
            return
        finally:
            self._open -= 1
        with self._lock:
            self._counts.ok += 1
            self._counts.by_version[version] += 1
            self._latencies.append((time.perf_counter() - begun) * 1000)
            self._answered.append(answered)

    def _fail(self, reason: str, version: str | None) -> None:
        with self._lock:
            self._counts.failed[reason] += 1
            if version is not None:
                self._counts.failed_by_version[version] += 1

    async def _deliver(self, session: aiohttp.ClientSession) -> None:
        """Send the monitor the labels that are known by now. What it does not take is sent again next time."""
        now = self._clock.now().timestamp()
        while batch := self._due(now):
            labels = [{"id": answered.id, "label": answered.label} for answered in batch]
            try:
                async with session.post(
                    self._labels_url, json={"labels": labels}, headers=self._authorization
                ) as response:
                    text = await response.text()
                    problem = None if response.status < 300 else f"HTTP {response.status}"
                    outcome = json.loads(text) if problem is None else {}
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                problem, outcome = _reason(error), {}
            if problem is not None:
                self._keep(batch, problem)
                return
            self._delivered(batch, outcome)

    def _due(self, now: float) -> list[_Answered]:
        with self._lock:
            batch: list[_Answered] = []
            while self._answered and self._answered[0].due <= now and len(batch) < _LABELS_A_POST:
                batch.append(self._answered.popleft())
            return batch

    def _keep(self, batch: list[_Answered], problem: str) -> None:
        with self._lock:
            self._counts.labels[f"failed posts: {problem}"] += 1
            self._answered.extendleft(reversed(batch))
            while len(self._answered) > _WAITING_LABELS:
                self._answered.popleft()
                self._counts.labels["given_up"] += 1

    def _delivered(self, batch: list[_Answered], outcome: dict[str, Any]) -> None:
        with self._lock:
            self._counts.labels["sent"] += len(batch)
            for key in ("joined", "unknown", "repeated"):
                self._counts.labels[key] += int(outcome.get(key, 0))
            for answered in batch:
                loss = (answered.probability - (answered.label == self._positive)) ** 2
                self._counts.loss[answered.version] += loss  # type: ignore[assignment]
                self._counts.labelled[answered.version] += 1

    async def _export(self) -> None:
        """Append the rows whose labels are known by now to the warehouse as a new file, and restate the newest ones."""
        now = self._clock.now()
        await self._restated(now)
        parts = []
        while self._drawn and self._drawn[0].moments[-1] + self._delay <= now.timestamp():
            parts.append(self._drawn.popleft())
        if not parts:
            return
        rows = type(parts[0]).join(parts)
        path = self._folder / f"live-{now:%Y%m%dT%H%M%S}.{self._format}"
        if self._write(rows, path, now):
            self._exported.append(_Exported(path, rows, self._process.labels(rows, now)))
            with self._lock:
                self._counts.export["rows"] += len(rows)
                self._counts.export["files"] += 1
        else:
            self._drawn.extendleft(reversed(parts))

    async def _restated(self, now: datetime) -> None:
        while self._exported and self._exported[0].rows.moments[-1] < now.timestamp() - self._delay - self._restate:
            self._exported.popleft()
        for exported in self._exported:
            labels = self._process.labels(exported.rows, now)
            if labels != exported.labels and self._write(exported.rows, exported.path, now):
                exported.labels = labels
                with self._lock:
                    self._counts.export["restated"] += 1
                await asyncio.sleep(0)  # requests go first

    def _write(self, rows: Any, path: Path, now: datetime) -> bool:
        try:
            self._process.export(rows, path, now)
        except OSError as error:
            with self._lock:
                self._counts.export[f"failed: {error.strerror or error}"] += 1
            return False
        return True

    def _seconds(self, duration: timedelta) -> float:
        return self._clock.seconds(duration)


def _percentiles(latencies: list[float]) -> dict[str, float]:
    if not latencies:
        return {}
    p50, p95, p99, most = np.percentile(latencies, [50, 95, 99, 100])
    return {"p50": round(p50, 2), "p95": round(p95, 2), "p99": round(p99, 2), "max": round(most, 2)}


def _reason(error: BaseException) -> str:
    """Why a request failed, in a few words that do not differ from one request to the next."""
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorError():
            return "cannot connect"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return "connection closed"
        case aiohttp.ClientError() | OSError():
            return type(error).__name__
        case _:
            return "answer not understood"
