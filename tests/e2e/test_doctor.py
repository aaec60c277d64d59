"""`loopwright doctor` on a real cluster: as an administrator, as somebody with few rights, with a token of nobody.

Needs KUBECONFIG and kubectl; nothing is installed but a namespace and what stands in it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RBAC = ROOT / "manifests" / "components" / "rollouts" / "rbac.yaml"

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def kubectl(*arguments: str, stdin: str = "") -> str:
    answer = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, f"kubectl {' '.join(arguments)}: {answer.stderr}"
    return answer.stdout


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    if not os.environ.get("KUBECONFIG") or shutil.which("kubectl") is None:
        pytest.skip("there is no KUBECONFIG, or no kubectl")
    name = f"loopwright-doctor-{time.time_ns() % 10**8}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def doctor(namespace: str, folder: Path, kubeconfig: str = "") -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by what was looked at."""
    command = [sys.executable, "-m", "loopwright.cli.main", "doctor", "--cluster", "--namespace", namespace, "--json"]
    environment = os.environ | ({"KUBECONFIG": kubeconfig} if kubeconfig else {})
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, env=environment)
    assert not answer.stderr, answer.stderr
    return answer.returncode, {one["check"]: one for one in json.loads(answer.stdout)["findings"]}


def kubeconfig(folder: Path, token: str) -> str:
    """A kubeconfig of the same cluster that knows this token alone."""
    config: Any = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"] = [{"name": "somebody", "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = "somebody"
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_an_administrator_is_told_what_the_cluster_lacks(namespace: str, tmp_path: Path) -> None:
    _, found = doctor(namespace, tmp_path)
    for check in ("kubernetes", "clock", "nodes", "namespace", "may install the chart", "may deploy"):
        assert found[check]["state"] == "ok", found[check]
    assert "restricted" in found["namespace"]["text"]
    assert found["secret loopwright"]["state"] == "warning"
    _, gone = doctor(f"{namespace}-not-there", tmp_path)
    assert gone["namespace"]["state"] == "problem"


def test_somebody_with_few_rights_is_told_which_rule_is_missing(namespace: str, tmp_path: Path) -> None:
    kubectl("-n", namespace, "create", "serviceaccount", "ada")
    code, found = doctor(namespace, tmp_path, kubeconfig(tmp_path, kubectl("-n", namespace, "create", "token", "ada")))
    assert code == 1
    assert found["may deploy"]["state"] == "problem"
    assert (
        '"resources": ["inferenceservices"], "verbs": ["get", "create", "patch", "delete"]' in found["may deploy"]["do"]
    )
    # What may not be looked at is no problem of the cluster's.
    assert found["nodes"]["state"] == found["storage class"]["state"] == "note"


def test_a_service_account_s_role_that_is_too_narrow_is_found(namespace: str, tmp_path: Path) -> None:
    kubectl("-n", namespace, "apply", "-f", str(RBAC))
    _, found = doctor(namespace, tmp_path)
    assert found["service account loopwright-rollout"]["state"] == "ok"
    patch = json.dumps([{"op": "remove", "path": "/rules/0"}])
    kubectl("-n", namespace, "patch", "role", "loopwright-rollout", "--type=json", f"--patch={patch}")
    deadline = time.monotonic() + 20
    while (found := doctor(namespace, tmp_path)[1])["service account loopwright-rollout"]["state"] == "ok":
        assert time.monotonic() < deadline, "the API server goes on granting what was taken away"
    assert "it may not get/list/watch/patch inferenceservices" in found["service account loopwright-rollout"]["text"]


def test_an_expired_token_is_told_as_such(namespace: str, tmp_path: Path) -> None:
    code, found = doctor(namespace, tmp_path, kubeconfig(tmp_path, "expired"))
    assert code == 1
    assert list(found) == ["kubernetes"]
    assert found["kubernetes"]["text"] == "the Kubernetes API server does not know you (401)"
    assert "log in" in found["kubernetes"]["do"]


def test_a_pod_that_cannot_start_is_found_with_its_reason(namespace: str, tmp_path: Path) -> None:
    """One whose image nobody has, and one whose Secret is missing."""
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "not-there", "key": "token"}}}
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "trigger", "image": "loopwright/trigger:nobody-has-it", "securityContext": secure}],
    }
    images = kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.images[*].names[*]}").split()
    image = next(name for name in images if "@" not in name)
    known = spec | {
        "containers": [
            {
                "name": "trigger",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "securityContext": secure,
                "env": [token],
            }
        ]
    }
    for name, one in (("no-image", spec), ("no-secret", known)):
        metadata = {"name": name, "labels": {"app.kubernetes.io/part-of": "loopwright"}}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": one}
        kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(body))

    def told() -> str:
        command = [sys.executable, "-m", "loopwright.cli.main", "doctor", "--cluster", "--namespace", namespace]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path).stdout

    deadline = time.monotonic() + 90
    while not ("nobody-has-it cannot be pulled" in (text := told()) and 'secret "not-there" not found' in text):
        assert time.monotonic() < deadline, text
        time.sleep(0.5)
