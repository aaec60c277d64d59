"""Envoy as the local data plane: what it is told. Pure functions of values.

Envoy reads a bootstrap once, and then two files it watches: the clusters (CDS) and the route (RDS). A version is two
clusters, `version-N` for HTTP and `version-N-grpc` for HTTP/2, as their upstreams speak different protocols on
different ports; the route gives both the same weights. Whoever writes the files keeps the order: a cluster is loaded
before a route names it, and leaves after no route does. What was loaded is read back (envoy_admin), never assumed.

Envoy does no health checks here: a predictor gets weight after its supervisor saw it ready, a refused connection is
answered 503 at once, and a busy predictor that misses a check must not lose the requests it would have answered.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.rollout.state import Split

CLUSTERS_FILE = Path("clusters/cds.json")
ROUTES_FILE = Path("routes/rds.json")
"""Relative to Envoy's folder. Each has a folder of its own, so that replacing one does not reload the other."""

GRPC_SERVICE = "/inference.GRPCInferenceService/"
RETRY_ON = "connect-failure,refused-stream,reset-before-request"
"""Failures in which no predictor has seen the request, so that trying again cannot predict or count twice."""

TIMEOUT = "60s"
IDLE = "3s"
"""Envoy closes an idle upstream connection before uvicorn does (after 5 s or more), so that they never cross."""

BUCKETS_MS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 30000.0, 60000.0)

MAIN = "loop"
"""The virtual host for every host but the preview's."""
KINDS = ((GRPC_SERVICE, "-grpc"), ("/", ""))
"""The paths of the two protocols, and what their clusters' names end in."""
_BEARING: Mapping[str, Any] = {"timeout": TIMEOUT, "retry_policy": {"retry_on": RETRY_ON, "num_retries": 3}}

_TYPE = "type.googleapis.com/envoy."


@dataclass(frozen=True)
class Upstream:
    """Where one version's predictor listens on the loopback interface."""

    version: int
    http: int
    grpc: int


def bootstrap(folder: Path, *, host: str, port: int, admin_port: int, slow_ms: float | None = None) -> dict[str, Any]:
    """Envoy's start file: the gateway at host:port for HTTP/1.1 and HTTP/2 in clear text, admin on the loopback.

    `folder` holds CLUSTERS_FILE and ROUTES_FILE. `slow_ms` is the loop's latency limit in milliseconds: the histogram
    of request times has a bucket that ends there.
    """
    return {
        "node": {"id": "gateway", "cluster": "loopwright"},
        "admin": {"address": _address("127.0.0.1", admin_port)},
        "dynamic_resources": {"cds_config": _watched(folder / CLUSTERS_FILE)},
        # Histograms are merged at a flush; the default of 5 s would show requests whose time is not yet counted.
        "stats_flush_interval": "0.5s",
        "stats_config": {
            "histogram_bucket_settings": [{"match": {"suffix": "upstream_rq_time"}, "buckets": buckets(slow_ms)}]
        },
        "overload_manager": {"resource_monitors": [_connection_limit()]},
        "static_resources": {"listeners": [_listener(folder, host, port)]},
    }


def buckets(slow_ms: float | None) -> list[float]:
    """The upper ends of the buckets of request times, in milliseconds."""
    return sorted({*BUCKETS_MS, *([] if slow_ms is None else [slow_ms])})


def clusters(upstreams: Iterable[Upstream]) -> dict[str, Any]:
    """The content of CLUSTERS_FILE."""
    return _response(
        _cluster(name, port, http2=http2)
        for upstream in sorted(upstreams, key=lambda one: one.version)
        for name, port, http2 in (
            (f"version-{upstream.version}", upstream.http, False),
            (f"version-{upstream.version}-grpc", upstream.grpc, True),
        )
    )


def routes(
    weights: Mapping[int, int],
    missing: str = "no version is ready",
    *,
    canary: int | None = None,
    mirror: bool = False,
    split: Split | None = None,
    preview: str = "",
) -> dict[str, Any]:
    """The content of ROUTES_FILE: the traffic split by these weights; where they sum to 0, 503 saying what is missing.

    A version with weight 0 stays in the route, so that its weight can be observed. The `canary` gets copies of the
    requests with `mirror`; with `split` some clients have their version; requests to the host `preview` are its own.
    """
    hosts: list[dict[str, Any]] = []
    if sum(weights.values()) > 0:
        rules = [] if split is None or canary is None else _sticky(weights, canary, split)
        rules += [
            _rule(prefix, _weighted(weights, suffix, canary if mirror else None, split)) for prefix, suffix in KINDS
        ]
        if preview and canary is not None:
            own = [_rule(prefix, _to(canary, suffix)) for prefix, suffix in KINDS]
            hosts = [{"name": "preview", "domains": [preview], "routes": own}]
    else:
        # Envoy takes at most 4 KiB here.
        rules = [
            {"match": {"prefix": "/"}, "direct_response": {"status": 503, "body": {"inline_string": missing[:999]}}}
        ]
    route = {"@type": f"{_TYPE}config.route.v3.RouteConfiguration", "name": "loop"}
    hosts.append({"name": MAIN, "domains": ["*"], "routes": rules})
    return _response([route | {"ignore_port_in_host_matching": True, "virtual_hosts": hosts}])


