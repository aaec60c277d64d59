"""What all objects of Argo Workflows that Loopwright makes have in common: rollouts and pipelines.

They are built with the models of Argo's own Python client, which refuse a value of another type, and are meant for
namespaces that enforce the `restricted` pod security standard.
"""

import json
from typing import cast

from loopwright.cluster.objects import Kind, Object

API = "argoproj.io/v1alpha1"
WORKFLOW = Kind(API, "workflows", "Workflow")
TEMPLATE = Kind(API, "workflowtemplates", "WorkflowTemplate")
LOOP_LABEL = "loopwright.dev/loop"
OF_WORKFLOW = "workflows.argoproj.io/workflow"
"""The label of Argo that a Workflow's pods have its name in."""

CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
EXECUTOR = json.dumps(
    {
        "initContainers": [{"name": "init", "securityContext": CONFINED}],
        "containers": [{"name": "wait", "securityContext": CONFINED}],
    },
    separators=(",", ":"),
)
"""Argo adds two containers to each pod. Without this a namespace that enforces `restricted` refuses them (3.7.12)."""
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}


def secret(name: str, variable: str, key: str, *, optional: bool = False) -> Object:
    """The environment variable `LOOPWRIGHT_<variable>` of a container, from a key of the Secret `name`."""
    reference = {"name": name, "key": key} | ({"optional": True} if optional else {})
    return {"name": f"LOOPWRIGHT_{variable}", "valueFrom": {"secretKeyRef": reference}}


def checked(kind: str, content: Object) -> Object:
    """The content as Argo's own models take it; `kind` as in their modules: workflow, workflow_template, cron_workflow.

    Raises ApiTypeError for a value of another type.
    """
    from importlib import import_module

    from argo_workflows.api_client import ApiClient
    from argo_workflows.configuration import Configuration

    module = import_module(f"argo_workflows.model.io_argoproj_workflow_v1alpha1_{kind}")
    model = getattr(module, f"IoArgoprojWorkflowV1alpha1{kind.title().replace('_', '')}")
    made = model._new_from_openapi_data(**content, _spec_property_naming=True, _configuration=Configuration())
    return cast(Object, ApiClient.sanitize_for_serialization(made))
