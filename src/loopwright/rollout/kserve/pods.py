"""Whether a version's pods serve, and why not: what the kubelet says, in a sentence with the last log lines."""

from dataclasses import dataclass

from loopwright.rollout.kserve.cluster import DEPLOYMENT, EVENT, POD, Cluster, Object
from loopwright.serving.resources import names

ATTEMPTS = 3
"""A container that ended so many times will not start."""
LINES = 5
HOPELESS = {
    "ErrImageNeverPull": "its image is not on the node, and pull_policy is Never",
    "InvalidImageName": "its image's name is wrong",
}
"""What no waiting mends."""
PULLING = ("ErrImagePull", "ImagePullBackOff")


@dataclass(frozen=True)
class Problem:
    """What keeps a pod from serving."""

    text: str
    lasting: bool
    """Whether waiting longer helps nobody."""


def problem(cluster: Cluster, loop: str, version: int) -> Problem | None:
    """The worst of what is wrong with a version's pods; nothing when at least one serves and none fails."""
    pods = [
        pod
        for pod in cluster.list(POD, names.pods(loop, version))
        if "deletionTimestamp" not in pod.get("metadata", {})
    ]
    found = [one for pod in pods for one in of_pod(cluster, pod)]
    lasting = [one for one in found if one.lasting]
    if found:
        return (lasting or found)[0]
    if not pods:
        return Problem(_no_pods(cluster, loop, version), False)
    return None if any(ready(pod) for pod in pods) else Problem("no pod of it is ready", False)


def available(cluster: Cluster, loop: str, version: int) -> bool:
    """Whether a version's Deployment has all of its pods, made of its newest template."""
    found = cluster.get(DEPLOYMENT, names.workload(loop, version))
    if found is None:
        return False
    status, wanted = found.get("status", {}), int(found["spec"].get("replicas", 1))
    newest = int(status.get("observedGeneration", 0)) >= int(found["metadata"]["generation"])
    return newest and min(int(status.get(key, 0)) for key in ("updatedReplicas", "availableReplicas")) >= max(1, wanted)


def replicas(cluster: Cluster, loop: str, version: int) -> int:
    """How many pods a version is to have at present; one where it has no Deployment."""
    found = cluster.get(DEPLOYMENT, names.workload(loop, version))
    return 1 if found is None else int(found["spec"].get("replicas", 1))


def ready(pod: Object) -> bool:
    """Whether a pod takes requests."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def of_pod(cluster: Cluster, pod: Object) -> list[Problem]:
    """What keeps one pod from serving."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return [Problem(f"pod {name} finds no node: {condition.get('message', '')}", False)]
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return [one for one in (_container(cluster, name, container) for container in containers) if one is not None]


def _container(cluster: Cluster, pod: str, status: Object) -> Problem | None:
    waiting = status.get("state", {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    where, restarts = f"container {status['name']} of pod {pod}", int(status.get("restartCount", 0))
    if reason in HOPELESS:
        return Problem(f"{where} does not start: {HOPELESS[reason]} ({status.get('image', '')})", True)
    if reason in PULLING:
        return Problem(
            f"{where}: the image {status.get('image', '')} cannot be pulled: {message}", reason == PULLING[1]
        )
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return Problem(f"{where} cannot be made: {message}", True)
    ended = status.get("lastState", {}).get("terminated") or status.get("state", {}).get("terminated")
    if reason == "CrashLoopBackOff" or (ended and restarts and not status.get("ready")):
        why = f"exit code {ended['exitCode']}, {ended.get('reason', '')}" if ended else reason
        lines = cluster.log(pod, status["name"], lines=LINES, previous=restarts > 0).strip()
        said = f"; it said last:\n{lines}" if lines else ""
        return Problem(f"{where} ended {restarts} times ({why}){said}", restarts >= ATTEMPTS)
    return None


def _no_pods(cluster: Cluster, loop: str, version: int) -> str:
    """Where there are no pods the ReplicaSet's last event says why, such as a quota or an admission policy."""
    name = names.workload(loop, version)
    events = [
        event
        for event in cluster.list(EVENT, fields="type=Warning,involvedObject.kind=ReplicaSet")
        if event.get("involvedObject", {}).get("name", "").startswith(f"{name}-")
    ]
    last = max(events, key=lambda event: event.get("lastTimestamp") or "", default=None)
    return f"it has no pods{'' if last is None else ': ' + str(last.get('message', ''))}"
