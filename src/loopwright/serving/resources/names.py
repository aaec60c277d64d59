"""What the objects of a loop are called on a cluster, by Loopwright and by KServe."""

import re
from typing import Any

from loopwright.loop import Loop

GROUP = "serving.kserve.io"
HTTP_PORT, GRPC_PORT, MONITOR_PORT = 8080, 8081, 9090
SERVICE_PORT = 80
"""The HTTP port of the Service that KServe makes of a predictor; further ports keep their container's number."""

_PREDICTOR = re.compile(r"^v([1-9]\d*)$")

Manifest = dict[str, Any]


def labels(loop: Loop, component: str) -> dict[str, str]:
    """The recommended labels: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/."""
    nouns = {"name": "loopwright", "instance": loop.name, "component": component, "part-of": "loopwright"}
    return {f"app.kubernetes.io/{key}": text for key, text in nouns.items()}


def runtime(loop: Loop) -> str:
    """The ServingRuntime's name."""
    return f"loopwright-{loop.name}"


def config(loop: Loop) -> str:
    """The name of the ConfigMap with the declaration."""
    return f"{loop.name}-loop"


def predictor(version: int) -> str:
    """A version's `predictor.name`: its Deployment stays when it becomes the champion, as its name does."""
    return f"v{version}"


def version(predictor_name: str | None) -> int | None:
    """The version that a `predictor.name` stands for; nothing for a name that Loopwright did not give."""
    found = _PREDICTOR.match(predictor_name or "")
    return None if found is None else int(found[1])


def workload(loop: str, number: int) -> str:
    """The name that KServe gives a version's Deployment and Service."""
    return f"{loop}-{predictor(number)}-predictor"


def pods(loop: str, number: int | None = None) -> str:
    """The label selector of the pods of a loop's service, or of one version of it."""
    selector = f"{GROUP}/inferenceservice={loop},component=predictor"
    return selector if number is None else f"{selector},app=isvc.{workload(loop, number)}"


def host(loop: Loop, namespace: str) -> str:
    """The service's host name: declared, or as KServe's default `domainTemplate` makes it."""
    return loop.serving.host or f"{loop.name}-{namespace}.{loop.serving.domain}"


def preview_host(loop: Loop, namespace: str) -> str:
    """The host name under which blue/green's second colour answers before it has traffic."""
    return loop.serving.preview_host or f"{loop.name}-preview-{namespace}.{loop.serving.domain}"
