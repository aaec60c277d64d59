"""The way to a Kubernetes cluster: its API, and what Argo Workflows needs, for rollouts and for the engine `argo`."""

from typing import TYPE_CHECKING

from loopwright.errors import RolloutError

if TYPE_CHECKING:
    from loopwright.cluster.api import Cluster

_POD_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


def connect(namespace: str = "") -> "Cluster":
    """The cluster of the kubeconfig, or of the pod that this runs in; its namespace unless one is named.

    Raises RolloutError where there is neither.
    """
    from pathlib import Path

    from kubernetes import client, config

    from loopwright.cluster.api import Cluster

    settings = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)
        own = Path(_POD_NAMESPACE).read_text(encoding="utf-8").strip()
    except config.ConfigException:
        try:
            config.load_kube_config(client_configuration=settings)
            _, active = config.list_kube_config_contexts()
            own = active["context"].get("namespace", "default")
        except (config.ConfigException, OSError) as error:
            raise RolloutError(
                f"there is no cluster to talk to: {error}",
                expected="a kubeconfig (KUBECONFIG, or ~/.kube/config), or a pod's service account",
                do="see that `kubectl get namespaces` answers",
            ) from error
    # A request that fails is not tried again and again: the caller waits and says so.
    settings.retries = 2
    return Cluster(client.ApiClient(settings), namespace or own)
