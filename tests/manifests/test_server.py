"""A real API server accepts what is rendered. Nothing is created."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVING = ["servingruntime.yaml", "inferenceservice.yaml", "loop.yaml"]


@pytest.fixture(scope="module")
def server(kubectl: str) -> str:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set")
    return kubectl


@pytest.fixture(scope="module")
def namespace(server: str) -> Iterator[str]:
    """A namespace that refuses pods which are not restricted, in words: the Deployment's own check only warns."""
    name = f"loopwright-dry-run-{time.time_ns() % 10**8}"
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    assert apply(server, yaml.safe_dump(body)).returncode == 0
    yield name
    subprocess.run([server, "delete", "namespace", name, "--wait=false"], capture_output=True, timeout=60, check=True)


def apply(kubectl: str, text: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [kubectl, "apply", "--server-side", *arguments, "-f", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


def has(kubectl: str, plural: str) -> bool:
    """Whether the cluster has Argo's resource of this name."""
    command = [kubectl, "get", "crd", f"{plural}.argoproj.io"]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def dry_run(kubectl: str, namespace: str, objects: Any) -> None:
    left_out = {"Namespace", "PersistentVolume", "ServiceMonitor", "PodMonitor", "PrometheusRule"}
    left_out |= set() if has(kubectl, "workflowtemplates") else {"WorkflowTemplate"}
    text = yaml.safe_dump_all([one for one in objects if one["kind"] not in left_out])
    answer = apply(kubectl, text, "--dry-run=server", "--validate=strict", "--namespace", namespace)
    assert answer.returncode == 0, answer.stderr
    assert "warning" not in answer.stderr.lower(), answer.stderr


BUILTIN = "builtin.enabled=true"
GIT = "loop.git.repository=https://git.example/loops,loop.git.existingSecret=git"
JOBS = "persistence.enabled=true,jobs.report.enabled=true,jobs.labels.enabled=true,jobs.labels.source=rows.csv"


@pytest.mark.parametrize(
    "values",
    [
        "",
        "rollouts.enabled=true",
        "rollouts.enabled=true,persistence.enabled=true,rollouts.modelsClaim=models,objectStore.existingSecret=keys",
        "networkPolicy.enabled=true,persistence.enabled=true,data.existingClaim=rows",
        BUILTIN,
        f"{BUILTIN},{JOBS},networkPolicy.enabled=true,rollouts.enabled=true,dashboards.enabled=true",
        f"{GIT},{JOBS}",
        "existingSecret=mine,loop.existingConfigMap=ours,serviceAccount.create=false,priorityClassName=high",
        "engine=argo,persistence.enabled=true,data.existingClaim=rows",
        "engine=argo,training.artifacts=s3://bucket/runs,existingSecret=mine,rollouts.enabled=true",
        f"engine=kfp,kfp.secret=steps,{BUILTIN},networkPolicy.enabled=true,rollouts.enabled=true",
        "engine=kfp,kfp.secret=steps,existingSecret=mine,jobs.more[0].name=nightly,jobs.more[0].schedule=0 2 * * *,"
        "jobs.more[0].args={run,/loop}",
    ],
)
def test_it_accepts_the_chart(server: str, namespace: str, helm: Any, values: str) -> None:
    objects = helm.template("--namespace", namespace, *(["--set", values] if values else []))
    dry_run(server, namespace, objects.values())


@pytest.mark.parametrize("folder", ["base", "overlays/kind", "overlays/production"])
def test_it_accepts_the_kustomizations(server: str, namespace: str, kustomize: Any, folder: str) -> None:
    objects = kustomize(folder)
    for one in objects.values():
        one["metadata"].pop("namespace", None)
    dry_run(server, namespace, objects.values())


def test_it_accepts_the_serving_manifests(server: str, namespace: str) -> None:
    crd = [server, "get", "crd", "inferenceservices.serving.kserve.io"]
    if subprocess.run(crd, capture_output=True, timeout=60).returncode != 0:
        pytest.skip("KServe's resources are not on this cluster")
    dry_run(server, namespace, [yaml.safe_load((ROOT / "serving" / name).read_text()) for name in SERVING])


def test_a_kind_that_the_cluster_does_not_have_is_refused_with_the_value_that_asks_for_it(
    server: str, namespace: str, helm: Any
) -> None:
    crd = [server, "get", "crd", "servicemonitors.monitoring.coreos.com"]
    if subprocess.run(crd, capture_output=True, timeout=60).returncode == 0:
        pytest.skip("Prometheus' operator is on this cluster")
    chart = str(ROOT / "helm" / "loopwright")
    command = [helm.binary, "install", "loopwright", chart, "--namespace", namespace, "--dry-run=server"]
    answer = subprocess.run(
        [*command, "--set", "serviceMonitor.enabled=true"], capture_output=True, text=True, timeout=120
    )
    assert answer.returncode != 0
    assert "serviceMonitor.enabled needs Prometheus' operator on the cluster" in answer.stderr
    plain = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert plain.returncode == 0, plain.stderr


def test_a_secret_that_is_not_there_yet_is_told_at_installation(server: str, namespace: str, helm: Any) -> None:
    command = [helm.binary, "install", "loopwright", str(ROOT / "helm" / "loopwright"), "--namespace", namespace]
    answer = subprocess.run(
        [*command, "--dry-run=server", "--set", "existingSecret=mine"], capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    assert f"there is no Secret mine in {namespace} yet" in answer.stdout


@pytest.mark.parametrize(
    "components",
    [
        "persistence jobs network-policy builtin",
        "data dashboards rollouts",
        "persistence data training-argo rollouts network-policy builtin",
        "training-kfp network-policy",
    ],
)
def test_it_accepts_components_of_one_s_own_choice(
    server: str, namespace: str, kustomize: Any, tmp_path: Path, components: str
) -> None:
    to = os.path.relpath(ROOT / "manifests", tmp_path)
    own = {"resources": [f"{to}/base"], "components": [f"{to}/components/{name}" for name in components.split()]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    # An absolute path stays what it is.
    dry_run(server, namespace, kustomize(str(tmp_path)).values())
