from typing import Any

import pytest

from loopwright.errors import ServingError
from loopwright.loop import Loop
from loopwright.rollout.kserve import checks
from loopwright.rollout.kserve.cluster import Cluster


def definition(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": spec}}}}
    return {"metadata": {"name": name}, "spec": {"versions": [{"name": "v1beta1", "schema": schema}]}}


KSERVE = "inferenceservices.serving.kserve.io"


def test_a_cluster_without_kserve_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ServingError, match="KServe is not installed"):
        checks.kserve(cluster)


def test_kserve_without_canaries_is_too_old(api: Any, cluster: Cluster) -> None:
    api.put("customresourcedefinitions", definition(KSERVE, {"predictor": {}}))
    with pytest.raises(
        ServingError, match=r"no spec\.canary: the weights of a rollout would be dropped .* KServe 0\.21"
    ):
        checks.kserve(cluster)
    api.put("customresourcedefinitions", definition(KSERVE, {"predictor": {}, "canary": {}}))
    checks.kserve(cluster)


def test_who_may_not_read_definitions_is_not_stopped(api: Any, cluster: Cluster) -> None:
    api.errors["GET", "customresourcedefinitions"] = 403, "no"
    checks.kserve(cluster)


def test_no_gateway_api_and_no_gateway_are_told_apart(api: Any, cluster: Cluster, churn_loop: Loop) -> None:
    with pytest.raises(ServingError, match="the Gateway API is not installed"):
        checks.gateway_api(cluster, churn_loop)
    api.put("customresourcedefinitions", definition("httproutes.gateway.networking.k8s.io", {}))
    with pytest.raises(ServingError, match="there is no Gateway kserve-ingress-gateway in the namespace kserve"):
        checks.gateway_api(cluster, churn_loop)
    gateway: dict[str, Any] = {"metadata": {"name": "kserve-ingress-gateway"}}
    conditions = [{"type": "Programmed", "status": "False", "message": "no addresses"}]
    api.put("gateways", gateway | {"status": {"conditions": conditions}})
    with pytest.raises(ServingError, match="is not programmed: no addresses"):
        checks.gateway_api(cluster, churn_loop)
    api.put("gateways", gateway)
    checks.gateway_api(cluster, churn_loop)


def test_the_secret_needs_its_key(api: Any, cluster: Cluster, churn_loop: Loop) -> None:
    with pytest.raises(ServingError, match="the Secret loopwright in the namespace models is missing"):
        checks.secret(cluster, churn_loop)
    api.put("secrets", {"metadata": {"name": "loopwright"}, "data": {"password": "eA=="}})
    with pytest.raises(ServingError, match="has no key `token`"):
        checks.secret(cluster, churn_loop)
    api.put("secrets", {"metadata": {"name": "loopwright"}, "data": {"token": "eA=="}})
    checks.secret(cluster, churn_loop)