def _sticky(weights: Mapping[int, int], canary: int, split: Split) -> list[dict[str, Any]]:
    """The rules for the clients that have a version: by the header's values, or by the cookie of either version."""
    if split.header:
        has = [(canary, {"name": split.header, "string_match": {"exact": value}}) for value in split.values]
    else:
        # One cookie among others (RFC 6265, 4.2.1): name=value pairs, parted by `; `.
        name = re.escape(split.cookie)
        has = [
            (version, {"name": "cookie", "string_match": {"safe_regex": {"regex": f"(.*; ?)?{name}={version}(;.*)?"}}})
            for version, weight in sorted(weights.items())
            if weight > 0
        ]
    return [
        _rule(prefix, _to(version, suffix), headers=[header]) for version, header in has for prefix, suffix in KINDS
    ]


def _rule(prefix: str, action: dict[str, Any], headers: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"match": {"prefix": prefix} | ({"headers": headers} if headers else {}), "route": action}


def _connection_limit() -> dict[str, Any]:
    """Envoy warns where it has none."""
    kind = f"{_TYPE}extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    limit = {"@type": kind, "max_active_downstream_connections": 50_000}
    return {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": limit}


def _listener(folder: Path, host: str, port: int) -> dict[str, Any]:
    router = {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router"}
    grpc_stats = {"@type": f"{_TYPE}extensions.filters.http.grpc_stats.v3.FilterConfig", "stats_for_all_methods": False}
    manager = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "normalize_path": True,
        # The request's id becomes the prediction's id: a client's own is kept, and the client is told the one made.
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "local_reply_config": _local_replies(),
        "rds": {"route_config_name": "loop", "config_source": _watched(folder / ROUTES_FILE)},
        "http_filters": [
            {"name": "envoy.filters.http.grpc_stats", "typed_config": grpc_stats},
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
    }
    return {
        "name": "gateway",
        # With port reuse a second gateway on the port would start and take half of the connections.
        "enable_reuse_port": False,
        "address": _address(host, port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _local_replies() -> dict[str, Any]:
    """Envoy's own answers in the predictor's form, {"error": text}; in gRPC the text alone, as it is the message."""
    grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    text = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}}
    return {
        "mappers": [{"filter": {"header_filter": {"header": grpc}}, "body_format_override": text}],
        "body_format": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}},
    }


def _cluster(name: str, port: int, *, http2: bool) -> dict[str, Any]:
    protocol = "extensions.upstreams.http.v3.HttpProtocolOptions"
    endpoint = {"endpoint": {"address": _address("127.0.0.1", port)}}
    # The defaults of 1,024 requests and 3 retries at a time would refuse a load test's requests, and drains.
    most = {"max_connections": 10_000, "max_pending_requests": 100_000, "max_requests": 100_000, "max_retries": 10_000}
    return {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            f"envoy.{protocol}": {
                "@type": _TYPE + protocol,
                "common_http_protocol_options": {"idle_timeout": IDLE},
                "explicit_http_config": {"http2_protocol_options" if http2 else "http_protocol_options": {}},
            }
        },
    }


def _weighted(weights: Mapping[int, int], suffix: str, copies: int | None, split: Split | None) -> dict[str, Any]:
    shares: list[dict[str, Any]] = []
    for version, weight in sorted(weights.items()):
        share: dict[str, Any] = {"name": f"version-{version}{suffix}", "weight": weight}
        if split is not None and split.cookie:
            text = f"{split.cookie}={version}; Path=/; Max-Age={split.seconds}; HttpOnly; SameSite=Lax"
            header = {"header": {"key": "set-cookie", "value": text}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
            share["response_headers_to_add"] = [header]
        shares.append(share)
    action: dict[str, Any] = {"weighted_clusters": {"clusters": shares}, **_BEARING}
    if copies is not None:
        # The copy is the request as it came: with its id, and to the host that it named.
        action["request_mirror_policies"] = [
            {"cluster": f"version-{copies}{suffix}", "disable_shadow_host_suffix_append": True}
        ]
    return action


def _to(version: int, suffix: str) -> dict[str, Any]:
    return {"cluster": f"version-{version}{suffix}", **_BEARING}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _watched(path: Path) -> dict[str, Any]:
    source = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _response(resources: Iterable[dict[str, Any]]) -> dict[str, Any]:
    listed = list(resources)
    return {"version_info": hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:12], "resources": listed}
