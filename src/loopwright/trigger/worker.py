"""The trigger's one thread: whatever is to be done, one after the other, and in between what has become due."""

import logging
import threading
from collections import deque
from collections.abc import Callable

from loopwright.errors import LoopwrightError

log = logging.getLogger("loopwright.trigger")

Job = Callable[[], None]

_RETRY_SECONDS = 1.0  # after the ledger could not be used


class Worker:
    """Jobs in order. `look` is called before each and when its `delay` is over, `done` after each.

    `wake` is the trigger's lock, which is held where jobs are added; `delay` gives seconds, None: until woken.
    """

    def __init__(
        self,
        wake: threading.Condition,
        stopping: threading.Event,
        *,
        look: Job,
        done: Job,
        delay: Callable[[], float | None],
    ) -> None:
        self._wake, self._stopping = wake, stopping
        self._look, self._done, self._delay = look, done, delay
        self._jobs: deque[Job] = deque()
        self._thread: threading.Thread | None = None

    def add(self, job: Job) -> None:
        """Do this after what is queued."""
        self._jobs.append(job)
        self._wake.notify_all()

    def queued(self) -> bool:
        """Whether something waits to be done."""
        return bool(self._jobs)

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._work, name="loopwright-trigger", daemon=True)
        self._thread.start()

    def started(self) -> bool:
        """Whether it was started."""
        return self._thread is not None

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout: float) -> bool:
        """Wait for what is under way; whether it ended in `timeout` seconds."""
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set():
            if not self._do(self._look):
                self._stopping.wait(_RETRY_SECONDS)
            job = self._next()
            if job is not None:
                self._do(job)
                with self._wake:
                    self._done()

    def _next(self) -> Job | None:
        with self._wake:
            if not self._jobs and not self._stopping.is_set():
                self._wake.wait(self._delay())
            return self._jobs.popleft() if self._jobs and not self._stopping.is_set() else None

    def _do(self, job: Job) -> bool:
        """Whether the job went through. A worker that dies would leave the loop without runs, unnoticed."""
        try:
            job()
        except LoopwrightError as error:
            log.error("the worker could not go on: %s", error)
        except Exception:
            log.exception("the worker could not go on")
        else:
            return True
        return False
