"""Envoy as the local data plane: what it says it has loaded and done, read from the answers of its admin port.

The weights are those of the route that Envoy routes by, so a shift has happened when they say so. What the requests
came to is read from the exposition that STATS_QUERY gives, by counts.read_traffic.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from loopwright.rollout.envoy import MAIN, Upstream

CLUSTERS_QUERY = "/clusters?format=json"
ROUTES_QUERY = "/config_dump?resource=dynamic_route_configs"
STATS_QUERY = "/stats/prometheus?usedonly&filter=^cluster.version-[^.]*[.](upstream_rq_|grpc)"
"""Paths on the admin port, for `loaded_clusters`, `loaded_route` and counts.read_traffic."""

SERVER_FAULTS = frozenset({"2", "4", "13", "14", "15"})
"""gRPC codes that are the server's fault, as 5xx are: unknown, deadline exceeded, internal, unavailable, data loss."""

_CLUSTER = re.compile(r"^version-(\d+)(-grpc)?$")


@dataclass(frozen=True)
class Loaded:
    """A version's clusters as Envoy has them: the upstream and the requests in flight."""

    upstream: Upstream
    active: int


@dataclass(frozen=True)
class Route:
    """The route that Envoy has."""

    weights: Mapping[int, int] = field(default_factory=dict)
    """Of the requests that no header and no cookie decides on; empty where Envoy answers 503 itself."""
    mirrored: int | None = None
    """The version that gets copies."""
    split: bool = False
    """Whether a header or a cookie decides."""
    version: str = ""
    """The version of the file that it was loaded from."""


def loaded_route(dump: str) -> Route:
    """The route that Envoy has, from the answer to ROUTES_QUERY."""
    for config in json.loads(dump).get("configs", []):
        for virtual_host in config.get("route_config", {}).get("virtual_hosts", []):
            if virtual_host["name"] != MAIN:
                continue
            # The last rule is HTTP's for everybody; those before it, in the same file, say the same of gRPC, or are
            # for the clients that have a version.
            rules = virtual_host["routes"]
            action = rules[-1].get("route", {})
            weighted = action.get("weighted_clusters", {}).get("clusters", [])
            copies = [_number(one["cluster"]) for one in action.get("request_mirror_policies", [])]
            # JSON of protobuf leaves zeros out.
            weights = {_number(one["name"]): int(one.get("weight", 0)) for one in weighted}
            return Route(weights, next(iter(copies), None), len(rules) > 2, config.get("version_info", ""))
    return Route()


def _number(cluster: str) -> int:
    return int(cluster.removeprefix("version-"))


def loaded_clusters(listing: str) -> dict[int, Loaded]:
    """The versions whose two clusters Envoy has, from the answer to CLUSTERS_QUERY."""
    ports: dict[int, dict[str, int]] = {}
    active: dict[int, int] = {}
    for status in json.loads(listing).get("cluster_statuses", []):
        match = _CLUSTER.match(status["name"])
        if match is None:
            continue
        for host in status.get("host_statuses", []):
            version, kind = int(match[1]), match[2] or ""
            ports.setdefault(version, {})[kind] = host["address"]["socket_address"]["port_value"]
            gauges = {stat["name"]: int(stat.get("value", 0)) for stat in host["stats"]}
            active[version] = active.get(version, 0) + gauges["rq_active"] + gauges.get("rq_pending_active", 0)
    return {
        version: Loaded(Upstream(version, found[""], found["-grpc"]), active[version])
        for version, found in ports.items()
        if len(found) == 2
    }
