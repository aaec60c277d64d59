"""The Kubernetes API as this package needs it: a few verbs on objects of one namespace.

A thin layer over the official client's transport, which is passed in.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from loopwright.cluster.objects import POD, Kind, Object
from loopwright.cluster.refusals import Conflict, absent, away, forbidden, message_of, refusal
from loopwright.errors import GatewayLost

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

MANAGER = "loopwright"
"""The field manager of what is applied and patched."""
TIMEOUT = 15.0
"""Seconds for one request to the API server."""


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, client: "ApiClient", namespace: str) -> None:
        self._client, self.namespace = client, namespace

    @property
    def place(self) -> str:
        """The namespace, and the cluster by its certificate authority, which is the same from inside and outside."""
        authority = self._client.configuration.ssl_ca_cert
        try:
            content = Path(authority).read_bytes().strip() if authority else b""
        except OSError:
            content = b""
        return f"{self.namespace}@{hashlib.sha256(content).hexdigest()[:12]}" if content else self.namespace

    def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object | None:
        """An object, or nothing where there is none."""
        return self._call("GET", "get", kind, name, namespace=namespace)

    def list(self, kind: Kind, selector: str = "", fields: str = "", *, namespace: str | None = None) -> list[Object]:
        """The objects that have these labels and fields."""
        query = [(key, value) for key, value in (("labelSelector", selector), ("fieldSelector", fields)) if value]
        found = self._call("GET", "list", kind, query=query, namespace=namespace)
        return [] if found is None else list(found.get("items", []))

    def version(self) -> tuple[str, str]:
        """The API server's version, such as `v1.34.1`, and the `Date` of its answer."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = self._client.call_api(
                "/version",
                "GET",
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=TIMEOUT,
            )
        except ApiException as error:
            raise refusal(error, "get", Kind("v1", "version", "version", scoped=False), "", "", "") from error
        except (HTTPError, OSError) as error:
            raise away(error) from error
        return str(json.loads(answer.data)["gitVersion"]), str(answer.headers.get("Date", ""))

    def create(self, kind: Kind, content: Object) -> Object:
        """Make an object. Raises Conflict when there is one of this name."""
        made = self._call("POST", "create", kind, body=content)
        if made is None:
            raise absent(kind)
        return made

    def replace(self, kind: Kind, content: Object) -> Object:
        """Write an object as it was read, changed. Raises Conflict when it has changed meanwhile, or has gone."""
        written = self._call("PUT", "update", kind, content["metadata"]["name"], body=content)
        if written is None:
            raise Conflict(f"{kind.name} {content['metadata']['name']} is gone")
        return written

    def patch(self, kind: Kind, name: str, content: Object, *, sub: str = "") -> Object:
        """Merge `content` into an object; with a resourceVersion in it, Conflict when it has changed meanwhile."""
        query, media = [("fieldManager", MANAGER)], "application/merge-patch+json"
        patched = self._call("PATCH", "patch", kind, name, sub=sub, body=content, query=query, media=media)
        if patched is None:
            raise GatewayLost(f"there is no {kind.name} {name} in the namespace {self.namespace}")
        return patched

    def apply(self, kind: Kind, content: Object, *, force: bool = False) -> Object:
        """Server-side apply. Raises Conflict naming the fields that another manager owns."""
        name = content["metadata"]["name"]
        query = [("fieldManager", MANAGER), ("force", "true" if force else "false")]
        media = "application/apply-patch+yaml"
        applied = self._call("PATCH", "patch", kind, name, body=content, query=query, media=media)
        if applied is None:
            raise absent(kind)
        return applied

    def delete(self, kind: Kind, name: str) -> None:
        """Remove an object, if it is there."""
        self._call("DELETE", "delete", kind, name)

    def log(self, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """The last lines that a container wrote; empty where they cannot be had."""
        query = [("container", container), ("tailLines", str(lines)), ("previous", "true" if previous else "false")]
        try:
            return self._text(POD.path(self.namespace, pod, "log"), query)
        except Exception:
            return ""

    def scrape(self, pod: str, port: int, path: str) -> str:
        """What a pod answers to a GET, through the API server's proxy. Raises RolloutError when it does not."""
        where = POD.path(self.namespace, f"{pod}:{port}", "proxy") + path.partition("?")[0]
        query = [tuple(pair.split("=", 1)) for pair in path.partition("?")[2].split("&") if pair]
        try:
            return self._text(where, query)
        except Exception as error:
            if getattr(error, "status", 0) in (401, 403):
                raise forbidden("get", Kind("v1", "pods/proxy", "Pod"), "", error, self.namespace) from error
            raise GatewayLost(f"pod {pod} does not answer: {message_of(error)}") from error

    def _text(self, path: str, query: Any) -> str:
        answer = self._client.call_api(
            path,
            "GET",
            query_params=query,
            header_params={"Accept": "*/*"},
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=TIMEOUT,
        )
        return cast(bytes, answer.data).decode("utf-8", "replace")

    def _call(
        self,
        method: str,
        verb: str,
        kind: Kind,
        name: str = "",
        *,
        sub: str = "",
        body: Object | None = None,
        query: Any = None,
        media: str = "application/json",
        namespace: str | None = None,
    ) -> Object | None:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        inside = (self.namespace if namespace is None else namespace) if kind.scoped else ""
        try:
            answer = self._client.call_api(
                kind.path(inside, name, sub),
                method,
                query_params=query or [],
                header_params={"Accept": "application/json", "Content-Type": media},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=TIMEOUT,
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise refusal(error, verb, kind, name, sub, self.namespace) from error
        except (HTTPError, OSError) as error:
            raise away(error) from error
        return cast(Object, json.loads(answer.data))
