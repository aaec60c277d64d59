"""What holds for every pod of ours, however it is deployed."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright import __version__
from loopwright.loop import Loop, Rollout

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "serving"


def manifest(name: str) -> Any:
    return yaml.safe_load((SERVING / name).read_text())


def containers(helm: Any, kustomize: Any) -> list[Any]:
    trigger = [helm.template(), kustomize("overlays/kind"), kustomize("overlays/production")]
    found = [one["Deployment", "loopwright-trigger"]["spec"]["template"]["spec"]["containers"] for one in trigger]
    runtime, service = manifest("servingruntime.yaml"), manifest("inferenceservice.yaml")
    found += [runtime["spec"]["containers"], service["spec"]["predictor"]["containers"]]
    return [container for several in found for container in several]


def test_every_container_is_restricted_read_only_probed_and_bounded(helm: Any, kustomize: Any) -> None:
    every = containers(helm, kustomize)
    assert {one["name"] for one in every} == {"trigger", "kserve-container", "monitor"}
    for one in every:
        context = one["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert one["readinessProbe"]
        assert one["livenessProbe"]
        assert one["resources"]["requests"]
        assert one["resources"]["limits"]["memory"]
        assert any(mount["mountPath"] == "/tmp" for mount in one["volumeMounts"])


def test_a_rollout_s_pods_are_restricted_read_only_and_bounded(helm: Any, kustomize: Any) -> None:
    chart = helm.template("--set", "rollouts.enabled=true")["WorkflowTemplate", "loopwright-rollout"]
    for one in (chart, kustomize("overlays/production")["WorkflowTemplate", "loopwright-rollout"]):
        pod = one["spec"]["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        containers = [template["container"] for template in one["spec"]["templates"] if "container" in template]
        assert len(containers) == 3
        for container in containers:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]
            assert container["image"] == f"loopwright/trigger:{__version__}"


def test_the_pods_of_a_run_are_restricted_read_only_and_bounded_and_ask_the_cluster_for_nothing(helm: Any) -> None:
    objects = helm.template("--set", "engine=argo,persistence.enabled=true")
    spec = objects["WorkflowTemplate", "loopwright-training"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["ttlStrategy"]["secondsAfterCompletion"] > 0
    pods = [template for template in spec["templates"] if "container" in template]
    assert [pod["name"] for pod in pods] == ["prepare", "train", "judge", "record-end"]
    for pod in pods:
        container = pod["container"]
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["image"] == f"loopwright/component-python:{__version__}"
        assert pod["retryStrategy"]["limit"] == "3"
    role = objects["Role", "loopwright-training"]["rules"]
    assert [rule["resources"] for rule in role] == [["workflowtaskresults"]]


def test_a_rollout_may_change_weights_and_nothing_that_it_does_not_need(helm: Any) -> None:
    objects = helm.template("--set", "rollouts.enabled=true")
    role = objects["Role", "loopwright-rollout"]
    allowed = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert allowed["inferenceservices"] == {"get", "list", "watch", "patch"}
    assert "secrets" not in allowed
    assert not [resource for resource, verbs in allowed.items() if "*" in verbs or "*" in resource]
    assert ("ClusterRole", "loopwright-rollout") not in objects


def test_every_image_is_this_version_s(helm: Any, kustomize: Any) -> None:
    for one in containers(helm, kustomize):
        name = {"kserve-container": "predictor"}.get(one["name"], one["name"])
        assert one["image"] == f"loopwright/{name}:{__version__}"
        assert one["imagePullPolicy"] == "IfNotPresent"


def test_every_image_is_a_target_of_the_dockerfile() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for target in ("component", "predictor", "monitor", "trigger"):
        assert f" AS {target}\n" in text


def test_the_predictor_takes_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from loopwright.serving import __main__ as process

    runtime, service = manifest("servingruntime.yaml"), manifest("inferenceservice.yaml")
    # KServe puts the service's arguments after the runtime's.
    arguments = runtime["spec"]["containers"][0]["args"] + service["spec"]["predictor"]["model"]["args"]
    monkeypatch.setattr(sys, "argv", ["predictor", *arguments])
    options = process._arguments()
    assert (options.name, options.version, options.http_port) == ("churn", "1", 8080)
    assert str(options.bundle) == "/mnt/models"


def test_the_monitor_takes_the_arguments_and_the_declaration() -> None:
    from loopwright.monitor import __main__ as process

    monitor = manifest("inferenceservice.yaml")["spec"]["predictor"]["containers"][0]
    options = process._options(monitor["args"])
    runtime = manifest("servingruntime.yaml")["spec"]["containers"][0]
    assert f"--monitor=http://127.0.0.1:{options.port}" in runtime["args"]
    assert options.alerts == "http://loopwright-trigger:8080/v1/alerts"
    config = manifest("loop.yaml")
    volume = manifest("inferenceservice.yaml")["spec"]["predictor"]["volumes"][0]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert Loop.from_json(config["data"]["loop.json"]).name == "churn"


def test_predictor_monitor_and_trigger_have_the_token_of_one_secret() -> None:
    trigger = yaml.safe_load((ROOT / "manifests" / "base" / "deployment.yaml").read_text())
    every = [
        *manifest("servingruntime.yaml")["spec"]["containers"],
        *manifest("inferenceservice.yaml")["spec"]["predictor"]["containers"],
        *trigger["spec"]["template"]["spec"]["containers"],
    ]
    assert [one["name"] for one in every] == ["kserve-container", "monitor", "trigger"]
    for one in every:
        variables = {variable["name"]: variable for variable in one["env"]}
        # Not optional: a pod without it waits for the Secret and says so.
        assert variables["LOOPWRIGHT_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "loopwright", "key": "token"}}


def test_the_canary_goes_up_by_the_default_steps_and_is_one_version_throughout() -> None:
    steps = [
        manifest(f"canary/{path.name}")["spec"]["canary"][0] for path in sorted(SERVING.glob("canary/[1-5]*.yaml"))
    ]
    assert [step["trafficPercent"] for step in steps] == [0, *Rollout().steps]
    back = manifest("canary/80-roll-back.yaml")["spec"]["canary"][0]
    assert back == steps[0]
    assert {str(step["predictor"]) for step in steps} == {str(back["predictor"])}
    # Without this there is no pod to become ready at 0 %.
    assert back["predictor"]["minReplicas"] == 1


def test_promotion_makes_the_canary_the_predictor_under_its_own_name() -> None:
    canary = manifest("canary/50-shift-100.yaml")["spec"]["canary"][0]["predictor"]
    promoted = manifest("canary/60-promote.yaml")["spec"]
    assert promoted["canary"] is None
    assert promoted["predictor"]["name"] == canary["name"]
    assert promoted["predictor"]["model"] == canary["model"]
    stable = manifest("inferenceservice.yaml")["spec"]["predictor"]
    assert set(canary["model"]) == set(stable["model"])
    differ = {key for key, value in canary["model"].items() if stable["model"][key] != value}
    assert differ == {"storageUri", "args"}
