"""What the data plane of `loopwright up` is at: what its files say is wanted and observed, and what it has counted.

Counts come from Envoy's and the monitor's expositions; either being away makes its counts unknown, not zero.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from loopwright.http import bearer
from loopwright.loop import Loop
from loopwright.rollout.counts import Arm, join, read_answers, read_traffic
from loopwright.rollout.envoy_admin import STATS_QUERY
from loopwright.rollout.gateway import GatewayLost
from loopwright.rollout.state import Status, preview_host, read_serving, running, stored_token
from loopwright.settings import Settings

if TYPE_CHECKING:
    import httpx

POLL = 0.05
"""Seconds between two looks at status.json; the supervisor reconciles as often."""
HTTP_TIMEOUT = 2.0


class LocalView:
    """The part of the local gateway that changes nothing; see `Gateway` for the methods."""

    def __init__(
        self, loop: Loop, settings: Settings, client: "httpx.Client", *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._loop, self._live, self._client, self._pause = loop.name, settings.live, client, pause
        self._clock, self._token = settings.clock, settings.token
        limit = loop.rollout.analysis.latency_p99
        self._slow_ms = float("inf") if limit is None else limit.max.total_seconds() * 1000

    def champion(self) -> int | None:
        self._status()
        stable = read_serving(self._live).stable
        return None if stable is None else stable.version

    def weights(self) -> dict[int, int]:
        return dict(self._status().weights)

    def wanted(self) -> dict[int, int]:
        self._status()
        return read_serving(self._live).weights()

    def kept(self) -> int | None:
        self._status()
        kept = read_serving(self._live).kept
        return None if kept is None else kept.version

    def preview(self, version: int) -> str | None:
        serving, url = read_serving(self._live), self._status().endpoints.get("gateway")
        if serving.canary is None or serving.canary.version != version or url is None:
            return None
        return f"{url} with the header `Host: {preview_host(self._loop)}`"

    def counts(self) -> dict[int, Arm]:
        status = self._status()
        traffic = self._read(status, "envoy_admin", STATS_QUERY)
        answers = self._read(status, "monitor", "/metrics")
        return join(
            read_serving(self._live).weights(),
            None if traffic is None else read_traffic(traffic, self._slow_ms),
            None if answers is None else read_answers(answers, self._loop),
        )

    def answers(self, version: int, after: str) -> tuple[Sequence[tuple[str, float]], str]:
        token = self._token or stored_token(self._live)
        text = self._read(self._status(), "monitor", f"/v1/answers/{version}", after=after, headers=bearer(token))
        try:
            found = {} if text is None else json.loads(text)
            answers = [(str(identifier), float(prediction)) for identifier, prediction in found.get("answers", [])]
            return answers, str(found.get("cursor", after))
        except (ValueError, TypeError, AttributeError):
            return [], after

    def health(self, version: int) -> str:
        status = self._status()
        predictor, name = status.predictors.get(version), f"predictor {version}"
        if predictor is None:
            return f"{name} is not there"
        if predictor.state == "ready":
            return ""
        return status.problems.get(name) or f"{name} is {predictor.state}"

    def _status(self) -> Status:
        """What the supervisor says. Raises GatewayLost when there is none."""
        status = running(self._live)
        if status is None:
            raise GatewayLost(
                f"nothing serves {self._loop}: `loopwright up` is not running",
                do="start `loopwright up` in another terminal, and run this again; a rollout goes on where it was",
            )
        return status

    def _await(self, condition: Callable[[Status], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition(self._status()):
            if time.monotonic() >= deadline:
                return False
            self._pause(POLL)
        return True

    def _read(
        self, status: Status, endpoint: str, path: str, *, headers: Mapping[bytes, bytes] | None = None, **query: str
    ) -> str | None:
        import httpx

        url = status.endpoints.get(endpoint)
        if url is None:
            return None
        try:
            # Without parameters of its own the path keeps those that it has.
            answer = self._client.get(url + path, params=query or None, headers=headers, timeout=HTTP_TIMEOUT)
            return answer.raise_for_status().text
        except httpx.HTTPError:
            return None
