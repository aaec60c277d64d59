"""The training pipeline as objects of Argo Workflows: a template in the namespace, and what is submitted by it.

The six steps run in three pods, as each pod costs some seconds: `prepare` (snapshot, validate, split), `train`, which
is the one that needs a large machine, and `judge` (evaluate, register). The template knows no loop: what is asked for,
the declaration and the feature code, comes as the parameter `request`, so that a run is of what was asked for and not
of what happens to be installed. A Workflow's name is the run's name, which is in the ledger before it is submitted:
the API server takes a name once.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from loopwright.cluster.argo import API, CONFINED, EXECUTOR, LOOP_LABEL, POD_SECURITY, checked, secret
from loopwright.cluster.objects import Object
from loopwright.engines.protocol import RunRequest
from loopwright.errors import RunError
from loopwright.loop import Loop
from loopwright.settings import REQUEST

NAME = "loopwright-training"
"""The WorkflowTemplate, its service account and the Role of that."""
RUN_LABEL = "loopwright.dev/pipeline"
"""The label that all Workflows of the pipeline have; rollouts have none of it."""
PODS: Mapping[str, tuple[str, ...]] = {
    "prepare": ("snapshot", "validate", "split"),
    "train": ("train",),
    "judge": ("evaluate", "register"),
}
"""Which steps run in which pod, in order."""
LARGE = "train"
"""The one with the resources of a large machine; `training.resources` of the chart."""
KEPT_DAYS = 7
"""How long a Workflow that has ended can be looked at; Argo then deletes it."""
TIMEOUT = timedelta(hours=6)
RETRIES = 3
OUT_OF_MEMORY = "OOMKilled"
"""What Argo's message begins with of a pod that was killed for its memory (exit code 137, as of any kill)."""
AGAIN = (
    "(lastRetry.status == 'Error' || lastRetry.exitCode in ['-1', '7', '8', '137', '143'])"
    f" && !(lastRetry.message contains '{OUT_OF_MEMORY}')"
)
"""A pod is tried again when it was lost or killed, and where the ledger, the bucket (7) or the registry (8) did not
answer. Not for what another try does not mend: the declaration (2), the data (3), too little memory, a bug (1)."""
LONGEST = 100_000
"""Characters of a request. It becomes an environment variable, which Linux bounds at 128 KiB (MAX_ARG_STRLEN)."""

_ENDED = "ended"


@dataclass(frozen=True)
class Place:
    """What the pods of a run are made of, as it is called in the namespace."""

    image: str
    pull_policy: str = "IfNotPresent"
    name: str = NAME
    secret: str = "loopwright"  # noqa: S105 its name
    """The Secret with `ledger-url` and `registry-uri`, where ledger and registry are servers."""
    storage_secret: str = "loopwright-storage"  # noqa: S105 its name
    """The Secret whose keys become environment variables: the credentials of buckets. It need not exist."""
    claim: str = ""
    """The trigger's claim, where ledger and registry are files on it; mounted at /state."""
    artifacts: str = "/state/runs"
    """Where pods leave files for each other: a bucket's URL, or a folder on the claim."""
    data: str = ""
    """The claim with the rows."""
    data_path: str = "/loop/data"
    """Where it is mounted; a relative `data.source` is relative to /loop."""
    labels: Mapping[str, str] = field(default_factory=dict)


def template(place: Place) -> Object:
    """The WorkflowTemplate of a place."""
    labels = {"labels": dict(place.labels)} if place.labels else {}
    content = {
        "apiVersion": API,
        "kind": "WorkflowTemplate",
        "metadata": {"name": place.name, **labels},
        "spec": _spec(place),
    }
    return checked("workflow_template", content)


def workflow(request: RunRequest, name: str = NAME) -> Object:
    """The Workflow of one run, by the template `name`. Raises RunError for a request that is too long."""
    content = {
        "apiVersion": API,
        "kind": "Workflow",
        "metadata": {"name": request.run, "labels": _labels(request.name)},
        "spec": {
            "activeDeadlineSeconds": int(request.timeout.total_seconds()),
            "arguments": _arguments(
                request=asked(request.loop, request.features), cause=str(request.cause), reason="a request"
            ),
            "workflowTemplateRef": {"name": name},
        },
    }
    return checked("workflow", content)


def cron(loop: Loop, features: str, name: str = NAME) -> Object | None:
    """The CronWorkflow of `retrain.schedule`, for clusters without a trigger; None where no schedule is declared.

    `features` is the feature code's source. A run that is due while one is under way is left out.
    """
    schedule = loop.retrain.schedule
    if schedule is None:
        return None
    reason = f"its schedule, {schedule} ({loop.retrain.timezone})"
    content = {
        "apiVersion": API,
        "kind": "CronWorkflow",
        # Argo appends the moment, and a Workflow's name is a label's value, of 63 characters.
        "metadata": {"name": f"{loop.name}-training", "labels": _labels(loop.name)},
        "spec": {
            "schedules": [schedule],
            "timezone": loop.retrain.timezone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 5,
            "failedJobsHistoryLimit": 5,
            "workflowMetadata": {"labels": _labels(loop.name)},
            "workflowSpec": {
                "arguments": _arguments(request=asked(loop.to_json(), features), reason=reason),
                "workflowTemplateRef": {"name": name},
            },
        },
    }
    return checked("cron_workflow", content)


