"""The kustomizations: the same trigger as the chart's, and no field that kustomize has deprecated."""

import copy
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUSTOMIZATIONS = sorted((ROOT / "manifests").rglob("kustomization.yaml"))
HASH = re.compile(r"-[a-z0-9]{10}$")


def in_order(each: Any) -> str:
    return json.dumps(each, sort_keys=True)


def normal(objects: Any) -> Any:
    """What is left when what is Helm's or kustomize's own way is taken away."""
    found = {}
    for (kind, name), one in copy.deepcopy(objects).items():
        name = HASH.sub("", name) if kind == "ConfigMap" else name
        metadata = one["metadata"]
        metadata["name"] = name
        metadata.pop("namespace", None)
        for label in ("app.kubernetes.io/managed-by", "helm.sh/chart"):
            metadata["labels"].pop(label, None)
        if kind == "Secret":
            # The passwords are made up by Helm, and for trying out only in the component.
            one["data"] = sorted(one["data"])
        if kind in ("Secret", "PersistentVolumeClaim"):
            metadata.get("annotations", {}).pop("helm.sh/resource-policy", None)
            metadata.pop("annotations", None) if not metadata.get("annotations") else None
        if kind in ("Deployment", "CronJob"):
            spec = one["spec"] if kind == "Deployment" else one["spec"]["jobTemplate"]["spec"]
            template = spec["template"]
            # The chart restarts the pod by a checksum, kustomize by the ConfigMap's name.
            template["metadata"].pop("annotations", None)
            for volume in template["spec"]["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["name"] = HASH.sub("", volume["configMap"]["name"])
            for container in template["spec"]["containers"]:
                # The order of variables and mounts says nothing.
                for listed in ("env", "volumeMounts"):
                    container.get(listed, []).sort(key=in_order)
            template["spec"]["volumes"].sort(key=in_order)
        if kind == "WorkflowTemplate":
            for label in ("app.kubernetes.io/managed-by", "helm.sh/chart"):
                one["spec"]["podMetadata"]["labels"].pop(label, None)
            config = one["spec"]["volumes"][0].get("configMap")
            if config:
                config["name"] = HASH.sub("", config["name"])
        found[kind, name] = one
    return found


def test_chart_and_base_are_the_same_trigger(helm: Any, kustomize: Any) -> None:
    chart = normal(helm.template())
    # Only Helm can make a token up; the base expects the Secret to be there.
    del chart["Secret", "loopwright"]
    assert chart == normal(kustomize("base"))


def test_chart_and_components_are_the_same(helm: Any, kustomize: Any) -> None:
    values = "networkPolicy.enabled=true,persistence.enabled=true,data.existingClaim=loopwright-data"
    values += ",rollouts.enabled=true"
    chart = normal(helm.template("--set", values))
    base = normal(kustomize("overlays/production"))
    assert chart["NetworkPolicy", "loopwright-trigger"] == base["NetworkPolicy", "loopwright-trigger"]
    for kind in ("WorkflowTemplate", "Role", "RoleBinding", "ServiceAccount"):
        assert chart[kind, "loopwright-rollout"] == base[kind, "loopwright-rollout"]
    claim = chart["PersistentVolumeClaim", "loopwright-state"]
    assert claim == base["PersistentVolumeClaim", "loopwright-state"]

    def by_name(objects: Any, what: str) -> Any:
        spec = objects["Deployment", "loopwright-trigger"]["spec"]["template"]["spec"]
        listed = spec["volumes"] if what == "volumes" else spec["containers"][0][what]
        return sorted(listed, key=lambda one: (one["name"], one.get("mountPath", "")))

    for kind in ("Role", "RoleBinding"):
        assert chart[kind, "loopwright-trigger"] == base[kind, "loopwright-trigger"]
    for what in ("volumes", "volumeMounts", "env"):
        assert by_name(chart, what) == by_name(base, what)


@pytest.mark.parametrize("overlay", ["kind", "production"])
def test_an_overlay_has_every_object_once_and_what_its_pod_needs(kustomize: Any, overlay: str) -> None:
    objects = kustomize(f"overlays/{overlay}")
    spec = objects["Deployment", "loopwright-trigger"]["spec"]["template"]["spec"]
    volumes = list(spec["volumes"])
    for (kind, _), one in objects.items():
        volumes += one["spec"]["volumes"] if kind == "WorkflowTemplate" else []
    configs = {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
    assert configs == {name for kind, name in objects if kind == "ConfigMap"}
    mounted = [volume["persistentVolumeClaim"] for volume in volumes if "persistentVolumeClaim" in volume]
    claims = {claim["claimName"] for claim in mounted}
    there = {name for kind, name in objects if kind == "PersistentVolumeClaim"}
    # In production the rows are on a claim of the user's, as the overlay says.
    assert claims - there == ({"loopwright-data"} if overlay == "production" else set())


def test_the_kind_overlay_is_for_a_restricted_namespace(kustomize: Any) -> None:
    namespace = kustomize("overlays/kind")["Namespace", "loopwright"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_only_current_fields_are_used(path: Any) -> None:
    fields = set(yaml.safe_load(path.read_text()))
    known = {"apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "secretGenerator"}
    assert fields <= known | {"labels", "patches", "configurations"}


# For people who have Grafana's sidecar or Prometheus' operator, or want the jobs, or runs in pods of their own, or have
# no services of their own.
OPTIONAL = {"dashboards", "prometheus-rules", "prometheus-operator", "jobs", "builtin", "training-argo", "training-kfp"}


def test_every_component_is_used_by_an_overlay_or_is_for_who_has_more() -> None:
    used = {name for path in KUSTOMIZATIONS for name in yaml.safe_load(path.read_text()).get("components", [])}
    folders = {path.name for path in (ROOT / "manifests" / "components").iterdir()}
    assert {name.rsplit("/", 1)[1] for name in used} | OPTIONAL == folders


def test_chart_and_component_have_the_dashboards_for_grafana_s_sidecar(helm: Any, kubectl: str, tmp_path: Path) -> None:
    chart = helm.template("--set", "dashboards.enabled=true")["ConfigMap", "loopwright-dashboards"]
    files = {f"loopwright-{path.name}": path.read_text() for path in (ROOT / "dashboards").glob("*.json")}
    assert files
    component = os.path.relpath(ROOT / "manifests" / "components" / "dashboards", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(f"components: [{component}]\n")
    answer = subprocess.run([kubectl, "kustomize", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    for one in (chart, yaml.safe_load(answer.stdout)):
        assert one["data"] == files
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert len(json.dumps(one)) < 2**20, "the API server takes no object above a megabyte"
    assert ("ConfigMap", "loopwright-dashboards") not in helm.template()


COMBINATIONS = {
    "engine=argo,persistence.enabled=true,data.existingClaim=loopwright-data": ["persistence", "data", "training-argo"],
    "networkPolicy.enabled=true": ["network-policy"],
    "engine=kfp,kfp.secret=loopwright-steps,existingSecret=loopwright": ["training-kfp"],
    "serviceMonitor.enabled=true,podMonitor.enabled=true": ["prometheus-operator"],
    "persistence.enabled=true,jobs.report.enabled=true,jobs.labels.enabled=true,"
    "jobs.labels.source=data/outcomes.parquet": ["persistence", "jobs"],
    "builtin.enabled=true,persistence.enabled=true,networkPolicy.enabled=true,jobs.report.enabled=true,"
    "jobs.labels.enabled=true,jobs.labels.source=data/outcomes.parquet": [
        *("persistence", "jobs", "network-policy", "builtin")
    ],
    "engine=argo,persistence.enabled=true,data.existingClaim=loopwright-data,builtin.enabled=true,"
    "networkPolicy.enabled=true": [*("persistence", "data", "training-argo", "network-policy", "builtin")],
}


def together(kubectl: str, folder: Path, components: list[str]) -> dict[tuple[str, str], Any]:
    """The objects of the base with these components, in their order."""
    to = {name: os.path.relpath(ROOT / "manifests" / name, folder) for name in ("base", "components")}
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [to["base"]],
        "components": [f"{to['components']}/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own))
    answer = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(answer.stdout)}


@pytest.mark.parametrize("values", COMBINATIONS)
def test_chart_and_components_together_make_the_same_objects(
    helm: Any, kubectl: str, tmp_path: Path, values: str
) -> None:
    chart = normal(helm.template("--set", values))
    chart.pop(("Secret", "loopwright"), None)
    made = normal(together(kubectl, tmp_path, COMBINATIONS[values]))
    assert set(chart) == set(made)
    for key, one in chart.items():
        assert made[key] == one, key


def test_pods_of_rollouts_and_runs_have_the_built_in_stores_in_chart_and_components(
    helm: Any, kubectl: str, tmp_path: Path
) -> None:
    values = (
        "engine=argo,persistence.enabled=true,builtin.enabled=true,rollouts.enabled=true,networkPolicy.enabled=true"
    )
    components = ["persistence", "training-argo", "rollouts", "network-policy", "builtin"]
    chart, made = helm.template("--set", values), together(kubectl, tmp_path, components)
    for name in ("loopwright-training", "loopwright-rollout"):
        env = [
            {one["name"]: one["container"]["env"] for one in objects["spec"]["templates"] if "container" in one}
            for objects in (chart["WorkflowTemplate", name], made["WorkflowTemplate", name])
        ]
        assert env[0] == env[1]
        for listed in env[1].values():
            of = {one["name"]: one for one in listed}
            assert of["LOOPWRIGHT_LEDGER_URL"]["valueFrom"]["secretKeyRef"]["name"] == "loopwright-postgresql"
            assert of["AWS_ENDPOINT_URL"]["value"] == "http://loopwright-object-store:9000"


def test_chart_and_component_have_the_same_rules(helm: Any, kubectl: str, tmp_path: Path) -> None:
    chart = helm.template("--set", "prometheusRule.enabled=true,prometheusRule.labels.release=stack")
    component = os.path.relpath(ROOT / "manifests" / "components" / "prometheus-rules", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(f"components: [{component}]\n")
    answer = subprocess.run([kubectl, "kustomize", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    rules = chart["PrometheusRule", "loopwright"]
    assert rules["spec"] == yaml.safe_load(answer.stdout)["spec"]
    assert rules["metadata"]["labels"]["release"] == "stack"
