"""Prediction events on their way to the archive: gathered in memory, written as files to a spool, put into the store.

Counting hands over every batch (`add`), which never waits for anything but the spool's disk. A task (`run`) puts what
is spooled into the store and keeps trying while that is away, and deletes what is older than the retention. What is
given up on the way is counted by its reason. A process that is killed loses what it had gathered since its last file,
at most `every` long; what is spooled it goes on with when it starts again.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from loopwright.archive.retention import expire
from loopwright.archive.store import Store, StoreError, resolve
from loopwright.durations import Clock
from loopwright.loop.archive import Archive as Declared
from loopwright.monitor import exposition as metrics
from loopwright.monitor.archive_rows import Part, pick, sampled
from loopwright.monitor.archive_spool import Spool
from loopwright.monitor.events import Batch
from loopwright.statistics.profile import Profile

MOST_GATHERED = 8 * 2**20
"""Bytes of rows in memory; beyond them all is written to the spool. About 40,000 rows of 20 inputs."""
MOST_OF_A_FILE = 4 * 2**20
"""Bytes of a part before it is written: encoding it holds up the event loop, by about 15 ms."""
TICK = 1.0
"""Seconds between two looks at what is due: files are not written more often, however fast the loop's clock runs."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
CLEANING = timedelta(hours=1)
LEAST_CLEANING = 30.0
OUTCOMES = ("stored", "not_sampled", "spool_full", "disk_error")

log = logging.getLogger(__name__)


class Archive:
    """The archive of one loop, as one monitor writes it. Used from one event loop."""

    def __init__(
        self, declared: Declared, loop: str, clock: Clock, store: Store, spool: Spool, *, tick: float = TICK
    ) -> None:
        self.declared, self._loop, self._clock = declared, loop, clock
        self._store, self._spool, self._tick = store, spool, tick
        self._redact = frozenset(declared.redact)
        self._every = max(tick, clock.seconds(declared.every))
        self._parts: dict[str, Part] = {}
        self._problem = ""
        self.rows = Counter(dict.fromkeys(OUTCOMES, 0))
        self.failed_puts = self.expired = 0

    @property
    def gathered(self) -> int:
        """Rows in memory."""
        return sum(part.rows for part in self._parts.values())

    def add(self, batch: Batch, profile: Profile, at: float) -> None:
        """Take in a batch that was received at the real moment `at`."""
        kept = sampled(batch.ids, self.declared.sample)
        rows = int(kept.sum())
        self.rows["not_sampled"] += len(kept) - rows
        if not rows:
            return
        picked = pick(batch, kept, profile, self._redact, self._clock, at)
        moment = self._clock.at(at)
        part = self._parts.get(batch.version)
        if part is not None and not part.takes(picked, moment):
            self._write(batch.version)
            part = None
        if part is None:
            part = self._parts[batch.version] = Part(self._loop, batch.version, moment, at)
        part.add(picked)
        if part.size > MOST_OF_A_FILE:
            self._write(batch.version)
        if sum(one.size for one in self._parts.values()) > MOST_GATHERED:
            self.flush()

    def flush(self, before: float = float("inf")) -> None:
        """Write the parts that were begun before a real moment to the spool."""
        for version in [version for version, part in self._parts.items() if part.since <= before]:
            self._write(version)

    def _write(self, version: str) -> None:
        part = self._parts.pop(version)
        try:
            self.rows["spool_full"] += self._spool.put(*part.encoded())
        except OSError as error:
            self.rows["disk_error"] += part.rows
            self._note(f"the spool does not take a file of {part.rows} rows: {error}")

    async def ship(self) -> bool:
        """Put all that is spooled into the store; false when it did not take one."""
        while (waiting := self._spool.oldest()) is not None:
            key, content = waiting
            try:
                await asyncio.to_thread(self._store.put, key, content)
            except StoreError as error:
                self.failed_puts += 1
                self._note(f"the store {self._store.url} does not take files, which wait on disk: {error}")
                return False
            self._spool.remove(key)
            self.rows["stored"] += key.rows
            if self._problem:
                log.info("the store %s takes files again", self._store.url)
            self._problem = ""
        return True

    async def run(self, now: Callable[[], float]) -> None:
        """Write what is due, and ship it, until cancelled. `now` is the real time in seconds."""
        wait, due = FIRST_WAIT, 0.0
        while True:
            self.flush(now() - self._every)
            if time.monotonic() >= due and self._spool.files:
                shipped = await self.ship()
                due = time.monotonic() + (0.0 if shipped else wait)
                wait = FIRST_WAIT if shipped else min(2 * wait, LONGEST_WAIT)
            await asyncio.sleep(self._tick)

    async def clean(self) -> None:
        """Delete what is older than the retention, every hour of the loop, until cancelled."""
        every = max(LEAST_CLEANING, self._clock.seconds(CLEANING))
        while self.declared.retention is not None:
            # Replicas that start together do not list together.
            await asyncio.sleep(random.uniform(0.5, 1.0) * every)  # noqa: S311 - no secret
            try:
                retention, moment = self.declared.retention, self._clock.now()
                number = await asyncio.to_thread(expire, self._store, self._loop, retention, moment)
            except StoreError as error:
                log.warning("files older than the retention are not deleted: %s", error)
            else:
                self.expired += number
                if number:
                    log.info("%d files older than the retention are deleted", number)

    async def close(self, seconds: float) -> None:
        """Write what is gathered, and ship for at most so many seconds; the rest waits for the next start.

        A request that is under way then ends by its own timeout: putting the file once more changes nothing.
        """
        self.flush()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ship(), seconds)
        if self._spool.files:
            log.warning("%d files of events wait on disk for the store", self._spool.files)

    def samples(self) -> Iterator[metrics.Sample]:
        """The archive's metrics."""
        for outcome, number in self.rows.items():
            yield metrics.ARCHIVE_ROWS, (self._loop, outcome), number
        yield metrics.ARCHIVE_FAILED, (self._loop,), self.failed_puts
        yield metrics.ARCHIVE_EXPIRED, (self._loop,), self.expired
        yield metrics.ARCHIVE_GATHERED, (self._loop,), self.gathered
        yield metrics.ARCHIVE_SPOOL, (self._loop,), self._spool.size

    def _note(self, problem: str) -> None:
        """Say once what is wrong, until it is over."""
        if not self._problem:
            log.warning("%s", problem)
        self._problem = problem


def of(declared: Declared, loop: str, clock: Clock, state: Path) -> Archive:
    """The declared archive, with its spool in the state folder. Raises StoreError, or OSError of the spool."""
    # Loaded now, as the first events would have to wait for it.
    import arro3.io  # noqa: F401

    # It is tried again here, with what has come since; and a folder may be the first file's to make.
    store = Store(resolve(declared.url, state), make=True, retries=0)
    return Archive(declared, loop, clock, store, Spool(state / "spool" / loop, declared.spool))
