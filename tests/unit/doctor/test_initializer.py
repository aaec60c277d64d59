import json
from typing import Any

import pytest

from loopwright.doctor import initializer
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Cluster

CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture
def bucket(churn: Loop) -> Loop:
    serving = churn.serving.model_copy(update={"models": "s3://models/churn"})
    return churn.model_copy(update={"serving": serving})


def container(api: Any, name: str = "default", prefix: str = "s3://", context: Any = None, **more: Any) -> None:
    inner = {"name": "storage-initializer"} | ({} if context is None else {"securityContext": context})
    spec = {"container": inner, "supportedUriFormats": [{"prefix": "gs://"}, {"prefix": prefix}]}
    top = {"disabled": more.pop("disabled")} if "disabled" in more else {}
    api.put("clusterstoragecontainers", name, spec=spec | more, **top)


def restrict(api: Any, level: str = "restricted") -> None:
    api.put("namespaces", "models", metadata={"labels": {"pod-security.kubernetes.io/enforce": level}})


def test_models_on_a_claim_are_copied_by_nobody(api: Any, cluster: Cluster, churn: Loop) -> None:
    restrict(api)
    container(api)
    assert list(initializer.initializer(cluster, churn)) == []


def test_kserve_s_default_is_a_problem_in_a_restricted_namespace_with_the_command_that_mends_it(
    api: Any, cluster: Cluster, bucket: Loop
) -> None:
    restrict(api)
    container(api)
    (found,) = initializer.initializer(cluster, bucket)
    assert found.state == "problem"
    assert "default does not meet `restricted` (allowPrivilegeEscalation, capabilities)" in found.text
    command, _, patch = found.do.partition(" -p ")
    assert command.endswith("`kubectl patch clusterstoragecontainer default --type merge")
    assert json.loads(patch.strip("'`")) == {"spec": {"container": {"securityContext": CONFINED}}}


def test_one_with_a_security_context_is_well_and_so_is_a_namespace_that_does_not_ask_for_it(
    api: Any, cluster: Cluster, bucket: Loop
) -> None:
    restrict(api)
    container(api, context=CONFINED)
    assert [one.state for one in initializer.initializer(cluster, bucket)] == ["ok"]
    api.objects.clear()
    restrict(api, "baseline")
    container(api)
    assert [one.state for one in initializer.initializer(cluster, bucket)] == ["ok"]


def test_the_one_that_kserve_takes_is_looked_at_and_no_other(api: Any, cluster: Cluster, bucket: Loop) -> None:
    restrict(api)
    container(api, "off", disabled=True)
    container(api, "for-a-job", workloadType="localModelDownloadJob")
    container(api, "elsewhere", prefix="hf://")
    (found,) = initializer.initializer(cluster, bucket)
    assert found.state == "problem"
    assert "no ClusterStorageContainer is for s3://models/churn" in found.text
    container(api, "ours", context=CONFINED)
    (found,) = initializer.initializer(cluster, bucket)
    assert (found.state, "ours" in found.text) == ("ok", True)


@pytest.mark.parametrize(
    ("context", "patch"),
    [
        ({"runAsUser": 0}, {"runAsUser": None}),
        ({"runAsNonRoot": False}, {"runAsNonRoot": None}),
        ({"privileged": True}, {"privileged": None}),
        ({"seccompProfile": {"type": "Unconfined"}}, {"seccompProfile": None}),
        (
            {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}},
            {"capabilities": {"drop": ["ALL"], "add": None}},
        ),
        ({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "runAsUser": 1000}, {}),
    ],
)
def test_what_restricted_does_not_allow_is_patched_away(context: dict[str, Any], patch: dict[str, Any]) -> None:
    assert initializer.lacks(CONFINED | context) == patch


def test_what_may_not_be_looked_at_is_a_note(api: Any, cluster: Cluster, bucket: Loop) -> None:
    api.refused["clusterstoragecontainers"] = 403
    assert [one.state for one in initializer.initializer(cluster, bucket)] == ["note"]
