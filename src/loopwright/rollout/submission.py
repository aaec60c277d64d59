"""Rollouts handed to the cluster: a Workflow is submitted, followed, and told that a person said yes.

What a pod of it says is passed on line by line. All of it may be called again: a submission finds the Workflow that is
under way, and following one that has ended says how it did.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from loopwright.cluster.argo import OF_WORKFLOW, TEMPLATE, WORKFLOW
from loopwright.errors import RolledBack, RolloutError
from loopwright.loop import Loop
from loopwright.rollout import workflow
from loopwright.rollout.kserve.cluster import POD, Cluster, Conflict, Object
from loopwright.settings import Settings

__all__ = ["TEMPLATE", "WORKFLOW", "approve", "follow", "submit"]

ENDED = ("Succeeded", "Failed", "Error")
POLL = 1.0
LINES = 500
"""Of a pod's log, which is short: a rollout says what changes."""


def submit(cluster: Cluster, loop: Loop, version: int, settings: Settings) -> str:
    """Make the Workflow that takes a version live, unless one is under way; return its name.

    Raises RolloutError when the cluster has no template for it, Forbidden naming the rule that is missing.
    """
    if cluster.get(TEMPLATE, settings.rollout_template) is None:
        raise RolloutError(
            f"there is no WorkflowTemplate {settings.rollout_template} in the namespace {cluster.namespace}",
            expected="Argo Workflows on the cluster, and the chart's `rollouts.enabled=true`",
            do="see docs/workflows.md; without them, `loopwright rollout` runs in the foreground",
        )
    before = _attempts(cluster, loop, version)
    if before and not _over(before[-1]):
        return str(before[-1]["metadata"]["name"])
    attempt = 1 + (_attempt(before[-1]) if before else 0)
    # Where somebody else submits the same at the same time, one of the two is enough.
    with suppress(Conflict):
        cluster.create(WORKFLOW, workflow.workflow(loop, version, attempt, settings))
    return workflow.name(loop.name, version, attempt)


def follow(
    cluster: Cluster,
    name: str,
    progress: Callable[[str], None],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Say what a Workflow does until it has ended well.

    Raises RolledBack when the version was judged worse and taken back, RolloutError when it ended otherwise.
    """
    said: dict[str, int] = {}
    waiting = ""
    while True:
        found = cluster.get(WORKFLOW, name)
        if found is None:
            raise RolloutError(
                f"there is no Workflow {name} in the namespace {cluster.namespace}",
                expected="it to stay until its rollout is over",
                do="`loopwright rollout status` says what the rollout came to",
            )
        for pod in sorted(_pods(cluster, name), key=lambda one: str(one["metadata"]["creationTimestamp"])):
            _pass_on(cluster, pod, said, progress)
        if _over(found):
            return _end(found)
        text = _waits(found)
        if text and text != waiting:
            progress(text)
        waiting = text
        pause(POLL)


def approve(cluster: Cluster, loop: Loop, version: int, by: str, reason: str) -> bool:
    """Let the Workflow of a version go on that waits for a person; returns whether there is one."""
    for found in reversed(_attempts(cluster, loop, version)):
        for node in _nodes(found):
            if node.get("templateName") == workflow.SUSPENDED and node.get("phase") == "Running":
                # As `argo resume` does it. An apostrophe would end the text in the condition that reads it.
                given = {"by": by.replace("'", " "), "reason": reason}
                node["phase"] = "Succeeded"
                node["finishedAt"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                node["message"] = f"approved by {by}: {reason}"
                node["outputs"] = {"parameters": [{"name": key, "value": text} for key, text in given.items()]}
                cluster.replace(WORKFLOW, found)
                return True
    return False


def _attempts(cluster: Cluster, loop: Loop, version: int) -> list[Object]:
    """The Workflows of a version's rollout that are still there, the oldest first."""
    selector = f"{workflow.LOOP_LABEL}={loop.name},{workflow.VERSION_LABEL}={version}"
    return sorted(cluster.list(WORKFLOW, selector), key=_attempt)


def _attempt(found: Object) -> int:
    number = str(found["metadata"]["name"]).rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _nodes(found: Object) -> list[Object]:
    return list((found.get("status", {}).get("nodes") or {}).values())


def _over(found: Object) -> bool:
    return found.get("status", {}).get("phase") in ENDED


def _waits(found: Object) -> str:
    """What a Workflow that does nothing waits for."""
    for node in _nodes(found):
        if node.get("type") == "Suspend" and node.get("phase") == "Running":
            return "waiting for a person's approval"
    troubled = [node for node in _nodes(found) if node.get("phase") in ("Pending", "Error") and node.get("message")]
    newest = max(troubled, key=lambda node: str(node.get("startedAt")), default=None)
    return "" if newest is None else f"{newest.get('displayName', '')}: {newest['message']}"


def _pods(cluster: Cluster, name: str) -> list[Object]:
    return cluster.list(POD, f"{OF_WORKFLOW}={name}")


def _pass_on(cluster: Cluster, pod: Object, said: dict[str, int], progress: Callable[[str], None]) -> None:
    # By its uid: Argo makes a pod that was lost again under the same name.
    name, key = pod["metadata"]["name"], pod["metadata"]["uid"]
    text = cluster.log(name, "main", lines=LINES, previous=False)
    # Argo's executor ends the log with lines of its own.
    lines = [line for line in text.splitlines() if "argo=true" not in line and not line.startswith("Error: exit st")]
    for line in lines[said.get(key, 0) :]:
        progress(line)
    said[key] = max(len(lines), said.get(key, 0))


def _end(found: Object) -> None:
    name, status = found["metadata"]["name"], found["status"]
    if status["phase"] == "Succeeded":
        return
    codes = [node.get("outputs", {}).get("exitCode") for node in _nodes(found) if node.get("type") == "Pod"]
    back = [
        node for node in _nodes(found) if node.get("templateName") == "take-back" and node.get("phase") == "Succeeded"
    ]
    message = status.get("message") or f"it ended as {status['phase']}"
    if str(RolledBack.exit_code) in codes:
        raise RolledBack(
            f"the version was judged worse and was taken back by the Workflow {name}",
            do="the numbers are in the lines above, and in the ledger",
        )
    raise RolloutError(
        f"the Workflow {name} did not take the version live: {message}",
        expected="it to succeed",
        do=f"{'its challenger was taken back' if back else 'see whether its challenger has traffic still'}; "
        f"`kubectl describe workflow {name}` and its pods' logs say more",
    )
