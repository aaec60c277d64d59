from typing import Any

import pytest

from loopwright.rollout.kserve import pods
from loopwright.rollout.kserve.cluster import Cluster


def pod(state: dict[str, Any], *, ready: bool = False, restarts: int = 0, **more: Any) -> dict[str, Any]:
    container = {
        "name": "kserve-container",
        "image": "loopwright/predictor:9",
        "state": state,
        "restartCount": restarts,
    }
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": "p"}, "status": {"conditions": conditions, "containerStatuses": [container | more]}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


ENDED = {"terminated": {"exitCode": 8, "reason": "Error"}}


@pytest.mark.parametrize(
    ("found", "text", "lasting"),
    [
        (pod(waiting("ImagePullBackOff", "gone")), "the image loopwright/predictor:9 cannot be pulled: gone", True),
        (pod(waiting("ErrImagePull", "not found")), "cannot be pulled", False),
        (pod(waiting("ErrImageNeverPull")), "its image is not on the node", True),
        (pod(waiting("CreateContainerConfigError", "secret x not found")), "secret x not found", True),
        (pod(waiting("CrashLoopBackOff"), restarts=1, lastState=ENDED), "ended 1 times", False),
        (
            pod(waiting("CrashLoopBackOff"), restarts=3, lastState=ENDED),
            "ended 3 times (exit code 8, Error); it said last:\nthe last line",
            True,
        ),
        (pod({"running": {}}), "no pod of it is ready", False),
    ],
)  # fmt: skip
def test_it_is_said_why_pods_do_not_serve(
    api: Any, cluster: Cluster, found: dict[str, Any], text: str, lasting: bool
) -> None:
    api.put("pods", found)
    problem = pods.problem(cluster, "churn", 2)
    assert problem is not None
    assert text in problem.text
    assert problem.lasting == lasting


def test_a_pod_that_serves_has_no_problem(api: Any, cluster: Cluster) -> None:
    api.put("pods", pod({"running": {}}, ready=True))
    assert pods.problem(cluster, "churn", 2) is None


def test_without_pods_the_event_says_why(api: Any, cluster: Cluster) -> None:
    event = {
        "metadata": {"name": "e"},
        "message": "exceeded quota",
        "involvedObject": {"name": "churn-v2-predictor-5f"},
    }
    api.put("events", event)
    problem = pods.problem(cluster, "churn", 2)
    assert problem is not None
    assert problem.text == "it has no pods: exceeded quota"


def test_a_pod_without_a_node_says_so(api: Any, cluster: Cluster) -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: insufficient cpu"}]
    api.put("pods", {"metadata": {"name": "p"}, "status": {"conditions": conditions}})
    problem = pods.problem(cluster, "churn", 2)
    assert problem is not None
    assert "finds no node: 0/1 nodes: insufficient cpu" in problem.text
