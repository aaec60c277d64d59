"""The kinds of objects that a rollout on KServe reads and writes, and the API that it does so by."""

from loopwright.cluster.api import Cluster
from loopwright.cluster.objects import BUDGET, CONFIG, CRD, DEPLOYMENT, EVENT, LEASE, POD, SECRET, Kind, Object
from loopwright.cluster.refusals import Conflict, Forbidden, Invalid

__all__ = [
    "BUDGET",
    "CONFIG",
    "CRD",
    "DEPLOYMENT",
    "EVENT",
    "GATEWAY",
    "KINDS",
    "LEASE",
    "POD",
    "POD_MONITOR",
    "ROUTE",
    "RUNTIME",
    "SECRET",
    "SERVICE",
    "Cluster",
    "Conflict",
    "Forbidden",
    "Invalid",
    "Kind",
    "Object",
    "apply",
]

SERVICE = Kind("serving.kserve.io/v1beta1", "inferenceservices", "InferenceService")
RUNTIME = Kind("serving.kserve.io/v1alpha1", "servingruntimes", "ServingRuntime")
ROUTE = Kind("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute")
GATEWAY = Kind("gateway.networking.k8s.io/v1", "gateways", "Gateway")
POD_MONITOR = Kind("monitoring.coreos.com/v1", "podmonitors", "PodMonitor")

KINDS = {kind.name: kind for kind in (SERVICE, RUNTIME, ROUTE, CONFIG, BUDGET, POD_MONITOR)}


def apply(cluster: Cluster, content: Object, *, force: bool = False) -> Object:
    """Apply an object of one of these kinds. Raises Conflict naming the fields that another manager owns."""
    return cluster.apply(KINDS[content["kind"]], content, force=force)
