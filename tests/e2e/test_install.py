"""The trigger on a real cluster: installed, asked, upgraded, rolled back and uninstalled.

Needs KUBECONFIG, helm, kubectl and the image on a node; nothing is pulled. Every test has a namespace of its own, which
enforces the restricted pod security standard.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = str(ROOT / "helm" / "loopwright")
IMAGE = "loopwright/trigger:0.1.0"
TRIGGER = "deployment/loopwright-trigger"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str, stdin: str | bytes = "") -> str:
    """A command's output; it has to succeed."""
    text = stdin if isinstance(stdin, bytes) else stdin.encode()
    answer = subprocess.run(command, input=text, capture_output=True, timeout=300, cwd=ROOT)
    assert answer.returncode == 0, f"{' '.join(command)}: {answer.stderr.decode()}"
    return answer.stdout.decode()


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set")
    for command in ("kubectl", "helm"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not on PATH")
    images = run("kubectl", "get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}").split()
    if not any(image == IMAGE or image.endswith(f"/{IMAGE}") for image in images):
        pytest.skip(f"no node has the image {IMAGE}; `make images` builds it")


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"loopwright-e2e-{time.time_ns() % 10**8}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
    run("kubectl", "apply", "-f", "-", stdin=json.dumps(body))
    yield name
    run("kubectl", "delete", "namespace", name, "--wait=false")


class Client:
    """HTTP to the trigger in a namespace."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def call(self, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status and JSON of a request, with the right token unless another is given."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@contextmanager
def trigger(namespace: str, target: str = "service/loopwright-trigger") -> Iterator[Client]:
    """A client through `kubectl port-forward`, which takes a free port and says which."""
    secret = json.loads(run("kubectl", "-n", namespace, "get", "secret", "loopwright", "-o", "json"))
    command = ["kubectl", "-n", namespace, "port-forward", target, ":8080"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            port = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert port is not None, line
            yield Client(f"http://127.0.0.1:{port[1]}", base64.b64decode(secret["data"]["token"]).decode())
        finally:
            process.terminate()


def alert(version: str = "1") -> dict[str, Any]:
    """Alertmanager's webhook body of one drifted feature."""
    labels = {"alertname": "LoopwrightDrift", "loop": "churn", "version": version, "feature": "monthly_charges"}
    notes = {"summary": "monthly_charges of churn has drifted", "distance": "0.21", "score": "3.1", "window": "7d"}
    one = {"status": "firing", "labels": labels, "annotations": notes, "startsAt": "2026-01-01T00:00:00Z"}
    return {"version": "4", "groupKey": "{}", "status": "firing", "truncatedAlerts": 0, "alerts": [one]}


def helm(namespace: str, *arguments: str) -> str:
    command, *others = arguments
    return run("helm", command, "loopwright", *others, "--namespace", namespace)


def waited(namespace: str) -> str:
    return run("kubectl", "-n", namespace, "rollout", "status", TRIGGER, "--timeout=180s")


def test_it_installs_upgrades_rolls_back_and_leaves(namespace: str) -> None:
    helm(namespace, "install", CHART, "--wait", "--timeout", "3m")
    with trigger(namespace) as client:
        token = client.token
        assert client.call("/healthz") == (200, {"status": "ok"})
        assert client.call("/v1/alerts", alert(), token="wrong")[0] == 401
        status, answer = client.call("/v1/alerts", alert())
        # There are no rows in this pod, which is said and not guessed.
        assert status == 200
        assert answer["causes"][0]["rule"] == "min_new_rows"
        assert "there is no data at /loop/data" in answer["causes"][0]["reason"]
    helm(namespace, "upgrade", CHART, "--set", "networkPolicy.enabled=true", "--wait", "--timeout", "3m")
    assert "loopwright-trigger" in run("kubectl", "-n", namespace, "get", "networkpolicy", "-o", "name")
    with trigger(namespace) as client:
        assert client.token == token, "whoever sends alerts has the token"
    helm(namespace, "rollback", "1", "--wait", "--timeout", "3m")
    assert run("kubectl", "-n", namespace, "get", "networkpolicy", "-o", "name") == ""
    waited(namespace)
    helm(namespace, "uninstall", "--wait")
    kinds = "deployment,service,secret,serviceaccount,networkpolicy,persistentvolumeclaim"
    left = run("kubectl", "-n", namespace, "get", kinds, "-o", "name", "-l", "app.kubernetes.io/name=loopwright")
    assert left == ""


def test_an_alert_becomes_a_registered_version_in_the_pod(namespace: str, tmp_path: Path) -> None:
    rows, declaration = tmp_path / "rows", tmp_path / "loop.yaml"
    run(sys.executable, str(ROOT / "examples/churn/generator.py"), "--rows", "12000", "--to", str(rows))
    text = (ROOT / "examples/churn/loop.yaml").read_text()
    declaration.write_text(text.replace("source: data\n", "source: /state/rows\n"))
    features = str(ROOT / "examples/churn/features.py")
    files = ["--set-file", f"loop.declaration={declaration}", "--set-file", f"loop.features={features}"]
    helm(namespace, "install", CHART, *files, "--wait", "--timeout", "3m")
    archive = subprocess.run(["tar", "-C", str(tmp_path), "-cf", "-", "rows"], capture_output=True, check=True).stdout
    run("kubectl", "-n", namespace, "exec", "-i", TRIGGER, "--", "tar", "-C", "/state", "-xf", "-", stdin=archive)
    with trigger(namespace) as client:
        status, answer = client.call("/v1/alerts", alert())
        assert (status, answer["causes"][0]["action"]) == (200, "start"), answer
        # The same episode again, as Alertmanager repeats it, starts nothing else.
        assert client.call("/v1/alerts", alert())[1]["causes"][0]["run"] == answer["causes"][0]["run"]
        deadline = time.monotonic() + 300
        while client.call("/v1/state")[1]["busy"] and time.monotonic() < deadline:
            time.sleep(0.5)
        runs = client.call("/v1/state")[1]["runs"]
    assert [(one["state"], one["version"]) for one in runs] == [("succeeded", 1)]
    command = ["kubectl", "-n", namespace, "exec", TRIGGER, "--", "loopwright", "history", "/loop", "--json"]
    kinds = [entry["kind"] for entry in json.loads(run(*command))]
    assert kinds[:3] == ["alarm", "decision", "run"]
    # No gateway of the trigger's own is there: that the version could not go live is written, once.
    assert kinds[-3:] == ["registered", "run_ended", "rollout_failed"]
    # Where nothing serves there is nothing to roll out to, and the log says so.
    log = run("kubectl", "-n", namespace, "logs", TRIGGER)
    assert re.search(r"version 1 was not rolled out, and is tried again at .*: nothing serves churn", log), log


def test_the_kind_overlay_becomes_ready() -> None:
    overlay = str(ROOT / "manifests/overlays/kind")
    if run("kubectl", "get", "namespace", "loopwright", "--ignore-not-found", "-o", "name"):
        pytest.skip("the cluster has a namespace `loopwright` already")
    try:
        run("kubectl", "apply", "-k", overlay)
        waited("loopwright")
        with trigger("loopwright") as client:
            assert client.call("/v1/state", token="wrong")[0] == 401
            assert client.call("/v1/state")[1]["loop"] == "churn"
    finally:
        run("kubectl", "delete", "-k", overlay, "--wait=true", "--timeout=120s")


def test_a_claim_outlives_the_release(namespace: str) -> None:
    helm(namespace, "install", CHART, "--set", "persistence.enabled=true")
    helm(namespace, "uninstall", "--wait")
    claims = run("kubectl", "-n", namespace, "get", "persistentvolumeclaim", "-o", "yaml")
    assert [one["metadata"]["name"] for one in yaml.safe_load(claims)["items"]] == ["loopwright-state"]
