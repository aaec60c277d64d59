"""What each part may do is asked of the API server; the rules are those of the Roles that are installed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.doctor import permissions
from loopwright.rollout.kserve.cluster import Cluster

RBAC = Path(__file__).parents[3] / "manifests" / "components" / "rollouts" / "rbac.yaml"


def flat(rules: Any) -> set[tuple[str, str, str]]:
    return {(group, resource, verb) for group, resources, verbs in rules for resource in resources for verb in verbs}


@pytest.mark.parametrize(
    ("name", "rules"), [("loopwright-rollout", permissions.ROLLOUT), ("loopwright-trigger", permissions.TRIGGER)]
)
def test_the_rules_are_those_of_the_role_that_is_installed(name: str, rules: Any) -> None:
    roles = {one["metadata"]["name"]: one for one in yaml.safe_load_all(RBAC.read_text()) if one["kind"] == "Role"}
    installed = [
        (group, rule["resources"], rule["verbs"]) for rule in roles[name]["rules"] for group in rule["apiGroups"]
    ]
    assert flat(rules) <= flat(installed)
    if name == "loopwright-rollout":
        assert flat(rules) == flat(installed)


def test_a_missing_permission_is_told_with_its_rule(api: Any, cluster: Cluster) -> None:
    api.denied = {("create", "pods/log"), ("patch", "inferenceservices")}
    (found,) = permissions.own(cluster, "deploy", permissions.DEPLOY)
    assert found.state == "problem"
    assert found.text == "you may not patch inferenceservices in models"
    assert '{"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["patch"]}' in found.do
    assert {one["resourceAttributes"]["namespace"] for one in api.asked} == {"models"}


def test_a_subresource_is_asked_for_as_such(api: Any, cluster: Cluster) -> None:
    assert [one.state for one in permissions.own(cluster, "deploy", permissions.DEPLOY)] == ["ok"]
    asked = [(one["resourceAttributes"]["resource"], one["resourceAttributes"]["subresource"]) for one in api.asked]
    assert ("pods", "log") in asked
    assert "pods/log" not in {resource for resource, _ in asked}


def account(api: Any, component: str) -> None:
    labels = {"part-of": "loopwright", "component": component, "instance": "prices"}
    api.put(
        "serviceaccounts",
        f"prices-{component}",
        metadata={"labels": {f"app.kubernetes.io/{key}": value for key, value in labels.items()}},
    )


def test_a_service_account_whose_role_is_too_narrow_is_named(api: Any, cluster: Cluster) -> None:
    account(api, "rollout")
    account(api, "trigger")
    api.denied = {("patch", "inferenceservices/status")}
    found = {one.check: one for one in permissions.accounts(cluster)}
    assert found["service account prices-rollout"].text == "it may not patch inferenceservices/status in models"
    assert found["service account prices-trigger"].state == "ok"
    assert {one["user"] for one in api.asked} == {
        "system:serviceaccount:models:prices-rollout",
        "system:serviceaccount:models:prices-trigger",
    }


def test_a_trigger_without_rollouts_needs_nothing(api: Any, cluster: Cluster) -> None:
    account(api, "trigger")
    assert list(permissions.accounts(cluster)) == []


def test_who_may_not_ask_about_others_is_told_so(api: Any, cluster: Cluster) -> None:
    account(api, "rollout")
    api.refused["subjectaccessreviews"] = 403
    assert [one.state for one in permissions.accounts(cluster)] == ["note"]
