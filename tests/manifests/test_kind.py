"""The cluster on a laptop: scripts that parse, versions that are pinned once, and what they apply.

No kind cluster is made here; the workflow `kserve` runs these scripts on one.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KIND = ROOT / "manifests" / "kind"
SCRIPTS = sorted(KIND.glob("*.sh"))
PINNED = dict(
    line.split("=", 1) for line in (KIND / "versions.env").read_text().splitlines() if not line.startswith("#")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_parses_and_may_be_run(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True).returncode == 0
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()


def test_every_version_is_pinned_once_and_used() -> None:
    assert all(re.fullmatch(r"v?\d+\.\d+\.\d+", version) for version in PINNED.values())
    text = "".join(path.read_text() for path in [*SCRIPTS, ROOT / ".github" / "workflows" / "kserve.yaml"])
    for name, version in PINNED.items():
        assert f"${name}" in text or f"outputs.{name}" in text, name
        assert version not in text, f"{name} is pinned elsewhere too"


def test_what_is_downloaded_is_of_a_pinned_version() -> None:
    urls = re.findall(r"https://github\.com/\S+", (KIND / "install.sh").read_text())
    assert len(urls) == 3
    assert all(re.search(r"/releases/download/\$[A-Z_]+/", url) for url in urls)


@pytest.mark.parametrize("task", ["kind-up", "kind-e2e", "kind-down"])
def test_make_knows_the_task(task: str) -> None:
    listed = subprocess.run(["make", "help"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert f"make {task} " in listed.stdout
    recipe = re.search(rf"^{task}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    for script in re.findall(r"manifests/kind/\S+", recipe[1]):
        assert (ROOT / script).is_file()


def test_kserve_s_configuration_keeps_what_it_does_not_change() -> None:
    data = {"deploy": '{"defaultDeploymentMode": "Knative", "a": 1}', "ingress": '{"ingressDomain": "x", "b": 2}'}
    command = [sys.executable, str(KIND / "kserve-config.py")]
    answer = subprocess.run(command, input=json.dumps({"data": data}), capture_output=True, text=True, timeout=60)
    patch = {name: json.loads(text) for name, text in json.loads(answer.stdout)["data"].items()}
    assert patch["deploy"] == {"defaultDeploymentMode": "Standard", "a": 1}
    assert patch["ingress"]["b"] == 2
    gateway = next(one for one in yaml.safe_load_all((KIND / "gateway.yaml").read_text()) if one["kind"] == "Gateway")[
        "metadata"
    ]
    assert patch["ingress"]["kserveIngressGateway"] == f"{gateway['namespace']}/{gateway['name']}"


def test_the_node_has_the_folders_that_the_overlay_and_the_tests_name() -> None:
    (node,) = yaml.safe_load((ROOT / "kind-config.yaml").read_text())["nodes"]
    mounts = {mount["containerPath"] for mount in node["extraMounts"]}
    volumes = yaml.safe_load_all((ROOT / "manifests" / "overlays" / "kind" / "data.yaml").read_text())
    paths = {one["spec"]["hostPath"]["path"] for one in volumes if one["kind"] == "PersistentVolume"}
    assert paths | {"/tmp/loopwright-e2e"} == mounts


def test_a_server_with_envoy_gateway_accepts_the_gateway(kubectl: str) -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set")
    crd = [kubectl, "get", "crd", "envoyproxies.gateway.envoyproxy.io"]
    if subprocess.run(crd, capture_output=True, timeout=60).returncode != 0:
        pytest.skip("Envoy Gateway is not on this cluster")
    command = [
        kubectl,
        "apply",
        "--dry-run=server",
        "--server-side",
        "--force-conflicts",
        "-f",
        str(KIND / "gateway.yaml"),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
