"""A rollout as an Argo Workflow: what a person runs as `loopwright rollout`, as durable steps on the cluster.

A WorkflowTemplate, which the chart and the kustomize component `rollouts` install, has the steps: where the loop says
`gates.approval: required` it suspends until a person says yes; a pod then runs the same `loopwright rollout` that a
terminal runs; and when the Workflow ends in any other way than well, its exit handler takes the challenger back. The
rollout's state is kept beside the InferenceService, so that a pod that is lost goes on where it was in the next one.

A Workflow's name is the key of its submission: (loop, version, attempt), so that submitting twice makes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from loopwright.cluster.argo import API, CONFINED, EXECUTOR, LOOP_LABEL, POD_SECURITY, checked, secret
from loopwright.cluster.objects import Object
from loopwright.loop import Loop
from loopwright.rollout.evidence import plan
from loopwright.settings import Settings

__all__ = ["LOOP_LABEL", "NAME", "SUSPENDED", "VERSION_LABEL", "Place", "deadline", "name", "template", "workflow"]

NAME = "loopwright-rollout"
"""The WorkflowTemplate, its service account and the Role of that."""
VERSION_LABEL = "loopwright.dev/version"
SUSPENDED = "approval"
"""The template that waits for a person."""
APPROVAL_DAYS = 14
"""A Workflow ends after as long, whatever it waits for."""
KEPT_DAYS = 7
"""How long a Workflow that has ended and its pods' logs can be looked at; Argo then deletes them."""
RETRIES = 6
AGAIN = "lastRetry.status == 'Error' || lastRetry.exitCode in ['-1', '7', '8', '10', '137', '143']"
"""A pod is tried again when it was lost or killed, when ledger (7) or registry (8) were away, and on exit code 10: the
rollout cannot go on at present, as the data plane is away or the process before it still holds the lock. Not on 11: the
version was judged and taken back."""


@dataclass(frozen=True)
class Place:
    """What the pods of a rollout are made of, as it is called in the namespace."""

    image: str
    pull_policy: str = "IfNotPresent"
    config: str = "loopwright-loop"
    """The ConfigMap with loop.yaml, and the feature code if `features` names its file."""
    features: str = "features.py"
    secret: str = "loopwright"  # noqa: S105 its name
    """The Secret with `token`, and `ledger-url` and `registry-uri` where ledger and registry are servers."""
    claim: str = ""
    """The trigger's claim, where ledger and registry are files on it."""
    models: str = ""
    """The claim that `serving.models` of the loop names, if it is one."""
    labels: Mapping[str, str] = field(default_factory=dict)


def template(place: Place) -> Object:
    """The WorkflowTemplate of a place."""
    labels = {"labels": dict(place.labels)} if place.labels else {}
    content = {
        "apiVersion": API,
        "kind": "WorkflowTemplate",
        "metadata": {"name": NAME, **labels},
        "spec": _spec(place),
    }
    return checked("workflow_template", content)


def workflow(loop: Loop, version: int, attempt: int, settings: Settings) -> Object:
    """The Workflow of one version's rollout, by the template."""
    parameters = {"version": version, "approval": loop.gates.approval, "deadline": deadline(loop, settings)}
    content = {
        "apiVersion": API,
        "kind": "Workflow",
        "metadata": {
            "name": name(loop.name, version, attempt),
            "labels": {LOOP_LABEL: loop.name, VERSION_LABEL: str(version)},
        },
        "spec": {
            "arguments": {"parameters": [{"name": key, "value": str(text)} for key, text in parameters.items()]},
            "workflowTemplateRef": {"name": settings.rollout_template},
        },
    }
    return checked("workflow", content)


def name(loop: str, version: int, attempt: int) -> str:
    """What the Workflow of an attempt is called."""
    return f"{loop}-rollout-v{version}-{attempt}"


def deadline(loop: Loop, settings: Settings) -> int:
    """Seconds after which a rollout has ended by itself: each step and the start have their `timeout`, and some.

    An A/B test has its horizon beside, and blue/green the time that the former version is kept.
    """
    rollout, seconds = loop.rollout, settings.clock.seconds
    steps = len(plan(rollout)) + 2
    more = {"ab": rollout.ab.horizon, "blue_green": rollout.keep}.get(rollout.strategy, timedelta())
    return int(steps * max(seconds(rollout.timeout), 60.0) + seconds(more)) + 600


