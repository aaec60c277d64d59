"""One process that is to run and answer: started, asked whether it is ready, and started again when it ends.

The supervisor's loop calls `tick`, which never waits; a task of its own asks the process over HTTP. States, as
status.json shows them: starting -> ready -> failed (ended; starts again after a delay) -> starting ...; stopping.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence

import httpx

from loopwright.errors import ServingError
from loopwright.local.processes import Backoff, Child
from loopwright.rollout.state import Predictor

POLL_STARTING, POLL_READY = 0.1, 2.0
TIMEOUT_STARTING, TIMEOUT_READY = 1.0, 10.0
"""Seconds. A process that is ready has long to answer: it may be computing on a machine with few cores."""

MISSES = 3
"""After this many unanswered questions in a row a process that was ready hangs, and is killed to start again."""


class Service:
    """A child process with its readiness. `command` and `ready_url` are asked for at each start."""

    def __init__(
        self,
        child: Child,
        client: httpx.AsyncClient,
        *,
        command: Callable[[], Sequence[str]],
        environment: Mapping[str, str],
        ready_url: Callable[[], str],
        on_event: Callable[[str], None],
        backoff: Backoff | None = None,
    ) -> None:
        self._child, self._client = child, client
        self._command, self._environment, self._ready_url = command, environment, ready_url
        self._on_event, self._backoff = on_event, backoff or Backoff()
        self.state, self.problem, self.restarts = "starting", "", -1
        self._started = self._due = 0.0
        self._watcher: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._child.name

    def tick(self) -> None:
        """See whether it ended, and start it if it is due."""
        if self.state == "stopping":
            return
        now = time.monotonic()
        if self._watcher is not None and not self._child.running:
            self._watcher.cancel()
            self._watcher = None
            self._failed(self._obituary(), self._backoff.delay(now - self._started))
        if self._watcher is None and now >= self._due:
            self._start()

    async def stop(self, grace: float) -> None:
        """End it for good."""
        self.state = "stopping"
        if self._watcher is not None:
            self._watcher.cancel()
        await self._child.stop(grace)

    def kill(self) -> None:
        """End it at once; `tick` starts it again, unless it is stopping."""
        self._child.signal(signal.SIGKILL)

    def observed(self, http: int = 0, grpc: int = 0) -> Predictor:
        """As status.json shows it."""
        return Predictor(self.state, http, grpc, self._child.pid, max(0, self.restarts))

    def _start(self) -> None:
        self.state, self._started = "starting", time.monotonic()
        self.restarts += 1
        try:
            self._child.start(self._command(), self._environment)
        except (ServingError, OSError) as error:
            text = str(error) if isinstance(error, ServingError) else f"{self.name} cannot be started: {error}"
            self._failed(text, self._backoff.delay(0.0))
            return
        self._watcher = asyncio.create_task(self._watch())

    def _failed(self, problem: str, delay: float) -> None:
        self.state, self.problem, self._due = "failed", problem, time.monotonic() + delay
        self._on_event(f"{problem}; starting again in {delay:g} s")

    def _obituary(self) -> str:
        code = self._child.ended or 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        last = self._child.last_line()
        return f"{self.name} {how}{f': {last}' if last else ''} (log: {self._child.log})"

    async def _watch(self) -> None:
        misses = 0
        while True:
            ready = self.state == "ready"
            if await self._answers(TIMEOUT_READY if ready else TIMEOUT_STARTING):
                misses = 0
                if not ready and self._child.running:
                    self.state, self.problem = "ready", ""
                    self._on_event(f"{self.name} is ready")
            elif ready:
                misses += 1
                if misses == MISSES:
                    self._on_event(f"{self.name} runs but does not answer; ending it")
                    self.kill()
            await asyncio.sleep(POLL_READY if self.state == "ready" else POLL_STARTING)

    async def _answers(self, timeout: float) -> bool:
        """Whether it says that it is ready: 200, and not `"ready": false` as KServe says of a model that loads."""
        try:
            answer = await self._client.get(self._ready_url(), timeout=timeout)
            return answer.status_code == httpx.codes.OK and '"ready":false' not in answer.text.replace(" ", "")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return False
