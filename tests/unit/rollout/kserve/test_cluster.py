from typing import Any

import pytest

from loopwright.errors import LoopwrightError
from loopwright.rollout.gateway import GatewayLost
from loopwright.rollout.kserve.cluster import CONFIG, CRD, SERVICE, Cluster, Conflict, Forbidden, Invalid


def test_a_missing_permission_names_its_rule(api: Any, cluster: Cluster) -> None:
    api.errors["PATCH", "inferenceservices"] = 403, 'User "ada" cannot patch resource'
    with pytest.raises(Forbidden) as caught:
        cluster.patch(SERVICE, "churn", {})
    assert str(caught.value) == (
        'no permission to patch inferenceservices churn in the namespace models: User "ada" cannot patch resource; '
        'expected a Role with this rule: {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], '
        '"verbs": ["patch"]}. Ask who looks after the cluster to add it; docs/kserve.md has all that is needed'
    )


def test_what_is_not_in_a_namespace_needs_a_cluster_role(api: Any, cluster: Cluster) -> None:
    api.errors["GET", "customresourcedefinitions"] = 403, "no"
    with pytest.raises(Forbidden, match="expected a ClusterRole"):
        cluster.get(CRD, "inferenceservices.serving.kserve.io")


def test_a_subresource_has_a_rule_of_its_own(api: Any, cluster: Cluster) -> None:
    api.errors["PATCH", "inferenceservices"] = 403, "no"
    with pytest.raises(Forbidden, match="inferenceservices/status"):
        cluster.patch(SERVICE, "churn", {}, sub="status")


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "Unauthorized", Forbidden),
        (403, 'admission webhook "x" denied the request: canary weights', Invalid),
        (409, "the object has been modified", Conflict),
        (422, "trafficPercent: Invalid value: 101", Invalid),
        (500, 'failed calling webhook "inferenceservice.kserve-webhook-server.defaulter"', GatewayLost),
        (503, "etcd is away", GatewayLost),
    ],
)
def test_each_refusal_is_an_error_of_its_own(
    api: Any, cluster: Cluster, status: int, message: str, kind: type[LoopwrightError]
) -> None:
    api.errors["PATCH", "inferenceservices"] = status, message
    with pytest.raises(kind) as caught:
        cluster.patch(SERVICE, "churn", {})
    assert type(caught.value) is kind
    if status != 401:
        assert message in str(caught.value)


def test_what_is_not_there_is_nothing(cluster: Cluster) -> None:
    assert cluster.get(CONFIG, "churn-rollout") is None
    assert cluster.list(CONFIG) == []
    cluster.delete(CONFIG, "churn-rollout")


def test_a_service_that_is_gone_cannot_be_patched(cluster: Cluster) -> None:
    with pytest.raises(GatewayLost, match="there is no InferenceService churn in the namespace models"):
        cluster.patch(SERVICE, "churn", {})


def test_an_api_server_that_is_away_is_said(api: Any, cluster: Cluster) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    api.call_api = away
    with pytest.raises(GatewayLost, match="cannot be reached"):
        cluster.get(SERVICE, "churn")
