"""Envoy as the local data plane: what it says it has loaded and done, read from the answers of its admin port.

The weights are those of the route that Envoy routes by, so a shift has happened when they say so. What the requests
came to is read from the exposition that STATS_QUERY gives, by counts.read_traffic.
"""

import json
import re
from dataclasses import dataclass

from loopwright.rollout.envoy import Upstream

CLUSTERS_QUERY = "/clusters?format=json"
ROUTES_QUERY = "/config_dump?resource=dynamic_route_configs"
STATS_QUERY = "/stats/prometheus?usedonly&filter=^cluster.version-[^.]*[.](upstream_rq_|grpc)"
"""Paths on the admin port, for `loaded_clusters`, `loaded_weights` and counts.read_traffic."""

SERVER_FAULTS = frozenset({"2", "4", "13", "14", "15"})
"""gRPC codes that are the server's fault, as 5xx are: unknown, deadline exceeded, internal, unavailable, data loss."""

_CLUSTER = re.compile(r"^version-(\d+)(-grpc)?$")


@dataclass(frozen=True)
class Loaded:
    """A version's clusters as Envoy has them: the upstream and the requests in flight."""

    upstream: Upstream
    active: int


def loaded_weights(dump: str) -> dict[int, int]:
    """The weights in the route that Envoy has, from the answer to ROUTES_QUERY; empty where it answers 503 itself."""
    for config in json.loads(dump).get("configs", []):
        for virtual_host in config.get("route_config", {}).get("virtual_hosts", []):
            # The last rule is HTTP's; gRPC's comes before it in the same file, with the same weights.
            split = virtual_host["routes"][-1].get("route", {}).get("weighted_clusters", {}).get("clusters", [])
            # JSON of protobuf leaves zeros out.
            return {int(one["name"].removeprefix("version-")): int(one.get("weight", 0)) for one in split}
    return {}


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
