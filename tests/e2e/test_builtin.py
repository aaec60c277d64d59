"""The chart's built-in PostgreSQL, MLflow and store on a real cluster, in a namespace that enforces `restricted`.

Needs KUBECONFIG, helm, kubectl and the images on a node; nothing is pulled. LOOPWRIGHT_E2E_TAG is the trigger's tag.
Instead of the official image of PostgreSQL there may be that of tests/e2e/images.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "loopwright"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())["builtin"]
TAG = os.environ.get("LOOPWRIGHT_E2E_TAG", "0.1.0")
OFFICIAL = "{repository}:{tag}".format(**VALUES["postgresql"]["image"])
POSTGRES = (OFFICIAL, "docker.io/loopwright-e2e/postgresql:debian")
STORE = VALUES["objectStore"]["image"]
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
TRIGGER = "deployment/loopwright-trigger"

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


def run(*command: str, stdin: str = "") -> str:
    answer = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, f"{' '.join(command)}: {answer.stdout}{answer.stderr}"
    return answer.stdout


@pytest.fixture(scope="module")
def images() -> set[str]:
    """What is on the nodes."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set")
    for command in ("kubectl", "helm"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not on PATH")
    there = run("kubectl", "get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}").split()
    for wanted in ([f"docker.io/loopwright/trigger:{TAG}"], POSTGRES, ["{repository}:{tag}".format(**STORE)]):
        if not set(wanted) & set(there):
            pytest.skip(f"no node has {' or '.join(wanted)}; `make images` and tests/e2e/images/build make them")
    return set(there)


@pytest.fixture(scope="module")
def values(images: set[str]) -> str:
    """The one value that is needed, and which images are there."""
    repository, tag = next(name for name in POSTGRES if name in images).rsplit(":", 1)
    postgres = f"builtin.postgresql.image.repository={repository},builtin.postgresql.image.tag={tag}"
    return f"builtin.enabled=true,networkPolicy.enabled=true,image.tag={TAG},{postgres}"


@pytest.fixture(scope="module")
def namespace(images: set[str]) -> Iterator[str]:
    name = f"loopwright-builtin-{time.time_ns() % 10**8}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
    run("kubectl", "apply", "-f", "-", stdin=json.dumps(body))
    yield name
    run("kubectl", "delete", "namespace", name, "--wait=false")


def helm(namespace: str, command: str, *arguments: str) -> str:
    return run("helm", command, "loopwright", *arguments, "--namespace", namespace)


def in_trigger(namespace: str, *command: str) -> str:
    return run("kubectl", "-n", namespace, "exec", TRIGGER, "--", *command)


def secret(namespace: str, name: str) -> dict[str, str]:
    data = json.loads(run("kubectl", "-n", namespace, "get", "secret", name, "-o", "json"))["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def alert(namespace: str) -> Any:
    """An alarm, sent inside the trigger's pod; the answer says what became of it."""
    labels = {"alertname": "LoopwrightDrift", "loop": "churn", "version": "1", "feature": "plan"}
    one = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z"}
    body = {"version": "4", "groupKey": "{}", "status": "firing", "truncatedAlerts": 0, "alerts": [one]}
    code = (
        "import httpx, os\n"
        f"answer = httpx.post('http://127.0.0.1:8080/v1/alerts', json={body!r}, timeout=60,\n"
        "    headers={'Authorization': 'Bearer ' + os.environ['LOOPWRIGHT_TOKEN']})\n"
        "print(answer.raise_for_status().text)"
    )
    return json.loads(in_trigger(namespace, "python", "-c", code))


def test_one_value_is_enough_and_a_ledger_outlives_an_upgrade(namespace: str, values: str) -> None:
    helm(namespace, "install", str(CHART), "--set", values, "--wait", "--timeout", "8m")
    told = helm(namespace, "test", "--logs", "--timeout", "4m")
    database = f"loopwright-postgresql.{namespace}.svc:5432"
    assert f"ledger: postgresql+pg8000://loopwright:***@{database}/loopwright verifies" in told
    assert f"registry: http://loopwright-mlflow.{namespace}.svc:5000: 0 versions of churn" in told
    assert "trigger: the trigger at http://loopwright-trigger:8080 is well and takes this token" in told

    # There are no rows in this pod; that it was decided so is in the ledger.
    assert alert(namespace)["causes"][0]["rule"] == "min_new_rows"
    before = in_trigger(namespace, "loopwright", "history", "/loop", "--json")
    assert json.loads(before)
    store = (
        "import obstore\nfrom loopwright import buckets\n"
        "store = buckets.connect('s3://models/churn')\n"
        "obstore.put(store, 'x', b'here')\nprint(bytes(store.get('x').bytes()))"
    )
    assert "b'here'" in in_trigger(namespace, "python", "-c", store)

    secrets = {name: secret(namespace, name) for name in ("loopwright", "loopwright-postgresql")}
    helm(namespace, "upgrade", str(CHART), "--set", f"{values},podAnnotations.changed=yes", "--wait", "--timeout", "4m")
    assert in_trigger(namespace, "loopwright", "history", "/loop", "--json") == before
    helm(namespace, "rollback", "1", "--wait", "--timeout", "4m")
    assert in_trigger(namespace, "loopwright", "history", "/loop", "--json") == before
    assert {name: secret(namespace, name) for name in secrets} == secrets

    helm(namespace, "uninstall", "--wait")
    assert secret(namespace, "loopwright-postgresql") == secrets["loopwright-postgresql"], "data needs its password"
    kinds = "deployment,service,cronjob,networkpolicy,serviceaccount"
    left = run("kubectl", "-n", namespace, "get", kinds, "-o", "name", "-l", "app.kubernetes.io/name=loopwright")
    assert left == ""
