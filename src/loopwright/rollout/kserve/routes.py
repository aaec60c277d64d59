"""The HTTPRoutes of a service: KServe's, which is read, and Loopwright's own, which are made and removed."""

from loopwright.loop import Loop
from loopwright.loop.rollout import AB
from loopwright.rollout.gateway import GatewayLost
from loopwright.rollout.kserve.cluster import ROUTE, SERVICE, Cluster, Object, apply
from loopwright.serving.resources import names, routes


class Routes:
    """The routes of one loop's service."""

    def __init__(self, loop: Loop, cluster: Cluster) -> None:
        self._loop, self._cluster = loop, cluster

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
            if route is not None:
                # The last rule is the one for everybody else; it is gRPC's, with the same shares as HTTP's.
                return self._shares(route["spec"]["rules"][-1])
        return None

    def _shares(self, rule: Object) -> dict[int, int]:
        shares = {self._version(one["name"]): int(one.get("weight", 1)) for one in rule.get("backendRefs") or []}
        total = sum(shares.values())
        return {version: round(100 * share / total) for version, share in shares.items() if version and total}

    def hold(self, champion: int) -> None:
        """All traffic to the champion, whatever KServe's route says."""
        self._apply(routes.whole(self._loop, "hold", champion, "", "/"))

    def whole(self, what: str, version: int) -> bool:
        """Give one version everything on one of Loopwright's own routes; False where there is no such route."""
        if self._cluster.get(ROUTE, routes.route_name(self._loop.name, what)) is None:
            return False
        self._apply(routes.whole(self._loop, what, version, "", "/"))
        return True

    def taken(self, what: str = "") -> bool:
        """Whether the gateway has taken the newest of KServe's route, or of one of Loopwright's own."""
        name = routes.route_name(self._loop.name, what) if what else self._loop.name
        route = self._cluster.get(ROUTE, name)
        parents = [] if route is None else route.get("status", {}).get("parents") or []
        if route is None or not parents:
            return False
        newest = route["metadata"]["generation"]
        accepted = [one for parent in parents for one in parent.get("conditions") or [] if one["type"] == "Accepted"]
        return any(one["status"] == "True" and one.get("observedGeneration", 0) >= newest for one in accepted)

    def mirror(self, champion: int, version: int) -> None:
        """Copy the champion's traffic to a version."""
        self._apply(routes.mirror(self._loop, champion, version, "", "/"))

    def split(self, champion: int, version: int, ab: AB) -> None:
        """Divide the callers between the two versions, each to stay with one."""
        self._apply(routes.split(self._loop, champion, version, ab, "", "/"))

    def preview(self, version: int) -> str:
        """A host name of its own for a version; returns its URL."""
        serving, kserve = self._loop.serving, self._kserve()
        host: str = kserve["spec"]["hostnames"][0]
        # KServe's name of the host begins with the service's, whatever its domain template says after it.
        own = f"{self._loop.name}-preview{host.removeprefix(self._loop.name)}"
        own = serving.preview_host or (own if host.startswith(self._loop.name) else f"preview.{host}")
        self._apply(routes.preview(self._loop, version, own, "/"), [own])
        return f"http://{own}"

    def drop(self, what: str) -> None:
        """Remove one of Loopwright's own routes: preview, ab or shadow."""
        name = routes.route_name(self._loop.name, what)
        if self._cluster.get(ROUTE, name) is not None:
            self._cluster.delete(ROUTE, name)

    def _apply(self, route: Object, hosts: list[str] | None = None) -> None:
        kserve = self._kserve()
        route["spec"]["hostnames"] = hosts or kserve["spec"]["hostnames"]
        route["spec"]["parentRefs"] = kserve["spec"]["parentRefs"]
        service = self._cluster.get(SERVICE, self._loop.name)
        if service is not None:
            route["metadata"]["ownerReferences"] = [owner(service)]
        apply(self._cluster, route, force=True)

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
