from typing import Any

import pytest

from loopwright.errors import RolloutError, ServingError
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Cluster
from loopwright.rollout.kserve.deploy import deploy
from loopwright.serving.resources import service


@pytest.fixture
def ready_cluster(api: Any, cluster: Cluster) -> Cluster:
    """A cluster with KServe, the Gateway API, a gateway and the Secret."""
    schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": {"canary": {}}}}}}
    for name in ("inferenceservices.serving.kserve.io", "httproutes.gateway.networking.k8s.io"):
        versions = [{"name": "v1beta1", "schema": schema}]
        api.put("customresourcedefinitions", {"metadata": {"name": name}, "spec": {"versions": versions}})
    api.put("gateways", {"metadata": {"name": "kserve-ingress-gateway"}})
    api.put("secrets", {"metadata": {"name": "loopwright"}, "data": {"token": "eA=="}})
    return cluster


def deployed(loop: Loop, cluster: Cluster, said: list[str], **more: Any) -> str:
    return deploy(loop, 1, "d1", cluster, said.append, timeout_s=0, pause=lambda seconds: None, **more)


def test_it_applies_everything_and_says_why_it_waits(api: Any, ready_cluster: Cluster, churn_loop: Loop) -> None:
    said: list[str] = []
    with pytest.raises(ServingError, match="version 1 of churn was not ready within 0 s: it has no pods"):
        deployed(churn_loop, ready_cluster, said)
    assert [one.split(" (")[0] for one in said] == [
        "applied ServingRuntime loopwright-churn",
        "applied ConfigMap churn-loop",
        "applied InferenceService churn",
        "it has no pods",
    ]


def test_another_version_that_serves_is_not_replaced_at_once(
    api: Any, ready_cluster: Cluster, churn_loop: Loop
) -> None:
    api.put("inferenceservices", service.inference_service(churn_loop, 2))
    with pytest.raises(RolloutError, match="version 2 of churn serves; expected version 1 to take its place judged"):
        deployed(churn_loop, ready_cluster, [])


def test_nothing_is_applied_into_a_rollout(api: Any, ready_cluster: Cluster, churn_loop: Loop) -> None:
    found = service.inference_service(churn_loop, 1)
    found["spec"]["canary"] = [service.canary(churn_loop, 2, 5)]
    api.put("inferenceservices", found)
    with pytest.raises(RolloutError, match="version 2 of churn is beside version 1"):
        deployed(churn_loop, ready_cluster, [])


def test_somebody_else_s_fields_are_named_and_not_overwritten(
    api: Any, ready_cluster: Cluster, churn_loop: Loop
) -> None:
    api.errors["PATCH", "servingruntimes"] = 409, 'conflict with "kubectl-edit" using v1alpha1: .spec.containers'
    with pytest.raises(RolloutError, match=r'conflict with "kubectl-edit".*overwrite it with `--force`'):
        deployed(churn_loop, ready_cluster, [])


def test_without_a_permission_nothing_is_done(api: Any, ready_cluster: Cluster, churn_loop: Loop) -> None:
    api.errors["PATCH", "servingruntimes"] = 403, "no"
    with pytest.raises(RolloutError, match='"resources": \\["servingruntimes"\\], "verbs": \\["patch"\\]'):
        deployed(churn_loop, ready_cluster, [])
