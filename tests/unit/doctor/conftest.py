"""A stand-in of the Kubernetes API for what the doctor asks: lists, single objects, access reviews, a version."""

import json
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from kubernetes.client import ApiException

from loopwright import declaration
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Cluster

Object = dict[str, Any]
PATH = re.compile(
    r"^/(?:api|apis)/(?P<api>v1|[^/]+/[^/]+)(?:/namespaces/(?P<ns>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
)
NAMESPACES = re.compile(r"^/api/v1/namespaces(?:/(?P<name>[^/]+))?$")


class Answer:
    def __init__(self, content: Any, date: datetime) -> None:
        self.data, self.headers = json.dumps(content).encode(), {"Date": format_datetime(date, usegmt=True)}


class StandInApi:
    """What `kubernetes.client.ApiClient.call_api` answers."""

    def __init__(self) -> None:
        self.objects: list[tuple[str, Object]] = []
        self.version = "v1.34.1"
        self.now = datetime.now(UTC)
        self.refused: dict[str, int] = {}
        """By plural, the status that it is answered with; `version` too."""
        self.denied: set[tuple[str, str]] = set()
        """(verb, resource) that nobody may do."""
        self.asked: list[Object] = []

    def put(self, plural: str, name: str, **content: Any) -> Object:
        metadata = {"name": name} | content.pop("metadata", {})
        made = {"metadata": metadata} | content
        self.objects.append((plural, made))
        return made

    def call_api(self, path: str, method: str, *, body: Any = None, query_params: Any = (), **_: Any) -> Answer:
        found = NAMESPACES.match(path) or PATH.match(path)
        plural = "version" if path == "/version" else "namespaces" if NAMESPACES.match(path) else found["plural"]
        if plural in self.refused:
            error = ApiException(status=self.refused[plural], reason="")
            error.body = json.dumps({"message": f"cannot read {plural}"})
            raise error
        if plural == "version":
            return Answer({"gitVersion": self.version}, self.now)
        if plural.endswith("subjectaccessreviews"):
            self.asked.append(body["spec"])
            asked = body["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
            return Answer({"status": {"allowed": (asked["verb"], resource) not in self.denied}}, self.now)
        name, query = found["name"], dict(query_params or ())
        wanted = dict(pair.split("=", 1) for pair in query.get("labelSelector", "").split(",") if pair)
        matching = [
            one
            for kind, one in self.objects
            if kind == plural and wanted.items() <= (one["metadata"].get("labels") or {}).items()
        ]
        if not name:
            return Answer({"items": matching}, self.now)
        for one in matching:
            if one["metadata"]["name"] == name:
                return Answer(one, self.now)
        raise ApiException(status=404, reason="")


@pytest.fixture
def api() -> StandInApi:
    return StandInApi()


@pytest.fixture
def cluster(api: StandInApi) -> Cluster:
    return Cluster(api, "models")  # type: ignore[arg-type]


@pytest.fixture
def churn() -> Loop:
    text = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: churn}
data: {source: churn.csv, label: {column: churned}, contract: {age: {type: integer}}}
model: {task: classification}
serving: {gateway: envoy/main, domain: models.example.org}
"""
    return declaration.parse(text, "loop.yaml")
