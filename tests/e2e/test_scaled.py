"""`scale: dask` with the pods of docs/scale.md: runs that train on two workers, and those whose worker is deleted."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loopwright.ledger import Ledger

ROOT = Path(__file__).parents[2]
USER = 65532
PORT = 8786
# Rows of three parts, which two workers share; rounds that take seconds, in the middle of which one can be deleted.
REPEATED, ROUNDS = 200, 800
# Of a worker that has its rows, and trains or is about to.
ENCODED = "ls /tmp/dask-scratch-space/*/rows-*/target.npy"
LISTENING = """
for line in [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}").readlines()[1:]]:
    if line[3] == "0A" and not line[1].startswith("0100007F"):
        print(int(line[1].split(":")[1], 16))
"""

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1200)]


@dataclass
class Place:
    """A namespace with a scheduler and two workers, and the folder that they see as /state."""

    namespace: str
    home: Path
    image: str

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl answers in the namespace; it has to succeed."""
        command = ["kubectl", "-n", self.namespace, *arguments]
        answer = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=400)
        assert answer.returncode == 0, f"{' '.join(command)}: {answer.stderr}"
        return answer.stdout

    def workers(self) -> list[str]:
        """The names of the workers' pods that are not on their way out."""
        found = json.loads(self.kubectl("get", "pods", "-l", "app=dask,role=worker", "-o", "json"))
        return [one["metadata"]["name"] for one in found["items"] if "deletionTimestamp" not in one["metadata"]]

    def start(self, name: str) -> None:
        """`loopwright run` in a pod of its own."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(_pod(name, self.image)))

    def succeeded(self, name: str) -> None:
        """Wait for the end of a run."""
        try:
            self.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=300s")
        except AssertionError:
            pytest.fail(self.kubectl("logs", name))

    def facts(self, kind: str) -> list[dict[str, Any]]:
        """What the ledger has of the runs."""
        ledger = Ledger(f"sqlite:///{self.home / 'ledger.db'}")
        return [entry.facts for entry in ledger.entries("small") if entry.kind == kind]


def _pod(name: str, image: str) -> dict[str, Any]:
    confined = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "state", "mountPath": "/state"}]
    main = {
        "name": "run",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["loopwright", "run", "/state/loop"],
        "env": [
            {"name": "LOOPWRIGHT_STATE", "value": "/state"},
            {"name": "LOOPWRIGHT_DASK", "value": f"tls://dask:{PORT}"},
        ],
        "envFrom": [{"secretRef": {"name": "dask"}}],
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": confined,
        "volumeMounts": mounts,
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "state", "persistentVolumeClaim": {"claimName": "state"}},
        ],
        "containers": [main],
    }
    labels = {"app.kubernetes.io/component": "trigger"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def _documented(image: str) -> tuple[str, str]:
    """The manifest of docs/scale.md, and the commands that make its Secret."""
    page = (ROOT / "docs" / "scale.md").read_text()
    blocks = re.findall(r"^```(yaml|sh)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (manifest,) = [text for kind, text in blocks if kind == "yaml" and "kind: Deployment" in text]
    (commands,) = [text for kind, text in blocks if kind == "sh" and "kubectl create secret" in text]
    return manifest.replace("loopwright/component-python:0.1.0", image), commands


@pytest.fixture(scope="module")
def place(
    component: str, claimed: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, small_rows: pd.DataFrame,
    small_declaration: str,
) -> Iterator[Place]:  # fmt: skip
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on PATH")
    namespace = f"loopwright-dask-{time.time_ns() % 10**8}"
    made = Place(namespace, Path("/var/lib") / namespace, component)
    loop = made.home / "loop"
    loop.mkdir(parents=True)
    os.chown(made.home, USER, USER)
    many = pd.concat([small_rows] * REPEATED, ignore_index=True)
    many["customer"] = [f"c{number}" for number in range(len(many))]
    many.to_csv(loop / "rows.csv", index=False)
    text = small_declaration.replace("num_iterations: 20", f"num_iterations: {ROUNDS}")
    (loop / "loop.yaml").write_text(text + "scale: dask\n")
    items = {"apiVersion": "v1", "kind": "List", "items": claimed(namespace, state=made.home)}
    made.kubectl("apply", "-f", "-", stdin=json.dumps(items))
    manifest, commands = _documented(component)
    commands = commands.replace("kubectl ", f"kubectl -n {namespace} ")
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path_factory.mktemp("keys"), check=True, timeout=60)
    made.kubectl("apply", "-f", "-", stdin=manifest)
    for name in ("dask-scheduler", "dask-worker"):
        made.kubectl("rollout", "status", f"deployment/{name}", "--timeout=170s")
    try:
        yield made
    finally:
        made.kubectl("delete", "namespace", namespace, "--wait=false")
        made.kubectl("delete", "persistentvolume", f"{namespace}-state", "--wait=false")
        shutil.rmtree(made.home)


def test_a_worker_s_pod_that_is_deleted_while_it_trains_changes_nothing_of_the_model(place: Place) -> None:
    place.start("undisturbed")
    place.succeeded("undisturbed")
    before = place.workers()
    place.start("disturbed")
    _encoded(place, before[-1])
    place.kubectl("delete", "pod", before[-1], "--grace-period=0", "--force", "--wait=false")
    place.succeeded("disturbed")
    undisturbed, disturbed = place.facts("trained")
    assert undisturbed["scale"] == {"engine": "dask", "workers": 2, "lost": 0}
    assert disturbed["scale"] == {"engine": "dask", "workers": 2, "lost": 1}
    assert disturbed["digest"] == undisturbed["digest"]
    assert [one["version"] for one in place.facts("registered")] == [1, 2]
    assert before[-1] not in place.workers()


def test_a_forest_grows_in_the_workers_pods_to_the_same_bytes_though_one_is_deleted(place: Place) -> None:
    declared = place.home / "loop" / "loop.yaml"
    before = len(place.facts("trained"))
    text = re.sub(
        r"parameters: \{.*?\}", "estimator: random_forest, parameters: {n_estimators: 60}", declared.read_text()
    )
    declared.write_text(text)
    place.start("forest")
    place.succeeded("forest")
    workers = place.workers()
    place.start("felled")
    deadline = time.monotonic() + 120
    while not list(place.home.glob("**/.rows-*/*.npy")):
        assert time.monotonic() < deadline, "no rows are handed out"
        time.sleep(0.1)
    place.kubectl("delete", "pod", workers[-1], "--grace-period=0", "--force", "--wait=false")
    place.succeeded("felled")
    undisturbed, disturbed = place.facts("trained")[before:]
    assert undisturbed["estimator"] == "random_forest"
    assert undisturbed["scale"] == disturbed["scale"] == {"engine": "dask", "workers": 2, "lost": 0}
    assert disturbed["digest"] == undisturbed["digest"]
    assert not list(place.home.glob("**/.rows-*"))
    assert workers[-1] not in place.workers()


def _encoded(place: Place, pod: str) -> None:
    """Wait until a worker has written its rows for a training."""
    command = ["kubectl", "-n", place.namespace, "exec", pod, "--", "sh", "-c", ENCODED]
    deadline = time.monotonic() + 120
    while subprocess.run(command, capture_output=True, timeout=60).returncode:
        assert time.monotonic() < deadline, "the worker has no rows"
        time.sleep(0.2)


def test_the_scheduler_listens_on_its_port_alone_and_takes_nobody_without_a_key(place: Place) -> None:
    run = ("exec", "-i", "deployment/dask-scheduler", "--", "python", "-")
    assert set(place.kubectl(*run, stdin=LISTENING).split()) == {str(PORT)}
    stranger = f"""
import ssl, socket
context = ssl._create_unverified_context()
context.maximum_version = ssl.TLSVersion.TLSv1_2
try:
    context.wrap_socket(socket.create_connection(("dask", {PORT}), timeout=20))
except ssl.SSLError as error:
    print(error)
"""
    assert "handshake failure" in place.kubectl(*run, stdin=stranger)