def _spec(place: Place) -> Object:
    day = 24 * 3600
    return {
        "entrypoint": "rollout",
        "onExit": "ended",
        "arguments": {
            "parameters": [
                {"name": "version"},
                {"name": "approval", "value": "auto", "enum": ["auto", "required"]},
                {"name": "deadline", "value": str(day)},
            ]
        },
        "serviceAccountName": NAME,
        "activeDeadlineSeconds": APPROVAL_DAYS * day,
        "ttlStrategy": {"secondsAfterCompletion": KEPT_DAYS * day},
        **({"podMetadata": {"labels": dict(place.labels)}} if place.labels else {}),
        "securityContext": POD_SECURITY,
        "podSpecPatch": EXECUTOR,
        "volumes": [
            {"name": "loop", "configMap": {"name": place.config}},
            {"name": "state", **(_claim(place.claim) if place.claim else {"emptyDir": {}})},
            {"name": "tmp", "emptyDir": {}},
            *([{"name": "models", **_claim(place.models)}] if place.models else []),
        ],
        "templates": [*_steps(), *_pods(place)],
    }


def _claim(name: str) -> Object:
    return {"persistentVolumeClaim": {"claimName": name}}


def _steps() -> list[Object]:
    """What follows on what."""
    required = "{{workflow.parameters.approval}} == required"
    by, reason = "{{steps.wait.outputs.parameters.by}}", "{{steps.wait.outputs.parameters.reason}}"
    given = {"parameters": [{"name": "by", "value": by}, {"name": "reason", "value": reason}]}
    return [
        {
            "name": "rollout",
            "steps": [
                [{"name": "approval", "template": "approved-by-a-person", "when": required}],
                [{"name": "take-live", "template": "take-live"}],
            ],
        },
        {
            "name": "approved-by-a-person",
            "steps": [
                [{"name": "wait", "template": SUSPENDED}],
                # It may have been approved otherwise meanwhile. `take-live` refuses a version that is not approved.
                [
                    {
                        "name": "record",
                        "template": "record",
                        "arguments": given,
                        "when": f"'{by}' != ''",
                        "continueOn": {"failed": True},
                    }
                ],
            ],
        },
        {
            "name": SUSPENDED,
            "suspend": {},
            "outputs": {
                "parameters": [{"name": key, "valueFrom": {"supplied": {}, "default": ""}} for key in ("by", "reason")]
            },
        },
        {
            "name": "ended",
            "steps": [
                [{"name": "take-back", "template": "take-back", "when": "{{workflow.status}} != Succeeded"}],
            ],
        },
    ]


def _pods(place: Place) -> list[Object]:
    """What runs `loopwright` in a pod."""
    version = "--version={{workflow.parameters.version}}"
    retry = {"limit": str(RETRIES), "retryPolicy": "Always", "backoff": {"duration": "5", "factor": "2"}}
    record = _pod(place, "record", ["approve", "/loop", version, "--reason={{inputs.parameters.reason}}"])
    # Who said yes is the user that the command runs as.
    record["container"]["env"].append({"name": "LOGNAME", "value": "{{inputs.parameters.by}}"})
    back = "--reason=its workflow ended: {{workflow.status}}"
    return [
        record | {"inputs": {"parameters": [{"name": "by"}, {"name": "reason"}]}},
        _pod(place, "take-live", ["rollout", "/loop", version, "--on=kserve"])
        | {
            "activeDeadlineSeconds": "{{workflow.parameters.deadline}}",
            "retryStrategy": retry | {"expression": AGAIN},
        },
        _pod(place, "take-back", ["rollout", "abort", "/loop", version, "--on=kserve", back])
        | {"retryStrategy": retry},
    ]


def _pod(place: Place, name: str, arguments: list[str]) -> Object:
    mounts = [{"name": "loop", "mountPath": "/loop/loop.yaml", "subPath": "loop.yaml", "readOnly": True}]
    if place.features:
        path, key = f"/loop/{place.features}", place.features
        mounts.append({"name": "loop", "mountPath": path, "subPath": key, "readOnly": True})
    mounts += [{"name": "state", "mountPath": "/state"}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 a volume
    mounts += [{"name": "models", "mountPath": "/models"}] if place.models else []
    return {
        "name": name,
        "container": {
            "name": "main",
            "image": place.image,
            "imagePullPolicy": place.pull_policy,
            "command": ["loopwright"],
            "args": arguments,
            "env": [
                {"name": "LOOPWRIGHT_STATE", "value": "/state"},
                {"name": "LOOPWRIGHT_NAMESPACE", "value": "{{workflow.namespace}}"},
                secret(place.secret, "TOKEN", "token"),
                secret(place.secret, "LEDGER_URL", "ledger-url", optional=True),
                secret(place.secret, "REGISTRY_URI", "registry-uri", optional=True),
                secret(place.secret, "PROMETHEUS_URL", "prometheus-url", optional=True),
                *([{"name": "LOOPWRIGHT_MODELS", "value": "/models"}] if place.models else []),
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
            "securityContext": CONFINED | {"readOnlyRootFilesystem": True},
            "volumeMounts": mounts,
        },
    }
