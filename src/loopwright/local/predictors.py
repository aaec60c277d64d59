"""One predictor process per wanted version: comes, is put in the route, leaves it, drains, goes.

A version enters the route when its predictor is first ready. From then on it keeps the weight that was given to it
even while its process is started again: as on a cluster, the route follows the rollout, and what a version that
crashes costs is counted against it by the rollout's analysis.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loopwright.local import ports
from loopwright.local.services import Service
from loopwright.rollout import envoy
from loopwright.rollout.envoy import Upstream
from loopwright.rollout.envoy_admin import Loaded
from loopwright.rollout.state import Placement, Predictor, Serving, preview_host

SETTLE = 0.3
"""Seconds that a version waits after Envoy's main thread has a route without it; its workers have it by then."""
DRAIN = 60.0
"""Seconds after which requests that are still in flight are given up: the route's own timeout."""


class Replica:
    """The predictor of one version. `make` makes its service from itself; its ports are chosen at each start."""

    def __init__(self, placement: Placement, make: Callable[["Replica"], Service]) -> None:
        self.placement = placement
        self.http = self.grpc = 0
        self.entered = False
        self.unrouted: float | None = None
        self.retired = False
        self.stopping: asyncio.Task[None] | None = None
        self.service = make(self)

    def choose_ports(self) -> tuple[int, int]:
        """The ports it had, so that Envoy need not be told; others where those are taken now."""
        if not (self.http and ports.usable(self.http) and ports.usable(self.grpc)):
            self.http, self.grpc = ports.free(2)
        return self.http, self.grpc

    @property
    def upstream(self) -> Upstream:
        """Where Envoy finds it."""
        return Upstream(self.placement.version, self.http, self.grpc)


class Predictors:
    """All predictors, by version."""

    def __init__(self, make: Callable[[Replica], Service], grace: float) -> None:
        self._make, self._grace = make, grace
        self._wanted: frozenset[int] = frozenset()
        self._replicas: dict[int, Replica] = {}

    def tick(self, serving: Serving) -> None:
        """Have a predictor for each wanted version, and start those again that ended."""
        placements = serving.placements()
        self._wanted = frozenset(placements)
        for version in [version for version, one in self._replicas.items() if one.stopping and one.stopping.done()]:
            del self._replicas[version]
        for version, placement in placements.items():
            replica = self._replicas.get(version)
            if replica is None:
                replica = self._replicas[version] = Replica(placement, self._make)
            if (replica.placement.bundle, replica.placement.digest) != (placement.bundle, placement.digest):
                replica.placement = placement
                replica.service.kill()
            if replica.stopping is None:
                replica.unrouted, replica.retired = None, False
        for replica in self._replicas.values():
            replica.service.tick()
            replica.entered = replica.entered or replica.service.state == "ready"

    def leave(self, weights: Mapping[int, int], loaded: Mapping[int, Loaded]) -> None:
        """Take unwanted predictors one step further out, given what Envoy routes to and has."""
        now = time.monotonic()
        for version, replica in self._replicas.items():
            if version in self._wanted or replica.stopping is not None:
                continue
            if version in weights:
                replica.unrouted = None
            elif replica.unrouted is None:
                replica.unrouted = now
            elif not replica.retired:
                waited, known = now - replica.unrouted, loaded.get(version)
                idle = known is None or known.active == 0 or replica.service.state != "ready"
                replica.retired = (idle and waited > SETTLE) or waited > DRAIN
            elif version not in loaded:
                replica.stopping = asyncio.create_task(replica.service.stop(self._grace))

    @property
    def leaving(self) -> bool:
        """Whether a predictor is on its way out."""
        return any(version not in self._wanted for version in self._replicas)

    def upstreams(self) -> dict[int, Upstream]:
        """What Envoy is to have clusters for: every predictor that has ports and may still have requests."""
        return {
            version: one.upstream
            for version, one in self._replicas.items()
            if one.http and not one.retired and one.stopping is None
        }

    def entered(self) -> dict[int, bool]:
        """Of each version that is there to stay: whether it was ready since it came."""
        return {version: one.entered for version, one in self._replicas.items() if one.stopping is None}

    def ready(self) -> bool:
        """Whether every wanted version's predictor is ready."""
        return all(v in self._replicas and self._replicas[v].service.state == "ready" for v in self._wanted)

    def services(self) -> list[Service]:
        """All services, for the end."""
        return [replica.service for replica in self._replicas.values()]

    def observed(self) -> dict[int, Predictor]:
        """As status.json shows them."""
        return {version: one.service.observed(one.http, one.grpc) for version, one in sorted(self._replicas.items())}


@dataclass(frozen=True)
class Route:
    """What Envoy is to do with a request: split it by `weights`, or answer 503 with `missing` where there are none.

    `canary` is the challenger that can be reached by itself, and can have copies and clients of its own.
    """

    weights: Mapping[int, int]
    missing: str = ""
    canary: int | None = None

    def content(self, loop: str, serving: Serving) -> dict[str, Any]:
        """The content of Envoy's file of routes."""
        return envoy.routes(
            self.weights,
            self.missing,
            canary=self.canary,
            mirror=serving.mirror,
            split=serving.split if self.canary is not None else None,
            preview=preview_host(loop),
        )


def route(loop: str, serving: Serving, entered: Mapping[int, bool]) -> Route:
    """The route for what is wanted, given which versions were ready since they came.

    A split waits until every version with a share can take it; until then the stable version has all. A canary never
    takes what is not given to it: while a stable version is wanted and is not there yet, the answer is 503.
    """
    wanted = serving.weights()
    if not wanted:
        return Route({}, f"no version of {loop} is live: roll one out")
    if not any(wanted.values()):
        return Route({}, f"version {min(wanted)} of {loop} has no share of the traffic yet, and there is no other")
    waiting = [version for version, weight in wanted.items() if weight and not entered.get(version)]
    present = {version: weight for version, weight in wanted.items() if entered.get(version)}
    if not waiting:
        canary = None if serving.canary is None else serving.canary.version
        return Route(present, canary=canary if canary in present else None)
    if serving.stable is not None and entered.get(serving.stable.version):
        return Route({version: 100 if version == serving.stable.version else 0 for version in present})
    names = " and ".join(str(version) for version in sorted(waiting))
    return Route({}, f"version {names} of {loop} is not ready yet: it is starting, or it failed (see the logs)")
