"""Envoy as the local data plane: what it says it has loaded and done, read from the answers of its admin port.

Three queries and a function for each. The weights are those of the route that Envoy routes by, so a shift has
happened when they say so; the counts are cumulative since Envoy started, as Prometheus would scrape them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from loopwright.rollout.envoy import Upstream

CLUSTERS_QUERY = "/clusters?format=json"
ROUTES_QUERY = "/config_dump?resource=dynamic_route_configs"
STATS_QUERY = "/stats/prometheus?usedonly&filter=^cluster.version-[^.]*[.](upstream_rq_|grpc)"
"""Paths on the admin port, for `loaded_clusters`, `loaded_weights` and `traffic`."""

SERVER_FAULTS = frozenset({"2", "4", "13", "14", "15"})
"""gRPC codes that are the server's fault, as 5xx are: unknown, deadline exceeded, internal, unavailable, data loss."""

_CLUSTER = re.compile(r"^version-(\d+)(-grpc)?$")
_SAMPLE = re.compile(r"^envoy_cluster_(\w+)\{([^}]*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Loaded:
    """A version's clusters as Envoy has them: the upstream and the requests in flight."""

    upstream: Upstream
    active: int


@dataclass(frozen=True)
class Traffic:
    """What one version's requests came to since Envoy started, HTTP and gRPC together."""

    requests: int = 0
    """Requests that were answered, by the predictor or by Envoy in its place."""
    errors: int = 0
    """Of these: HTTP 5xx, and gRPC codes that are the server's fault."""
    slow: int = 0
    """Of these: took longer than the limit; Envoy measures in whole milliseconds, rounded down."""


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


def traffic(exposition: str, slow_ms: float | None = None) -> dict[int, Traffic]:
    """Each version's cumulative counts, from the answer to STATS_QUERY; `slow_ms` as given to `bootstrap`."""
    counts: dict[int, dict[str, int]] = {}
    for version, grpc, name, labels, value in _samples(exposition):
        count = counts.setdefault(version, dict.fromkeys(("requests", "errors", "timed", "quick"), 0))
        if name == "upstream_rq_completed":
            count["requests"] += value
        elif name == "upstream_rq_time_count":
            count["timed"] += value
        elif name == "upstream_rq_time_bucket" and slow_ms is not None and float(labels["le"]) == slow_ms:
            count["quick"] += value
        # A gRPC call that fails is HTTP 200 with the code in a trailer; grpc_stats counts these codes.
        elif (name == "upstream_rq_xx" and labels["envoy_response_code_class"] == "5" and not grpc) or (
            grpc and name.startswith("grpc_") and name.removeprefix("grpc_") in SERVER_FAULTS
        ):
            count["errors"] += value
    return {
        version: Traffic(count["requests"], count["errors"], count["timed"] - count["quick"] if slow_ms else 0)
        for version, count in counts.items()
    }


def _samples(exposition: str) -> Iterator[tuple[int, bool, str, dict[str, str], int]]:
    """(version, whether gRPC, metric without its prefix, labels, value) of every sample of a version's cluster."""
    for line in exposition.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None:
            continue
        labels = dict(_LABEL.findall(sample[2]))
        cluster = _CLUSTER.match(labels.get("envoy_cluster_name", ""))
        if cluster is not None:
            yield int(cluster[1]), bool(cluster[2]), sample[1], labels, round(float(sample[3]))
