"""The HTTPRoutes of a service: KServe's, which is read, and Loopwright's own, which are made and removed.

One of Loopwright's own takes the place of KServe's for the same host. What a gateway makes of it reaches its proxies in
parts. When a route goes, its clusters go first, and for some milliseconds its requests have nowhere to go; when a new
one comes, its rules may be there before its clusters. Envoy answers 503 then, `cluster_not_found` (docs/kserve.md).
So such a route comes and goes while it is parked: its rules and backends are there, and none matches a request.
"""

import time
from collections.abc import Callable

from loopwright.loop import Loop
from loopwright.loop.rollout import AB
from loopwright.rollout.gateway import GatewayLost
from loopwright.rollout.kserve.cluster import ROUTE, SERVICE, Cluster, Object, apply
from loopwright.serving.resources import names, routes

POLL = 0.25
"""Seconds between two looks at a route's status."""
SETTLE = 2.0
"""Seconds in which a gateway's proxies have what its controller says that it has taken; Envoy Gateway takes 0.1."""


class Routes:
    """The routes of one loop's service; `patience` is how many seconds the gateway has to take one."""

    def __init__(self, loop: Loop, cluster: Cluster, pause: Callable[[float], None], patience: float) -> None:
        self._loop, self._cluster, self._pause, self._patience = loop, cluster, pause, patience

    def weights(self) -> dict[int, int]:
        """The share of each version on KServe's route, in percent; empty where there is no route yet."""
        route = self._cluster.get(ROUTE, self._loop.name)
        return {} if route is None else self._shares(route["spec"]["rules"][0])

    def override(self) -> dict[int, int] | None:
        """What a route of Loopwright's own gives each version in place of KServe's: nothing where there is none.

        During an A/B split, that is the share in the requests of callers that belong to no version yet.
        """
        for what in ("hold", "ab"):
            route = self._cluster.get(ROUTE, routes.route_name(self._loop.name, what))
            if route is not None and not routes.is_parked(route["spec"]["rules"]):
                # The last rule is the one for everybody else; it is gRPC's, with the same shares as HTTP's.
                return self._shares(route["spec"]["rules"][-1])
        return None

    def _shares(self, rule: Object) -> dict[int, int]:
        shares = {self._version(one["name"]): int(one.get("weight", 1)) for one in rule.get("backendRefs") or []}
        total = sum(shares.values())
        return {version: round(100 * share / total) for version, share in shares.items() if version and total}

    def hold(self, champion: int) -> None:
        """All traffic to the champion, whatever KServe's route says."""
        # Somebody waits for the way back: a gateway that is slow to tell costs it no more than this.
        self._open("hold", routes.hold(self._loop, champion, "", "/"), min(SETTLE, self._patience))

    def taken(self, what: str = "") -> bool:
        """Whether the gateway has taken the newest of KServe's route, or of one of Loopwright's own."""
        return "True" in self._said(what)

    def _said(self, what: str) -> set[str]:
        """What the gateways say of whether they accept the newest of a route: nothing while they have not seen it."""
        name = routes.route_name(self._loop.name, what) if what else self._loop.name
        route = self._cluster.get(ROUTE, name)
        parents = [] if route is None else route.get("status", {}).get("parents") or []
        newest = 0 if route is None else route["metadata"]["generation"]
        accepted = [one for parent in parents for one in parent.get("conditions") or [] if one["type"] == "Accepted"]
        return {one["status"] for one in accepted if one.get("observedGeneration", 0) >= newest}

    def mirror(self, champion: int, version: int) -> None:
        """Copy the champion's traffic to a version."""
        self._open("shadow", routes.mirror(self._loop, champion, version, "", "/"))

    def split(self, champion: int, version: int, ab: AB) -> None:
        """Divide the callers between the two versions, each to stay with one."""
        self._open("ab", routes.split(self._loop, champion, version, ab, "", "/"))

    def preview(self, version: int) -> str:
        """A host name of its own for a version; returns its URL."""
        serving, kserve = self._loop.serving, self._kserve()
        host: str = kserve["spec"]["hostnames"][0]
        # KServe's name of the host begins with the service's, whatever its domain template says after it.
        own = f"{self._loop.name}-preview{host.removeprefix(self._loop.name)}"
        own = serving.preview_host or (own if host.startswith(self._loop.name) else f"preview.{host}")
        self._apply(routes.preview(self._loop, version, own, "/"), [own])
        return f"http://{own}"

    def close(self, what: str) -> None:
        """Remove one of Loopwright's own routes: ab, shadow or hold. KServe's has their requests from then on.

        Raises GatewayLost where the gateway does not see it parked.
        """
        name = routes.route_name(self._loop.name, what)
        found = self._cluster.get(ROUTE, name)
        if found is None:
            return
        rules = found["spec"]["rules"]
        if not routes.is_parked(rules):
            self._cluster.patch(ROUTE, name, {"spec": {"rules": routes.parked(rules)}})
        if not self._settled(what):
            raise GatewayLost(
                f"the gateway has not taken the route {name} after {self._patience:.0f} s",
                expected="its controller to run: the route matches nothing any more, and is removed once that is so",
                do="see `kubectl describe httproute`, and run this again; it goes on where it was",
            )
        self._cluster.delete(ROUTE, name)

    def drop(self, what: str) -> None:
        """Remove one that has its host for itself, the preview's."""
        name = routes.route_name(self._loop.name, what)
        if self._cluster.get(ROUTE, name) is not None:
            self._cluster.delete(ROUTE, name)

    def _open(self, what: str, route: Object, patience: float | None = None) -> None:
        found = self._cluster.get(ROUTE, routes.route_name(self._loop.name, what))
        if found is None or routes.is_parked(found["spec"]["rules"]):
            spec = route["spec"] | {"rules": routes.parked(route["spec"]["rules"])}
            self._apply(route | {"spec": spec})
            # Where the gateway has not taken it by then, the caller sees that of the route itself.
            self._settled(what, patience)
        self._apply(route)

    def _settled(self, what: str, patience: float | None = None) -> bool:
        """Wait until the gateway has seen the newest of a route, and its proxies have had the time to."""
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        while not self._said(what):
            if time.monotonic() >= deadline:
                return False
            self._pause(POLL)
        self._pause(SETTLE)
        return True

    def _apply(self, route: Object, hosts: list[str] | None = None) -> None:
        kserve = self._kserve()
        places = {"hostnames": hosts or kserve["spec"]["hostnames"], "parentRefs": kserve["spec"]["parentRefs"]}
        service = self._cluster.get(SERVICE, self._loop.name)
        metadata = route["metadata"] | ({} if service is None else {"ownerReferences": [owner(service)]})
        apply(self._cluster, route | {"metadata": metadata, "spec": route["spec"] | places}, force=True)

    def _kserve(self) -> Object:
        """KServe's own route, which has the host names and the gateway. Raises GatewayLost where there is none."""
        route = self._cluster.get(ROUTE, self._loop.name)
        if route is None:
            raise GatewayLost(
                f"KServe has made no HTTPRoute {self._loop.name} in the namespace {self._cluster.namespace}",
                expected="`enableGatewayApi` in KServe's configuration, and a service that is not cluster-local",
                do="see docs/kserve.md",
            )
        return route

    def _version(self, backend: str) -> int | None:
        before, after = f"{self._loop.name}-", "-predictor"
        return names.version(backend.removeprefix(before).removesuffix(after)) if backend.startswith(before) else None


def owner(service: Object) -> Object:
    """An ownerReference: what has it goes with the InferenceService."""
    metadata = service["metadata"]
    return {key: service[key] for key in ("apiVersion", "kind")} | {key: metadata[key] for key in ("name", "uid")}
