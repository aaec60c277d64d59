from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.doctor import cluster as itself
from loopwright.doctor.findings import collect
from loopwright.rollout.kserve.cluster import Cluster

NOW = datetime(2026, 11, 21, 12, 0, 30, 400_000, tzinfo=UTC)


def now() -> datetime:
    return NOW


def states(findings: Any) -> dict[str, str]:
    return {one.check: one.state for one in findings}


@pytest.mark.parametrize(("version", "state"), [("v1.28.15", "problem"), ("v1.29.0", "ok"), ("v1.34.1+k3s1", "ok")])
def test_a_kubernetes_that_the_chart_does_not_take_is_a_problem(
    api: Any, cluster: Cluster, version: str, state: str
) -> None:
    api.version, api.now = version, NOW
    assert states(itself.server(cluster, now))["kubernetes"] == state


@pytest.mark.parametrize(
    ("seconds", "state"), [(-61, "problem"), (-7, "problem"), (-4, "ok"), (0, "ok"), (7, "problem")]
)
def test_a_clock_that_is_off_either_way_is_a_problem(api: Any, cluster: Cluster, seconds: int, state: str) -> None:
    # The header has whole seconds.
    api.now = (NOW + timedelta(seconds=seconds)).replace(microsecond=0)
    assert states(itself.server(cluster, now))["clock"] == state


def node(api: Any, name: str, ready: str, renewed: datetime) -> None:
    api.put("nodes", name, status={"conditions": [{"type": "Ready", "status": ready}]}, spec={})
    api.put("leases", name, spec={"renewTime": renewed.isoformat().replace("+00:00", "Z")})


def test_nodes_that_are_not_ready_are_told_and_none_at_all_is_a_problem(api: Any, cluster: Cluster) -> None:
    node(api, "one", "False", NOW)
    assert states(itself.nodes(cluster, now)) == {"nodes": "problem"}
    node(api, "two", "True", NOW - timedelta(seconds=9))
    found = list(itself.nodes(cluster, now))
    assert (found[0].state, found[0].text) == ("warning", "1 of 2 nodes are ready and take pods")
    assert found[1].state == "ok"


@pytest.mark.parametrize("seconds", [-300, 30])
def test_a_node_whose_clock_is_off_is_named(api: Any, cluster: Cluster, seconds: int) -> None:
    node(api, "one", "True", NOW + timedelta(seconds=seconds))
    assert states(itself.nodes(cluster, now)) == {"nodes": "ok", "clock of one": "problem"}


def test_without_a_default_storage_class_it_says_which_there_are(api: Any, cluster: Cluster) -> None:
    (found,) = itself.storage(cluster)
    assert found.state == "warning"
    assert "there is none at all" in found.text
    api.put("storageclasses", "fast")
    (found,) = itself.storage(cluster)
    assert "there are fast" in found.text
    assert "persistence.storageClassName" in found.do
    api.put("storageclasses", "slow", metadata={"annotations": {itself.DEFAULT: "true"}})
    assert [one.text for one in itself.storage(cluster)] == ["slow is the default"]


def test_a_namespace_that_is_not_there_is_a_problem_and_one_not_to_be_seen_is_none(api: Any, cluster: Cluster) -> None:
    (found,) = itself.namespace(cluster)
    assert found.state == "problem"
    assert "kubectl create namespace models" in found.do
    api.refused["namespaces"] = 403
    assert states(itself.namespace(cluster)) == {"namespace": "note"}
    del api.refused["namespaces"]
    api.put("namespaces", "models", metadata={"labels": {"pod-security.kubernetes.io/enforce": "restricted"}})
    (found,) = itself.namespace(cluster)
    assert "enforces the pod security standard restricted" in found.text


def test_what_may_not_be_looked_at_is_a_note_and_an_unknown_caller_a_problem(api: Any, cluster: Cluster) -> None:
    api.refused = {"storageclasses": 403, "nodes": 401}
    checks = [("storage", lambda: itself.storage(cluster)), ("nodes", lambda: itself.nodes(cluster, now))]
    assert states(collect(checks)) == {"storage": "note", "nodes": "problem"}


def test_the_oldest_kubernetes_is_the_chart_s() -> None:
    chart = yaml.safe_load((Path(__file__).parents[3] / "helm" / "loopwright" / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={itself.SINCE[0]}.{itself.SINCE[1]}.0-0"
