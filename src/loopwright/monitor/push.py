"""Metrics sent to a remote write receiver again and again, for monitors that Prometheus cannot reach.

A push has the newest value of every series. Counters are cumulative, so one that fails is not kept: the next one says
all that it would have, but for its moment. At the end the series are told to be over, so that no gauge of a pod that is
gone stands for five minutes more.
"""

import asyncio
import logging
import os
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import httpx

from loopwright.loop.push import RemoteWrite
from loopwright.monitor import exposition as metrics
from loopwright.monitor.remote_write import HEADERS, bodies

JOB = "loopwright-monitor"
TOKEN, USER = "LOOPWRIGHT_REMOTE_WRITE_TOKEN", "LOOPWRIGHT_REMOTE_WRITE_USER"
LEAST = 1.0
"""Seconds between two pushes, at least."""
LAST = 5.0
"""Seconds that the last push may take."""

log = logging.getLogger(__name__)

Samples = Callable[[], Iterable[metrics.Sample]]


class RemoteWriter:
    """Pushes what `samples` gives; `instance` tells this process from others, as a scrape's would."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        declared: RemoteWrite,
        instance: str,
        now: Callable[[], float],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._client, self._url, self._now = client, declared.url, now
        self._every = max(LEAST, declared.every.total_seconds())
        self._labels = {**declared.labels, "job": JOB, "instance": instance}
        self._headers = HEADERS | _credentials(environ)
        self._problem = ""
        self.pushes = Counter({"sent": 0, "failed": 0, "refused": 0})

    async def run(self, samples: Samples) -> None:
        """Push, until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            await self.push(samples())

    async def close(self, samples: Samples) -> None:
        """Push the last values, and that there are no more."""
        try:
            async with asyncio.timeout(LAST):
                if await self.push(samples()):
                    # A moment later, as a sample of the same moment with another value is refused.
                    await self._send(bodies(samples(), self._labels, self._moment() + 1, stale=True))
        except TimeoutError:
            log.warning("the last metrics did not reach %s in %g s", self._url, LAST)

    async def push(self, samples: Iterable[metrics.Sample]) -> bool:
        """Push once; whether it was taken."""
        outcome, problem = await self._send(bodies(samples, self._labels, self._moment()))
        self.pushes[outcome] += 1
        if problem and not self._problem:
            log.warning("metrics are not taken by %s: %s", self._url, problem)
        elif self._problem and not problem:
            log.info("metrics are taken by %s again", self._url)
        self._problem = problem
        return not problem

    def samples(self) -> Iterator[metrics.Sample]:
        """How the pushes went."""
        for outcome, number in self.pushes.items():
            yield metrics.PUSHES, (outcome,), number

    async def _send(self, requests: Iterable[bytes]) -> tuple[str, str]:
        """What became of requests, `sent`, `failed` or `refused`, and why."""
        for content in requests:
            try:
                answer = await self._client.post(self._url, content=content, headers=self._headers)
            except httpx.HTTPError as error:
                return "failed", f"{type(error).__name__} {error}".strip()
            if not answer.is_success:
                text = f"answered {answer.status_code} {answer.text.strip()[:200]}"
                return ("refused" if answer.is_client_error and answer.status_code != 429 else "failed"), text
        return "sent", ""

    def _moment(self) -> int:
        return int(self._now() * 1000)


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """The header of a user with the token as password, or of the bearer token, or none."""
    token, user = environ.get(TOKEN, "").strip(), environ.get(USER, "").strip()
    if user:
        return {"Authorization": f"Basic {b64encode(f'{user}:{token}'.encode()).decode()}"}
    return {"Authorization": f"Bearer {token}"} if token else {}
