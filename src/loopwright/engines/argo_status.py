"""How a run is, read from its Workflow: the pods' nodes, and the lines that the steps in them told.

A pod that has ended left its lines in the Workflow, where they stay when the pod is gone. Of one that runs they are in
its log.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from loopwright.cluster.argo import LOOP_LABEL
from loopwright.cluster.objects import Object
from loopwright.engines.argo_objects import LARGE, OUT_OF_MEMORY, PODS
from loopwright.engines.protocol import (
    CANCELLED,
    ENDED,
    FAILED,
    PENDING,
    RUNNING,
    STEPS,
    SUCCEEDED,
    RunStatus,
    StepStatus,
)
from loopwright.errors import RunError

MARK = "loopwright-progress "
"""What `loopwright.steps` begins a line of its log with that says how a step goes."""
CLOSED = "loopwright.dev/ended"
"""The annotation that says why a Workflow was ended by Loopwright: `{"state": ..., "error": ...}`."""

Log = Callable[[Object], str]
"""The log of a node's pod; empty where it cannot be had."""


def read(found: Object, log: Log, now: float | None = None) -> RunStatus:
    """The status of a Workflow at the moment `now`, in seconds since 1970."""
    status, metadata = found.get("status") or {}, found["metadata"]
    nodes = pods(found)
    lines = {name: _lines(node, log) for name, node in nodes.items()}
    state, error, code = _state(found)
    steps, told, told_code = _steps(nodes, lines, state)
    if state == FAILED:
        # A step's own message says more than Argo's, which knows an exit code.
        error, code = told or error or _message(found, nodes), told_code or code
    began = _seconds(status.get("startedAt") or metadata.get("creationTimestamp"))
    ended = _seconds(status.get("finishedAt")) if state in ENDED else 0.0
    name = metadata["name"]
    return RunStatus(
        name,
        metadata.get("labels", {}).get(LOOP_LABEL, ""),
        state,
        steps,
        began,
        max(0.0, (ended or (time.time() if now is None else now)) - began),
        version=_version(nodes) if state == SUCCEEDED else None,
        error=error,
        exit_code=code,
        log=f"the Workflow's pods: `kubectl -n {metadata['namespace']} logs -c main -l "
        f"workflows.argoproj.io/workflow={name}`",
    )


def pods(found: Object) -> dict[str, Object]:
    """The newest pod's node of each template of the pipeline, in their order."""
    nodes = [node for node in ((found.get("status") or {}).get("nodes") or {}).values() if node.get("type") == "Pod"]
    newest: dict[str, Object] = {}
    for name in PODS:
        mine = [node for node in nodes if node.get("templateName") == name]
        if mine:
            newest[name] = max(mine, key=lambda node: (str(node.get("startedAt") or ""), str(node.get("id"))))
    return newest


STARTING = ("PodInitializing", "ContainerCreating")
"""What a pod says whose image is pulled: that takes as long as it takes, within the run's deadline."""


def waits(found: Object) -> str:
    """Why a Workflow that should go on does not: its pod cannot start, or no controller has taken it up."""
    if not (found.get("status") or {}).get("phase"):
        return "Argo's controller has not taken it up"
    pending = [node for node in pods(found).values() if node.get("phase") == "Pending"]
    stuck = [node for node in pending if node.get("message") and node["message"] not in STARTING]
    return f"the pod {stuck[-1]['templateName']} does not start: {stuck[-1]['message']}" if stuck else ""


def _state(found: Object) -> tuple[str, str | None, int]:
    """(state, error, exit code) without what the steps told."""
    phase = (found.get("status") or {}).get("phase") or ""
    if phase in ("", "Pending"):
        return PENDING, None, 0
    if phase == "Running":
        return RUNNING, None, 0
    if phase == "Succeeded":
        return SUCCEEDED, None, 0
    closed: Mapping[str, Any] = {}
    with suppress(ValueError):
        closed = json.loads((found["metadata"].get("annotations") or {}).get(CLOSED, "{}"))
    if closed:
        failed = closed["state"] == FAILED
        return closed["state"], closed["error"], RunError.exit_code if failed else 0
    # `argo stop` and `argo terminate` are a person's.
    if (found.get("spec") or {}).get("shutdown"):
        return CANCELLED, "cancelled", 0
    return FAILED, None, RunError.exit_code


def _message(found: Object, nodes: Mapping[str, Object]) -> str:
    for name, node in reversed(list(nodes.items())):
        if node.get("phase") in ("Failed", "Error"):
            why = node.get("message") or "it says not why"
            return f"the pod {name} failed: {why}{_memory(name) if OUT_OF_MEMORY in why else ''}"
    return f"its Workflow failed: {found['status'].get('message') or 'it says not why'}"


def _memory(pod: str) -> str:
    key = "resources" if pod == LARGE else "otherResources"
    return (
        f"; it needs more memory than its limit, so it was not tried again. Raise `training.{key}.limits.memory` of "
        f"the chart, or the limit of the template {pod} in the WorkflowTemplate"
    )


def _lines(node: Object, log: Log) -> list[dict[str, Any]]:
    """What the steps of a pod told."""
    left = {one["name"]: one.get("value") for one in (node.get("outputs") or {}).get("parameters") or []}
    text, mark = str(left.get("progress") or ""), ""
    if not text and node.get("phase") in ("Running", "Failed", "Error"):
        text, mark = log(node), MARK
    lines = []
    for line in text.splitlines():
        # The last line may be half there while it is written.
        with suppress(ValueError):
            if line.startswith(mark):
                lines.append(json.loads(line.removeprefix(mark)))
    return lines


def _steps(
    nodes: Mapping[str, Object], lines: Mapping[str, list[dict[str, Any]]], state: str
) -> tuple[tuple[StepStatus, ...], str | None, int]:
    """Every step's state and seconds, and the message and exit code of the one that failed."""
    states, began, seconds = dict.fromkeys(STEPS, PENDING), dict[str, float](), dict.fromkeys(STEPS, 0.0)
    error, code = None, 0
    for name, told in lines.items():
        for line in told:
            step = line["step"]
            states[step] = line["state"]
            began.setdefault(step, line["at"])
            seconds[step] = round(line["at"] - began[step], 3)
            error, code = line.get("error", error), line.get("exit_code", code)
        # A pod that was killed could not say so.
        over = state in ENDED or nodes[name].get("phase") in ("Failed", "Error")
        for step in PODS[name]:
            if over and states[step] == RUNNING:
                states[step] = FAILED
    return tuple(StepStatus(step, states[step], seconds[step]) for step in STEPS), error, code


def _version(nodes: Mapping[str, Object]) -> int | None:
    outputs = ((nodes.get("judge") or {}).get("outputs") or {}).get("parameters") or []
    left = {one["name"]: one.get("value") for one in outputs}
    return int(left.get("version") or 0) or None


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0
