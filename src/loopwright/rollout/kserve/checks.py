"""What a cluster must have before a loop is served on it: KServe with canary weights, the Gateway API, the Secret."""

from loopwright.errors import ServingError
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import CRD, GATEWAY, SECRET, Cluster, Forbidden

CANARY_SINCE = "0.21"
"""KServe's version since which the weights of `spec.canary` are put on the route; in 0.20.0 they are missing."""


def kserve(cluster: Cluster) -> None:
    """Raise ServingError where KServe is absent, or too old for a rollout.

    Without permission to read definitions nothing is said here; the first patch of `spec.canary` then shows it.
    """
    try:
        found = cluster.get(CRD, "inferenceservices.serving.kserve.io")
    except Forbidden:
        return
    if found is None:
        raise ServingError(
            "KServe is not installed: the cluster has no InferenceService",
            expected=f"KServe {CANARY_SINCE} or newer",
            do="install it: https://kserve.github.io/website/docs/getting-started",
        )
    schemas = {one["name"]: one.get("schema", {}).get("openAPIV3Schema", {}) for one in found["spec"]["versions"]}
    spec = schemas.get("v1beta1", {}).get("properties", {}).get("spec", {}).get("properties", {})
    if "canary" not in spec:
        raise ServingError(
            "the InferenceService of this cluster's KServe has no spec.canary: the weights of a rollout would be "
            "dropped without a word",
            expected=f"KServe {CANARY_SINCE} or newer",
            do="upgrade KServe and its definitions",
        )


def gateway_api(cluster: Cluster, loop: Loop) -> None:
    """Raise ServingError where routes could not be made, or would lead nowhere."""
    try:
        if cluster.get(CRD, "httproutes.gateway.networking.k8s.io") is None:
            raise ServingError(
                "the Gateway API is not installed: the cluster has no HTTPRoute",
                expected="the Gateway API, a controller of it, and `enableGatewayApi: true` in KServe's configuration",
                do="install it: https://gateway-api.sigs.k8s.io/guides/",
            )
    except Forbidden:
        pass
    namespace, _, name = loop.serving.gateway.partition("/")
    try:
        found = cluster.get(GATEWAY, name, namespace=namespace)
    except Forbidden:
        return
    if found is None:
        raise ServingError(
            f"there is no Gateway {name} in the namespace {namespace}",
            expected="the Gateway that KServe's configuration names as kserveIngressGateway",
            do="name it in loop.yaml as `serving.gateway: namespace/name`",
        )
    for condition in found.get("status", {}).get("conditions") or []:
        if condition["type"] == "Programmed" and condition["status"] != "True":
            raise ServingError(
                f"the Gateway {name} in the namespace {namespace} is not programmed: {condition.get('message', '')}",
                expected="a gateway controller that serves it",
                do=f"see `kubectl -n {namespace} describe gateway {name}`",
            )


def secret(cluster: Cluster, loop: Loop) -> None:
    """Raise ServingError where the pods' token is missing: their containers would not be made."""
    name = loop.serving.secret
    try:
        found = cluster.get(SECRET, name)
    except Forbidden:
        # Reading Secrets is much to ask for; the pods' events say it, too.
        return
    if found is None or "token" not in (found.get("data") or {}):
        what = "has no key `token`" if found is not None else "is missing"
        raise ServingError(
            f"the Secret {name} in the namespace {cluster.namespace} {what}",
            expected="the token that predictor, monitor and trigger share",
            do=f"make it: `kubectl -n {cluster.namespace} create secret generic {name} --from-literal=token=...`",
        )
