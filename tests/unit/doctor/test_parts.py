import json
from typing import Any

import pytest

from loopwright.doctor import parts
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Cluster

KSERVE = "inferenceservices.serving.kserve.io"
ROUTE = "httproutes.gateway.networking.k8s.io"
GOOD = {
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {"enableGatewayApi": True, "kserveIngressGateway": "envoy/main", "ingressDomain": "models.example.org"},
}


def definition(api: Any, name: str, spec: dict[str, Any]) -> None:
    schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": spec}}}}
    api.put("customresourcedefinitions", name, spec={"versions": [{"name": "v1beta1", "schema": schema}]})


def configuration(api: Any, **changed: Any) -> None:
    sections = {name: json.dumps(section | changed.get(name, {})) for name, section in GOOD.items()}
    api.put("configmaps", "inferenceservice-config", data=sections)


def test_missing_definitions_are_told_with_what_to_install(api: Any, cluster: Cluster, churn: Loop) -> None:
    (kserve,) = parts.kserve(cluster, churn)
    assert (kserve.state, kserve.do) == ("problem", "install it: https://kserve.github.io/website/docs/getting-started")
    (gateway,) = parts.gateway(cluster, churn)
    assert gateway.state == "problem"
    assert "the Gateway API is not installed" in gateway.text
    assert [one.state for one in parts.argo(cluster)] == ["note"], "not everybody needs it"
    assert [one.state for one in parts.operator(cluster)] == ["note"]


def test_a_kserve_that_drops_the_weights_is_a_problem(api: Any, cluster: Cluster, churn: Loop) -> None:
    definition(api, KSERVE, {"predictor": {}})
    (found,) = parts.kserve(cluster, churn)
    assert found.state == "problem"
    assert "no spec.canary" in found.text


def test_kserve_configured_as_the_loop_says_is_well(api: Any, cluster: Cluster, churn: Loop) -> None:
    definition(api, KSERVE, {"canary": {}})
    configuration(api)
    assert {one.state for one in parts.kserve(cluster, churn)} == {"ok"}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("deploy", "defaultDeploymentMode", "Knative"),
        ("ingress", "enableGatewayApi", False),
        ("ingress", "kserveIngressGateway", "kserve/kserve-ingress-gateway"),
        ("ingress", "ingressDomain", "example.com"),
    ],
)
def test_what_kserve_is_configured_otherwise_is_named(
    api: Any, cluster: Cluster, churn: Loop, section: str, key: str, value: Any
) -> None:
    definition(api, KSERVE, {"canary": {}})
    configuration(api, **{section: {key: value}})
    (found,) = [one for one in parts.kserve(cluster, churn) if one.state == "problem"]
    assert f"{section}.{key} is {json.dumps(value)}; expected" in found.text
    assert found.do


def test_a_configuration_that_is_no_json_is_a_problem(api: Any, cluster: Cluster, churn: Loop) -> None:
    definition(api, KSERVE, {"canary": {}})
    api.put("configmaps", "inferenceservice-config", data={"deploy": "{"})
    assert [one.state for one in parts.kserve(cluster, churn)] == ["ok", "problem"]


def test_a_gateway_that_nobody_serves_is_a_problem(api: Any, cluster: Cluster, churn: Loop) -> None:
    definition(api, ROUTE, {})
    texts = [(one.state, one.text) for one in parts.gateway(cluster, churn)]
    assert texts[0] == ("problem", "no GatewayClass is accepted: nobody serves Gateways")
    assert texts[1][0] == "problem"
    assert "there is no Gateway main in the namespace envoy" in texts[1][1]
    api.put("gatewayclasses", "envoy", status={"conditions": [{"type": "Accepted", "status": "True"}]})
    api.put("gateways", "main", status={"conditions": [{"type": "Programmed", "status": "True"}]})
    assert [one.state for one in parts.gateway(cluster, churn)] == ["ok", "ok"]


def test_half_of_a_part_s_definitions_is_a_warning(api: Any, cluster: Cluster) -> None:
    for plural in ("workflows", "workflowtemplates"):
        definition(api, f"{plural}.argoproj.io", {})
    (found,) = parts.argo(cluster)
    assert found.state == "warning"
    assert "cronworkflows, workflowtaskresults" in found.text


def test_what_may_not_be_looked_at_is_a_note(api: Any, cluster: Cluster, churn: Loop) -> None:
    api.refused["customresourcedefinitions"] = 403
    api.refused["configmaps"] = 403
    assert {one.state for one in parts.kserve(cluster, churn)} == {"note"}
    assert {one.state for one in parts.argo(cluster)} == {"note"}
