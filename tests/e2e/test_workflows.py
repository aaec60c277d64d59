"""The Workflow of a rollout on a real Argo, in a namespace that enforces the restricted pod security standard.

What its pods run is replaced by commands that end as the test says; everything else is what the chart installs.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loopwright import settings
from loopwright.errors import RolledBack
from loopwright.loop import Loop

ROOT = Path(__file__).parents[2]
TAG = os.environ.get("LOOPWRIGHT_E2E_TAG", "0.1.0")

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]


def run(*command: str, stdin: str = "") -> str:
    answer = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, f"{' '.join(command)}: {answer.stderr}"
    return answer.stdout


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A namespace with the chart's WorkflowTemplate."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set")
    for command in ("kubectl", "helm"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not on PATH")
    crd = ["kubectl", "get", "crd", "workflowtemplates.argoproj.io"]
    if subprocess.run(crd, capture_output=True, timeout=60).returncode != 0:
        pytest.skip("Argo Workflows is not on this cluster")
    image = f"loopwright/trigger:{TAG}"
    images = run("kubectl", "get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}").split()
    if not any(one == image or one.endswith(f"/{image}") for one in images):
        pytest.skip(f"no node has the image {image}; `make images` builds it")
    from loopwright.rollout import kserve

    name = f"loopwright-workflows-{time.time_ns() % 10**8}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    run("kubectl", "apply", "-f", "-", stdin=json.dumps(body))
    chart = ["helm", "template", "loopwright", str(ROOT / "helm/loopwright"), "--namespace", name]
    values = f"rollouts.enabled=true,image.tag={TAG}"
    for part in ("rollout-rbac", "workflowtemplate", "configmap", "secret"):
        one = run(*chart, "--set", values, "--show-only", f"templates/{part}.yaml")
        run("kubectl", "-n", name, "apply", "-f", "-", stdin=one)
    yield kserve.connect(name)
    run("kubectl", "delete", "namespace", name, "--wait=false")


def replaced(cluster: Any, **scripts: str) -> None:
    """Let templates of the Workflow run a shell script instead of `loopwright`."""
    from loopwright.rollout import submission, workflow

    found = cluster.get(submission.TEMPLATE, workflow.NAME)
    for template in found["spec"]["templates"]:
        script = scripts.get(template["name"].replace("-", "_"))
        if script is not None:
            template["container"] |= {"command": ["sh", "-c"], "args": [script]}
    cluster.replace(submission.TEMPLATE, found)


def test_a_person_s_yes_lets_it_go_on_and_it_is_written_by_whom(cluster: Any, small: Loop, tmp_path: Path) -> None:
    from loopwright.rollout import submission

    replaced(cluster, record='echo "approved by $LOGNAME"', take_live="echo live")
    loop = small.model_copy(update={"gates": small.gates.model_copy(update={"approval": "required"})})
    read, said = settings.read(tmp_path, {}), []
    name = submission.submit(cluster, loop, 2, read)

    def pause(seconds: float) -> None:
        if said == ["waiting for a person's approval"]:
            said.append("a person says yes")
            assert submission.submit(cluster, loop, 2, read) == name, "submitted again it is the same one"
            assert submission.approve(cluster, loop, 2, "Ada", "checked the slices")
        time.sleep(seconds)

    submission.follow(cluster, name, said.append, pause=pause)
    assert "approved by Ada" in said
    assert said[-1] == "live"


def test_a_version_that_was_judged_worse_is_not_tried_again_and_its_workflow_takes_back(
    cluster: Any, small: Loop, tmp_path: Path
) -> None:
    from loopwright.rollout import submission

    replaced(cluster, take_live="echo judged; exit 11", take_back="echo taken back")
    said: list[str] = []
    name = submission.submit(cluster, small, 3, settings.read(tmp_path, {}))
    with pytest.raises(RolledBack, match=name):
        submission.follow(cluster, name, said.append)
    assert said.count("judged") == 1
    assert said.count("taken back") == 1
    assert submission.submit(cluster, small, 3, settings.read(tmp_path, {})) == "small-rollout-v3-2"


def test_a_pod_that_is_lost_is_made_again(cluster: Any, small: Loop, tmp_path: Path) -> None:
    from loopwright.rollout import submission
    from loopwright.rollout.kserve.cluster import POD

    replaced(cluster, take_live='echo "here is $HOSTNAME"; sleep 8')
    said: list[str] = []
    name = submission.submit(cluster, small, 4, settings.read(tmp_path, {}))
    lost: list[str] = []

    def pause(seconds: float) -> None:
        if not lost and any(line.startswith("here is") for line in said):
            lost.append(cluster.list(POD, f"workflows.argoproj.io/workflow={name}")[0]["metadata"]["name"])
            run("kubectl", "-n", cluster.namespace, "delete", "pod", lost[0], "--grace-period=1", "--wait=false")
        time.sleep(seconds)

    submission.follow(cluster, name, said.append, pause=pause)
    hosts = [line for line in said if line.startswith("here is")]
    # Argo makes it again under the same name.
    assert len(hosts) == 2
