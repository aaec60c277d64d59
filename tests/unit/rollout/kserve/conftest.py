"""A stand-in of the Kubernetes API server: objects in memory, resourceVersions, merge patches and set errors."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import ApiException

from loopwright import declaration
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Cluster

Object = dict[str, Any]
PATH = re.compile(
    r"^/(?:api|apis)/(?P<api>.+?)(?:/namespaces/[^/]+)?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>\w+))?$"
)


class StandInApi:
    """What `kubernetes.client.ApiClient.call_api` does, for the few verbs that are used."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.errors: dict[tuple[str, str], tuple[int, str]] = {}
        """(method, plural): the status and the message that it fails with."""
        self.calls: list[tuple[str, str, str]] = []
        self.after: Callable[[str, str], None] = lambda method, plural: None
        """Called after each change: what a controller would do."""
        self._version = 0

    def put(self, plural: str, content: Object) -> Object:
        self._version += 1
        metadata = {"generation": 1, "uid": "u"} | content.get("metadata", {}) | {"resourceVersion": str(self._version)}
        stored: Object = json.loads(json.dumps(content | {"metadata": metadata}))
        self.objects[plural, metadata["name"]] = stored
        return stored

    def call_api(self, path: str, method: str, *, body: Any = None, query_params: Any = (), **_: Any) -> Any:
        found = PATH.match(path)
        assert found is not None, path
        plural, name, sub = found["plural"], found["name"] or "", found["sub"] or ""
        self.calls.append((method, plural, sub))
        if (method, plural) in self.errors:
            raise error(*self.errors[method, plural])
        if sub == "log":
            return Answer(b"the last line\n")
        if method == "GET" and not name:
            items = [one for (kind, _), one in self.objects.items() if kind == plural]
            return Answer(json.dumps({"items": items}).encode())
        content = self._change(method, plural, name, body)
        if method != "GET":
            self.after(method, plural)
        return Answer(json.dumps(content).encode())

    def _change(self, method: str, plural: str, name: str, body: Any) -> Object:
        known = self.objects.get((plural, name))
        if method == "POST":
            if (plural, body["metadata"]["name"]) in self.objects:
                raise error(409, "already exists")
            return self.put(plural, body)
        if known is None:
            if method == "PATCH" and isinstance(body, dict) and "kind" in body:
                return self.put(plural, body)
            raise error(404, "not found")
        if method == "GET":
            return known
        if method == "DELETE":
            return self.objects.pop((plural, name))
        if (
            body.get("metadata", {}).get("resourceVersion", known["metadata"]["resourceVersion"])
            != known["metadata"]["resourceVersion"]
        ):
            raise error(409, "the object has been modified")
        return self.put(plural, body if method == "PUT" else merged(known, body))


class Answer:
    def __init__(self, data: bytes) -> None:
        self.data = data


def error(status: int, message: str) -> ApiException:
    raised = ApiException(status=status, reason="")
    raised.body = json.dumps({"message": message})
    return raised


def merged(found: Any, patch: Any) -> Any:
    """What a merge patch makes of an object (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@pytest.fixture
def api() -> StandInApi:
    return StandInApi()


@pytest.fixture
def cluster(api: StandInApi) -> Cluster:
    return Cluster(api, "models")  # type: ignore[arg-type]


@pytest.fixture
def churn_loop() -> Loop:
    text = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: churn}
data: {source: churn.csv, label: {column: churned}, contract: {age: {type: integer}}}
model: {task: classification}
"""
    return declaration.parse(text, "loop.yaml")
