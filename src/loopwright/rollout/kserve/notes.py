"""What a rollout writes down on the cluster: a ConfigMap beside the InferenceService.

Not annotations of the InferenceService: KServe copies those to its pods' template, so that each would restart every
pod (tried: docs/kserve.md). `status.annotations` are safe, and hold the last verdict for people to read.
"""

from loopwright.rollout.kserve.cluster import CONFIG, SERVICE, Cluster, Conflict, Object
from loopwright.rollout.kserve.routes import owner

RETRIES = 10


class Notes:
    """The keys and texts of one loop's ConfigMap."""

    def __init__(self, loop: str, cluster: Cluster) -> None:
        self._loop, self._cluster, self.name = loop, cluster, f"{loop}-rollout"

    def read(self) -> dict[str, str]:
        """All that is written down."""
        found = self._cluster.get(CONFIG, self.name)
        return {} if found is None else dict(found.get("data") or {})

    def write(self, **values: str | None) -> None:
        """Write some keys, and remove those that are None. What another process writes meanwhile stays."""
        found = self._cluster.get(CONFIG, self.name)
        if found is not None:
            known = found.get("data") or {}
            if any(known.get(key) != value for key, value in values.items()):
                self._cluster.patch(CONFIG, self.name, {"data": values})
            return
        texts = {key: value for key, value in values.items() if value is not None}
        if not texts:
            return
        content: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name}, "data": texts}
        service = self._cluster.get(SERVICE, self._loop)
        if service is not None:
            content["metadata"]["ownerReferences"] = [owner(service)]
        try:
            self._cluster.create(CONFIG, content)
        except Conflict:
            self._cluster.patch(CONFIG, self.name, {"data": values})
