"""Envoy's files and Envoy's answers: brings what Envoy has loaded to what is wanted, in an order that loses nothing.

The order: clusters are added, Envoy has them, the route names them, Envoy has it; and back: the route no longer names
a version, its last request is answered, its clusters go. Each call of `converge` takes the step that is due.
"""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from loopwright import files
from loopwright.rollout import counts, envoy, envoy_admin
from loopwright.rollout.counts import Arm
from loopwright.rollout.envoy import Upstream
from loopwright.rollout.envoy_admin import Loaded, Route

BOOTSTRAP = "bootstrap.json"
REFRESH = 1.0
"""Seconds between two looks at an Envoy that has what is wanted; it may have been started again."""
REWRITE = 2.0
"""Seconds after which a file that Envoy has not loaded is put there again: the kernel may have dropped the notice."""
TIMEOUT = 1.0
UNREADABLE = (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError)
"""What an answer may come to that is none, or is not Envoy's: JSON of another shape is among it."""


class DataPlane:
    """One Envoy, by its folder and its admin port."""

    def __init__(self, folder: Path, admin: str, client: httpx.AsyncClient) -> None:
        self._folder, self._admin, self._client = folder, admin, client
        self._clusters: dict[str, Any] = {}
        self._routes: dict[str, Any] = {}
        self._written = self._observed = 0.0
        self.route = Route()
        """What Envoy routes by; no weights while it answers 503 itself or does not run."""
        self.loaded: dict[int, Loaded] = {}
        """The versions whose clusters Envoy has."""
        self.settled = False
        """Whether Envoy has all that was wanted at the last `converge`."""
        self.answering = False
        """Whether Envoy answered when it was last asked."""

    def prepare(self, bootstrap: Mapping[str, Any]) -> Path:
        """Write the start file, no clusters and a route that answers 503; returns the start file."""
        for path in (envoy.CLUSTERS_FILE, envoy.ROUTES_FILE):
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        files.write_json(self._folder / BOOTSTRAP, bootstrap)
        self._write_clusters(envoy.clusters([]))
        self._write_routes(envoy.routes({}))
        return self._folder / BOOTSTRAP

    @property
    def weights(self) -> dict[int, int]:
        """The weights that Envoy routes by."""
        return dict(self.route.weights)

    async def converge(
        self,
        upstreams: Mapping[int, Upstream],
        weights: Mapping[int, int],
        routes: dict[str, Any],
        *,
        closely: bool = False,
    ) -> None:
        """Take the next step towards these clusters and this route (envoy.routes), which has these weights.

        With `closely` Envoy is asked even when nothing is to change: somebody waits for requests in flight to end.
        """
        clusters = envoy.clusters(upstreams.values())
        if clusters != self._clusters:
            self._write_clusters(clusters)
        elif self.settled and routes == self._routes and not closely and time.monotonic() - self._observed < REFRESH:
            return
        await self.observe()
        # A route to a cluster that Envoy does not have yet would answer 503.
        named = {version: upstreams[version] for version in weights}
        if routes != self._routes and self._has(named):
            self._write_routes(routes)
            await self.observe()
        self.settled = (
            routes == self._routes
            and self.weights == dict(weights)
            and self.route.version == routes["version_info"]
            and self.loaded.keys() == upstreams.keys()
            and self._has(upstreams)
        )
        if not self.settled and time.monotonic() - self._written > REWRITE:
            self._write_clusters(self._clusters)
            self._write_routes(self._routes)

    async def observe(self) -> None:
        """Read back what Envoy has."""
        self._observed = time.monotonic()
        try:
            self.route = envoy_admin.loaded_route(await self._ask(envoy_admin.ROUTES_QUERY))
            self.loaded = envoy_admin.loaded_clusters(await self._ask(envoy_admin.CLUSTERS_QUERY))
            self.answering = True
        except UNREADABLE:
            self.route, self.loaded, self.answering = Route(), {}, False

    async def traffic(self) -> dict[int, Arm]:
        """Each version's counts since Envoy started, but for latency; none while it does not answer."""
        try:
            return counts.read_traffic(await self._ask(envoy_admin.STATS_QUERY), math.inf)
        except UNREADABLE:
            return {}

    def _has(self, upstreams: Mapping[int, Upstream]) -> bool:
        return all(
            version in self.loaded and self.loaded[version].upstream == one for version, one in upstreams.items()
        )

    async def _ask(self, query: str) -> str:
        answer = await self._client.get(self._admin + query, timeout=TIMEOUT)
        return answer.raise_for_status().text

    def _write_clusters(self, content: dict[str, Any]) -> None:
        files.write_json(self._folder / envoy.CLUSTERS_FILE, content)
        self._clusters, self._written, self.settled = content, time.monotonic(), False

    def _write_routes(self, content: dict[str, Any]) -> None:
        files.write_json(self._folder / envoy.ROUTES_FILE, content)
        self._routes, self._written, self.settled = content, time.monotonic(), False
