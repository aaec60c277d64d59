"""The data plane of `loopwright up` as a rollout's gateway: files for what is wanted, HTTP for what is counted.

`serving.json` is written, the supervisor makes it so and says in `status.json` what Envoy has; each method returns
when that is what was asked for. Counts come from Envoy's and the monitor's expositions; either being away makes its
counts unknown, not zero.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from loopwright.errors import RolloutError
from loopwright.loop import Loop
from loopwright.rollout.counts import Arm, join, read_answers, read_traffic
from loopwright.rollout.envoy_admin import STATS_QUERY
from loopwright.rollout.gateway import GatewayLost, NotReady
from loopwright.rollout.state import Placement, Serving, Status, read_serving, running, write_serving
from loopwright.settings import Settings

if TYPE_CHECKING:
    import httpx

POLL = 0.05
"""Seconds between two looks at status.json; the supervisor reconciles as often."""
PATIENCE = 20.0
"""Seconds that the supervisor is given to do what is wanted; it takes less than one."""
ATTEMPTS = 3
"""A predictor that ended so many times while it was to start will not start."""
HTTP_TIMEOUT = 2.0


class LocalGateway:
    """One loop's local data plane; see `Gateway` for the methods. `client` should not use the environment's proxy."""

    def __init__(
        self, loop: Loop, settings: Settings, client: "httpx.Client", *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._loop, self._live, self._client, self._pause = loop.name, settings.live, client, pause
        limit = loop.rollout.analysis.latency_p99
        self._slow_ms = float("inf") if limit is None else limit.max.total_seconds() * 1000

    def champion(self) -> int | None:
        self._status()
        stable = read_serving(self._live).stable
        return None if stable is None else stable.version

    def add(self, version: int, bundle: str, digest: str) -> None:
        self._status()
        serving, placement = read_serving(self._live), Placement(version, bundle, digest)
        if serving.stable is None:
            self._want(Serving(stable=placement))
        elif serving.stable.version == version:
            return
        elif serving.canary is None or serving.canary.version != version:
            if serving.canary is not None:
                # Left by a rollout whose state is gone: no rollout holds the lock that this one holds.
                self.withdraw(serving.canary.version)
            self._want(Serving(stable=serving.stable, canary=placement))

    def wait_ready(self, version: int, timeout_s: float) -> None:
        stable = read_serving(self._live).stable
        name, other = f"predictor {version}", None if stable is None else stable.version

        def ready(status: Status) -> bool:
            predictor = status.predictors.get(version)
            if predictor is not None and predictor.state == "failed" and predictor.restarts + 1 >= ATTEMPTS:
                why = status.problems.get(name, f"{name} ended {ATTEMPTS} times")
                raise NotReady(f"version {version} does not start: {why}")
            # Envoy splits the traffic when both are there, and the champion may be starting again too. One that was
            # ready stays in the route, so that a challenger can take the place of one that fails now.
            champion = other in (None, version) or other in status.weights
            return champion and predictor is not None and predictor.state == "ready"

        if self._await(ready, timeout_s):
            return
        status = self._status()
        predictor = status.predictors.get(version)
        if predictor is not None and predictor.state == "ready":
            why = status.problems.get(f"predictor {other}")
            raise RolloutError(
                f"version {other}, the champion, took no traffic within {timeout_s:.0f} s{f': {why}' if why else ''}",
                expected=f"the champion to serve, as version {version} is compared with it",
                do="see to it that it starts (`loopwright status`), and run this again; it goes on where it was",
            )
        why = status.problems.get(name)
        raise NotReady(f"version {version} was not ready within {timeout_s:.0f} s{f': {why}' if why else ''}")

    def weights(self) -> dict[int, int]:
        return dict(self._status().weights)

    def shift(self, version: int, percent: int) -> None:
        self._status()
        serving = read_serving(self._live)
        if serving.canary is None or serving.canary.version != version:
            if percent:
                raise NotReady(f"version {version} is no longer wanted as the challenger")
            return
        self._want(replace(serving, canary=replace(serving.canary, weight=percent)))
        if not self._await(lambda status: status.weights.get(version, 0) == percent, PATIENCE):
            found = self._status().weights
            raise NotReady(
                f"Envoy did not take {percent} % for version {version} within {PATIENCE:.0f} s: it has {found}"
            )

    def promote(self, version: int) -> None:
        self._status()
        serving = read_serving(self._live)
        canary = serving.canary
        if canary is not None and canary.version == version:
            self.shift(version, 100)
            # One write: the new stable version keeps its process, and the former one drains.
            self._want(Serving(stable=replace(canary, weight=0)))
        elif serving.stable is None or serving.stable.version != version:
            raise RolloutError(
                f"version {version} cannot be made the champion: it is not served",
                expected="the challenger or the champion in serving.json",
                do="roll it out again",
            )
        self._await_or_fail(lambda status: dict(status.weights) == {version: 100}, f"all traffic on version {version}")

    def withdraw(self, version: int) -> None:
        self._status()
        serving = read_serving(self._live)
        if serving.canary is not None and serving.canary.version == version:
            if serving.canary.weight:
                self.shift(version, 0)
            self._want(replace(serving, canary=None))
        elif serving.stable is not None and serving.stable.version == version:
            self._want(Serving())
        self._await_or_fail(lambda status: version not in status.weights, f"no route to version {version}")

    def counts(self) -> dict[int, Arm]:
        status = self._status()
        traffic = self._read(status, "envoy_admin", STATS_QUERY)
        answers = self._read(status, "monitor", "/metrics")
        return join(
            read_serving(self._live).weights(),
            None if traffic is None else read_traffic(traffic, self._slow_ms),
            None if answers is None else read_answers(answers, self._loop),
        )

    def _want(self, serving: Serving) -> None:
        write_serving(self._live, serving)

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

    def _await_or_fail(self, condition: Callable[[Status], bool], what: str) -> None:
        if not self._await(condition, PATIENCE):
            raise RolloutError(
                f"Envoy has {dict(self._status().weights)} after {PATIENCE:.0f} s",
                expected=what,
                do="look at what `loopwright up` says, and run this again; it goes on where it was",
            )

    def _read(self, status: Status, endpoint: str, path: str) -> str | None:
        import httpx

        url = status.endpoints.get(endpoint)
        if url is None:
            return None
        try:
            return self._client.get(url + path, timeout=HTTP_TIMEOUT).raise_for_status().text
        except httpx.HTTPError:
            return None
