"""Objects of the Kubernetes API as dictionaries, and the kinds that are read and written here.

Custom resources have no classes in the official client, so the others have none here either.
"""

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


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
