"""Batch scoring as objects of Argo Workflows: one pod begins the job, many score a share each, one sums it up.

    begin -> shares -> score share 0/8, 1/8, ... (withParam) -> end

The pods are those of the training: image, secrets, claims and limits are taken from the WorkflowTemplate that is
installed in the namespace, so that a cluster on which pipelines run needs nothing more. All pods write into the same
output by the receipts of `loopwright.scoring`, so one that was lost is started again and goes on.
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loopwright.cluster.argo import API, LOOP_LABEL, TEMPLATE, WORKFLOW, checked
from loopwright.cluster.objects import Kind, Object
from loopwright.cluster.refusals import Conflict
from loopwright.engines.argo_objects import OUT_OF_MEMORY, asked
from loopwright.errors import RunError
from loopwright.loop import Loop

if TYPE_CHECKING:
    from loopwright.cluster.api import Cluster

CRON = Kind(API, "cronworkflows", "CronWorkflow")
RUN_LABEL = "loopwright.dev/pipeline"
OF_TRAINING = "train"
"""The template of the training whose pod is taken: the one with memory for a model and many rows."""
RETRIES = 3
AGAIN = (
    "(lastRetry.status == 'Error' || lastRetry.exitCode in ['-1', '7', '8', '14', '137', '143'])"
    f" && !(lastRetry.message contains '{OUT_OF_MEMORY}')"
)
"""A pod is tried again when it was lost or killed, or ledger (7), registry (8) or output (14) did not answer; not when
it was killed for its memory, for it would need as much."""
DATE = "{date}"
"""In an input or an output: the day on which the Workflow was made, as 2026-11-21."""
_DAY = "-".join(f"{{{{workflow.creationTimestamp.{part}}}}}" for part in "Ymd")
_KEPT = ("serviceAccountName", "ttlStrategy", "podGC", "podMetadata", "securityContext", "podSpecPatch", "volumes")


@dataclass(frozen=True)
class Scoring:
    """What is asked for."""

    loop: Loop
    version: str
    """A number or an alias; empty for the champion at the time."""
    arguments: Sequence[str]
    """Of `loopwright score`: --input, --output and the like."""
    pods: int


def workflow(scoring: Scoring, template: Object, at: datetime) -> Object:
    """The Workflow of one job, made of the installed training template."""
    name = f"{scoring.loop.name}-score-{at.astimezone(UTC):%Y%m%d-%H%M%S}"
    content = {
        "apiVersion": API,
        "kind": "Workflow",
        "metadata": _named(scoring, name),
        "spec": spec(scoring, template),
    }
    return checked("workflow", content)


def cron(scoring: Scoring, template: Object, schedule: str) -> Object:
    """The CronWorkflow that scores by a schedule of five fields; a job that is due while one runs is left out."""
    content = {
        "apiVersion": API,
        "kind": "CronWorkflow",
        "metadata": _named(scoring, f"{scoring.loop.name}-scoring"),
        "spec": {
            "schedules": [schedule],
            "timezone": scoring.loop.retrain.timezone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 5,
            "failedJobsHistoryLimit": 5,
            "workflowMetadata": {"labels": _labels(scoring)},
            "workflowSpec": spec(scoring, template),
        },
    }
    return checked("cron_workflow", content)


def spec(scoring: Scoring, template: Object) -> Object:
    """What a Workflow does, with the pod of the training template."""
    # Argo's models change what they are given.
    template = copy.deepcopy(template)
    container = _container(template)
    request = {"name": "request", "value": asked(scoring.loop.to_json(), "")}
    shares = {"name": "shares", "valueFrom": {"path": "/tmp/out/shares"}}  # noqa: S108 in the container
    each = {"name": "share", "value": "{{item}}"}
    steps = [
        [{"name": "begin", "template": "begin"}],
        [
            {
                "name": "share",
                "template": "share",
                "arguments": {"parameters": [each]},
                "withParam": "{{steps.begin.outputs.parameters.shares}}",
            }
        ],
        [{"name": "end", "template": "end"}],
    ]
    return {
        **{name: template["spec"][name] for name in _KEPT if name in template["spec"]},
        "entrypoint": "scoring",
        "arguments": {"parameters": [request]},
        "templates": [
            {"name": "scoring", "steps": steps},
            _pod("begin", container, ["--pods", str(scoring.pods)], scoring) | {"outputs": {"parameters": [shares]}},
            _pod("share", container, ["--share", "{{inputs.parameters.share}}"], scoring)
            | {"inputs": {"parameters": [{"name": "share"}]}},
            _pod("end", container, ["--only", "end"], scoring),
        ],
    }


def submit(cluster: "Cluster", scoring: Scoring, template: str, schedule: str = "", at: datetime | None = None) -> str:
    """Make the Workflow, or with a schedule the CronWorkflow in place of an older one; its name is returned.

    Raises RunError where the training template is not installed.
    """
    found = cluster.get(TEMPLATE, template)
    if found is None:
        raise RunError(
            f"there is no WorkflowTemplate {template} in the namespace {cluster.namespace}",
            expected="Argo Workflows on the cluster, and the chart's `engine=argo`: scoring has the training's pods",
            do="see docs/argo.md; LOOPWRIGHT_TRAINING_TEMPLATE names another one",
        )
    if not schedule:
        made = workflow(scoring, found, at or datetime.now(UTC))
        cluster.create(WORKFLOW, made)
        return str(made["metadata"]["name"])
    made = cron(scoring, found, schedule)
    name = str(made["metadata"]["name"])
    try:
        cluster.create(CRON, made)
    except Conflict:
        cluster.patch(CRON, name, {"spec": made["spec"], "metadata": {"labels": made["metadata"]["labels"]}})
    return name


def _container(template: Object) -> Object:
    templates = template.get("spec", {}).get("templates", [])
    found = next((one["container"] for one in templates if one.get("name") == OF_TRAINING and "container" in one), None)
    if found is None:
        raise RunError(
            f"the WorkflowTemplate has no template {OF_TRAINING}",
            expected="the one of the chart, of manifests/ or of `loopwright render --argo`",
            do="install it again; docs/argo.md says how",
        )
    return dict(found)


def _pod(name: str, container: Object, more: list[str], scoring: Scoring) -> Object:
    given = [re.sub(re.escape(DATE), _DAY, one) for one in scoring.arguments]
    version = ["--version", scoring.version] if scoring.version else []
    again = {"limit": str(RETRIES), "retryPolicy": "Always", "backoff": {"duration": "5", "factor": "2"}}
    return {
        "name": name,
        "container": copy.deepcopy(container)
        | {"command": ["python", "-m", "loopwright.cli.score_pod"], "args": [*given, *version, *more]},
        "retryStrategy": again | {"expression": AGAIN},
    }


def _named(scoring: Scoring, name: str) -> Object:
    # A loop's name has at most 40 characters, and a Workflow's, which is a label's value, 63.
    return {"name": name, "labels": _labels(scoring)}


def _labels(scoring: Scoring) -> dict[str, str]:
    return {LOOP_LABEL: scoring.loop.name, RUN_LABEL: "scoring"}
