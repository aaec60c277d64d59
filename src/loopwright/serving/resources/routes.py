"""HTTPRoutes of Loopwright's own beside KServe's: a preview host, sticky A/B, and a mirror.

KServe rewrites its own routes, whose rules match the path by the regular expressions below. A gateway orders rules of
one host name, over all routes, by the length of the path's expression and then by the number of headers (Gateway API,
HTTPRouteRule.matches), so these ones take precedence by a pair of brackets. They go when their rollout ends, and
KServe's routes serve on.
"""

import re
from collections.abc import Sequence
from typing import Any

from loopwright.loop import Loop
from loopwright.loop.rollout import AB
from loopwright.serving.resources import names
from loopwright.serving.resources.names import GRPC_PORT, SERVICE_PORT, Manifest

ANY_PATH = "^/(.*)$"
"""KServe's own is ^/.*$."""
GRPC_PATH = r"^/inference\.GRPCInferenceService/(.*)$"
"""KServe's own is ^/inference\\.GRPCInferenceService/.*$."""
GRPC_TYPE = {"name": "content-type", "type": "RegularExpression", "value": "^application/grpc.*"}
PARKED = {"name": "x-loopwright-route", "type": "Exact", "value": "parked"}


def preview(loop: Loop, version: int, host: str, gateway: str) -> Manifest:
    """All of a version under a host name of its own, before it has any traffic."""
    rules = [_rule(port, [_backend(loop, version, port)]) for port in (SERVICE_PORT, GRPC_PORT)]
    return _route(loop, "preview", host, gateway, rules)


def mirror(loop: Loop, champion: int, version: int, host: str, gateway: str) -> Manifest:
    """The champion answers; the version gets a copy of each request, and its answers are thrown away."""
    rules = [
        _rule(port, [_backend(loop, champion, port)])
        | {"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": _backend(loop, version, port)}}]}
        for port in (SERVICE_PORT, GRPC_PORT)
    ]
    return _route(loop, "shadow", host, gateway, rules)


def hold(loop: Loop, champion: int, host: str, gateway: str) -> Manifest:
    """The champion answers everything, for as long as KServe cannot be told so."""
    rules = [_rule(port, [_backend(loop, champion, port)]) for port in (SERVICE_PORT, GRPC_PORT)]
    return _route(loop, "hold", host, gateway, rules)


def split(loop: Loop, champion: int, version: int, ab: AB, host: str, gateway: str) -> Manifest:
    """Each caller stays with one of the two versions: by a header of its requests, or by a cookie of its first answer.

    By header, the version answers the requests that have one of the values, and the champion all others. By cookie,
    `share` percent of the callers that have none get the version and its number in one.
    """
    rules = []
    for port in (SERVICE_PORT, GRPC_PORT):
        if ab.header is not None:
            group = [{"name": ab.header, "type": "Exact", "value": value} for value in ab.values]
            rules += [
                _rule(port, [_backend(loop, version, port)], group),
                _rule(port, [_backend(loop, champion, port)]),
            ]
        else:
            shares = [(champion, 100 - ab.share), (version, ab.share)]
            rules += _by_cookie(loop, shares, ab.cookie_name(loop.name), port)
    return _route(loop, "ab", host, gateway, rules)


def parked(rules: Sequence[Manifest]) -> list[Manifest]:
    """The rules, for no request: each asks for one more header, which nobody sends. Order and backends stay."""
    return [
        rule | {"matches": [one | {"headers": [*one.get("headers", []), PARKED]} for one in rule["matches"]]}
        for rule in rules
    ]


def is_parked(rules: Sequence[Manifest]) -> bool:
    """Whether these are rules that `parked` made; none, as somebody may leave a route, are not."""
    return any(
        PARKED["name"] == header["name"]
        for rule in rules[:1]
        for one in rule.get("matches", [])
        for header in one.get("headers", [])
    )


def route_name(loop: str, what: str) -> str:
    """The name of one of Loopwright's own routes: what is preview, ab, shadow or hold."""
    return f"{loop}-{what}"


def _by_cookie(loop: Loop, shares: list[tuple[int, int]], cookie: str, port: int) -> list[Manifest]:
    rules, first = [], []
    for version, share in shares:
        value = rf"(^|.*;\s*){re.escape(cookie)}={version}(\s*;.*|$)"
        known = {"name": "cookie", "type": "RegularExpression", "value": value}
        rules.append(_rule(port, [_backend(loop, version, port)], [known]))
        told = {"add": [{"name": "Set-Cookie", "value": f"{cookie}={version}; Path=/; HttpOnly; SameSite=Lax"}]}
        filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": told}]
        first.append(_backend(loop, version, port) | {"weight": share, "filters": filters})
    return [*rules, _rule(port, first)]


def _rule(port: int, backends: list[Manifest], headers: Sequence[Manifest] = ()) -> Manifest:
    """A rule for the requests that have any of the headers; for all of them without one."""
    path = {"type": "RegularExpression", "value": GRPC_PATH if port == GRPC_PORT else ANY_PATH}
    kind = [GRPC_TYPE] if port == GRPC_PORT else []
    matches: list[Manifest] = []
    asked_for: Sequence[Manifest | None] = headers or [None]
    for header in asked_for:
        asked = kind if header is None else [header, *kind]
        matches.append({"path": path} | ({"headers": asked} if asked else {}))
    return {"matches": matches, "backendRefs": backends, "timeouts": {"request": "60s"}}


def _backend(loop: Loop, version: int, port: int) -> Manifest:
    return {"kind": "Service", "name": names.workload(loop.name, version), "port": port}


def _route(loop: Loop, what: str, host: str, gateway: str, rules: list[Manifest]) -> Manifest:
    namespace, _, name = gateway.partition("/")
    parent: dict[str, Any] = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": route_name(loop.name, what), "labels": names.labels(loop, "rollout")},
        "spec": {
            "hostnames": [host],
            "parentRefs": [parent | {"namespace": namespace, "name": name}],
            "rules": rules,
        },
    }