def asked(loop: str, features: str) -> str:
    """The parameter `request`. Two braces, which Argo would take for its own, are written as JSON's escapes."""
    text = json.dumps({"loop": json.loads(loop), "features": features}, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > LONGEST:
        raise RunError(
            f"the declaration and its feature code have {len(text.encode()):,} bytes",
            expected=f"at most {LONGEST:,} for a run on Argo Workflows",
            do="put the larger part of the feature code into a package of the component image",
        )
    return re.sub(r"\{(?=\{)", r"\\u007b", text)


def _labels(loop: str) -> dict[str, str]:
    return {LOOP_LABEL: loop, RUN_LABEL: "training"}


def _arguments(**values: str) -> Object:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def _spec(place: Place) -> Object:
    state = {"persistentVolumeClaim": {"claimName": place.claim}} if place.claim else {"emptyDir": {}}
    data = {"persistentVolumeClaim": {"claimName": place.data, "readOnly": True}}
    return {
        "entrypoint": "training",
        "onExit": _ENDED,
        "arguments": {
            "parameters": [
                {"name": "request"},
                {"name": "cause", "value": "0"},
                {"name": "reason", "value": "its schedule"},
                {"name": "artifacts", "value": place.artifacts},
            ]
        },
        "serviceAccountName": place.name,
        "activeDeadlineSeconds": int(TIMEOUT.total_seconds()),
        "ttlStrategy": {"secondsAfterCompletion": KEPT_DAYS * 24 * 3600},
        # What a run that went well printed is in the ledger; the pods of others are kept to be looked at.
        "podGC": {"strategy": "OnWorkflowSuccess"},
        **({"podMetadata": {"labels": dict(place.labels)}} if place.labels else {}),
        "securityContext": POD_SECURITY,
        "podSpecPatch": EXECUTOR,
        "volumes": [
            {"name": "state", **state},
            {"name": "tmp", "emptyDir": {}},
            *([{"name": "data", **data}] if place.data else []),
        ],
        "templates": [_order(), *(_pod(place, name) for name in PODS), *_end(place)],
    }


def _order() -> Object:
    """Each pod is caused by the last entry of the one before."""
    steps, cause = [], "{{workflow.parameters.cause}}"
    for name in PODS:
        steps.append([{"name": name, "template": name, "arguments": _arguments(cause=cause)}])
        cause = f"{{{{steps.{name}.outputs.parameters.entry}}}}"
    return {"name": "training", "steps": steps}


def _end(place: Place) -> list[Object]:
    """Who submitted a run writes how it ended; of one that nobody asked for, this does."""
    unasked = "{{workflow.parameters.cause}} == 0"
    record = _container(place, "record-end", ["--run={{workflow.name}}", "--ended={{workflow.status}}"])
    record["retryStrategy"] = _retry()
    steps = [[{"name": "record-end", "template": "record-end", "when": unasked}]]
    return [{"name": _ENDED, "steps": steps}, record]


def _pod(place: Place, name: str) -> Object:
    arguments = [
        *PODS[name],
        "--run={{workflow.name}}",
        "--cause={{inputs.parameters.cause}}",
        "--reason={{workflow.parameters.reason}}",
        "--place={{workflow.parameters.artifacts}}",
    ]
    left = [
        {"name": key, "valueFrom": {"path": f"/tmp/out/{key}", "default": default}}  # noqa: S108 in the container
        for key, default in (("entry", "0"), ("version", "0"), ("progress", ""))
    ]
    return _container(place, name, arguments) | {
        "inputs": {"parameters": [{"name": "cause"}]},
        "outputs": {"parameters": left},
        "retryStrategy": _retry() | {"expression": AGAIN},
    }


def _retry() -> Object:
    return {"limit": str(RETRIES), "retryPolicy": "Always", "backoff": {"duration": "5", "factor": "2"}}


def _container(place: Place, name: str, arguments: list[str]) -> Object:
    large = name == LARGE
    mounts: list[Object] = [{"name": "state", "mountPath": "/state"}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 a volume
    mounts += [{"name": "data", "mountPath": place.data_path, "readOnly": True}] if place.data else []
    return {
        "name": name,
        "container": {
            "name": "main",
            "image": place.image,
            "imagePullPolicy": place.pull_policy,
            "command": ["python", "-m", "loopwright.steps"],
            "args": arguments,
            "env": [
                {"name": REQUEST, "value": "{{workflow.parameters.request}}"},
                {"name": "LOOPWRIGHT_STATE", "value": "/state"},
                secret(place.secret, "LEDGER_URL", "ledger-url", optional=True),
                secret(place.secret, "REGISTRY_URI", "registry-uri", optional=True),
            ],
            "envFrom": [{"secretRef": {"name": place.storage_secret, "optional": True}}],
            "resources": {
                "requests": {"cpu": "500m" if large else "100m", "memory": "1Gi" if large else "512Mi"},
                "limits": {"memory": "4Gi" if large else "2Gi"},
            },
            "securityContext": CONFINED | {"readOnlyRootFilesystem": True},
            "volumeMounts": mounts,
        },
    }
