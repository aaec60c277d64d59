"""The Kubernetes API as this package needs it: a few verbs on objects of one namespace, and errors one can act on.

A thin layer over the official client's transport, which is passed in. Objects are plain dictionaries, as custom
resources have no classes there.
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from loopwright.errors import GatewayLost, RolloutError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]
MANAGER = "loopwright"
"""The field manager of what is applied and patched."""
TIMEOUT = 15.0
"""Seconds for one request to the API server."""


@dataclass(frozen=True)
class Kind:
    """A kind of objects and where the API has it."""

    api: str
    """`v1`, or group/version."""
    plural: str
    name: str
    scoped: bool = True
    """Whether its objects are in a namespace."""

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        return self.api.rpartition("/")[0]

    def path(self, namespace: str, name: str = "", sub: str = "") -> str:
        """The URL's path of one object, or of all."""
        root = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        scope = f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"
        return "/".join(part for part in (scope, name, sub) if part)


CONFIG = Kind("v1", "configmaps", "ConfigMap")
SECRET = Kind("v1", "secrets", "Secret")
POD = Kind("v1", "pods", "Pod")
EVENT = Kind("v1", "events", "Event")
DEPLOYMENT = Kind("apps/v1", "deployments", "Deployment")
LEASE = Kind("coordination.k8s.io/v1", "leases", "Lease")
BUDGET = Kind("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget")
CRD = Kind("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", scoped=False)


class Conflict(RolloutError):
    """The object has changed since it was read, or another manager owns a field of it."""


class Invalid(RolloutError):
    """The API server, or a webhook of it, does not take the object."""


class Forbidden(RolloutError):
    """The caller may not do this; the message has the rule that is missing."""


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, client: "ApiClient", namespace: str) -> None:
        self._client, self.namespace = client, namespace

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
            raise self._error(error, "get", Kind("v1", "version", "version", scoped=False), "", "") from error
        except (HTTPError, OSError) as error:
            raise _away(error) from error
        return str(json.loads(answer.data)["gitVersion"]), str(answer.headers.get("Date", ""))

    def create(self, kind: Kind, content: Object) -> Object:
        """Make an object. Raises Conflict when there is one of this name."""
        made = self._call("POST", "create", kind, body=content)
        if made is None:
            raise _absent(kind)
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
            raise _absent(kind)
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
                raise self._forbidden("get", Kind("v1", "pods/proxy", "Pod"), "", error) from error
            raise GatewayLost(f"pod {pod} does not answer: {_message(error)}") from error

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
            raise self._error(error, verb, kind, name, sub) from error
        except (HTTPError, OSError) as error:
            raise _away(error) from error
        return cast(Object, json.loads(answer.data))

    def _error(self, error: Any, verb: str, kind: Kind, name: str, sub: str) -> RolloutError:
        message = _message(error)
        if error.status in (401, 403):
            shown = replace(kind, plural=f"{kind.plural}/{sub}") if sub else kind
            if error.status == 403 and "admission webhook" in message:
                return Invalid(f"{kind.name} {name} was refused: {message}")
            return self._forbidden(verb, shown, name, error)
        if error.status == 409:
            return Conflict(f"{kind.name} {name}: {message}")
        if error.status in (400, 422):
            return Invalid(f"{kind.name} {name} was refused: {message}")
        return GatewayLost(
            f"the Kubernetes API server answers {error.status} to {verb} {kind.plural}/{name}: {message}",
            do="run this again when it is well; a rollout goes on where it was",
        )

    def _forbidden(self, verb: str, kind: Kind, name: str, error: Any) -> Forbidden:
        if error.status == 401:
            return Forbidden("the Kubernetes API server does not know you (401)", do="log in, or see your kubeconfig")
        inside = self.namespace if kind.scoped else ""
        where = f" in the namespace {inside}" if inside else ""
        rule = json.dumps({"apiGroups": [kind.group], "resources": [kind.plural], "verbs": [verb]})
        return Forbidden(
            f"no permission to {verb} {kind.plural}{f' {name}' if name else ''}{where}: {_message(error)}",
            expected=f"a {'Role' if inside else 'ClusterRole'} with this rule: {rule}",
            do="ask who looks after the cluster to add it; docs/kserve.md has all that is needed",
        )


def _away(error: Exception) -> GatewayLost:
    return GatewayLost(
        f"the Kubernetes API server cannot be reached: {error}",
        do="see that `kubectl get namespaces` answers, and run this again; a rollout goes on where it was",
    )


def _absent(kind: Kind) -> RolloutError:
    return RolloutError(
        f"the cluster does not know the kind {kind.name} ({kind.api}), or the namespace is not there",
        expected="what has it (KServe, the Gateway API, Argo Workflows) to be installed, and the namespace to exist",
        do=f"see `kubectl api-resources --api-group={kind.group}` and `kubectl get namespaces`",
    )


def _message(error: Any) -> str:
    """What the API server says, without the transport's headers."""
    try:
        return str(json.loads(error.body)["message"])
    except (AttributeError, TypeError, ValueError, KeyError):
        return str(getattr(error, "reason", None) or error)
