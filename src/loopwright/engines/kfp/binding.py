"""The compiled pipeline made fit for a cluster: image, secrets, claims, resources, retries, and how long pods are kept.

    pipelines/training.yaml + Options -> two YAML documents, the pipeline's and KFP's platform's, as kfp compiles them

What is compiled with the package names no cluster, so it is bound when it is submitted. The platform's part is made of
kfp-kubernetes' own message, so that a field that KFP does not know is an error here and not an empty pod there.
"""

import copy
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from loopwright.engines.kfp.options import Options

# As user 65532 of the image, group 65532.
USER = 65532


def bind(compiled: Path, options: Options) -> str:
    """The YAML to upload: the compiled pipeline for this cluster."""
    spec: dict[str, Any] = yaml.safe_load(compiled.read_text(encoding="utf-8"))
    for executor in spec["deploymentSpec"]["executors"].values():
        container = executor["container"]
        container["image"] = options.image or container["image"]
        container["resources"] = _resources(options)
        container["env"] = [{"name": name, "value": value} for name, value in _env(options).items()]
    for task in _steps(spec):
        task.pop("retryPolicy", None)
        if options.retries:
            task["retryPolicy"] = {
                "maxRetryCount": options.retries,
                "backoffDuration": "10s",
                "backoffFactor": 2.0,
                "backoffMaxDuration": "300s",
            }
    return yaml.safe_dump_all([spec, _platform(list(spec["deploymentSpec"]["executors"]), options)], sort_keys=True)


def name_of(text: str) -> str:
    """The name of a pipeline's version: the same content has the same one, so that it is uploaded once."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _steps(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The tasks that are a pod, in loops, too; a loop is a task itself, which is not tried again as a whole."""
    components = spec["components"]
    for dag in (spec["root"], *components.values()):
        for task in dag.get("dag", {}).get("tasks", {}).values():
            if "executorLabel" in components[task["componentRef"]["name"]]:
                yield task


def _env(options: Options) -> dict[str, str]:
    # The root file system may be read-only; what is not on the claim ends with the pod.
    state = options.state_path if options.state_claim else "/tmp/loopwright"  # noqa: S108 - the pod's own
    # KFP's API says that a task failed and not why; the ledger does.
    return {"LOOPWRIGHT_STATE": state, "LOOPWRIGHT_FAILURES": "ledger", "HOME": "/tmp"}  # noqa: S108


def _resources(options: Options) -> dict[str, str]:
    wanted = {
        "resourceCpuRequest": options.cpu,
        "resourceMemoryRequest": options.memory,
        "resourceMemoryLimit": options.memory,
    }
    return {name: value for name, value in wanted.items() if value}


def _platform(executors: list[str], options: Options) -> dict[str, Any]:
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2 as messages

    config = json_format.ParseDict(_pod(options), messages.KubernetesExecutorConfig())
    # A copy each: YAML would write the same object as an alias, which KFP's parser need not know.
    one = json_format.MessageToDict(config)
    kubernetes: dict[str, Any] = {"deploymentSpec": {"executors": {name: copy.deepcopy(one) for name in executors}}}
    if options.ttl:
        kubernetes["pipelineConfig"] = {"resourceTtlOnCompletion": options.ttl}
    return {"platforms": {"kubernetes": kubernetes}}


def _pod(options: Options) -> dict[str, Any]:
    mounts = [(options.state_claim, options.state_path), (options.data_claim, options.data_path)]
    pod: dict[str, Any] = {
        "imagePullPolicy": options.pull_policy,
        "podMetadata": {"labels": {"app.kubernetes.io/name": "loopwright", "app.kubernetes.io/component": "step"}},
        "securityContext": {"runAsUser": str(USER), "runAsGroup": str(USER), "runAsNonRoot": True},
        # What a recurring run is called by: KFP 2.17 leaves [[ScheduledTime]] in its parameters as it stands.
        "fieldPathAsEnv": [{"name": "LOOPWRIGHT_KFP_RUN", "fieldPath": "metadata.labels['pipeline/runid']"}],
        "pvcMount": [
            {"pvcNameParameter": _constant(claim), "constant": claim, "mountPath": path}
            for claim, path in mounts
            if claim
        ],
    }
    if options.secret:
        keys = {"ledger-url": "LOOPWRIGHT_LEDGER_URL", "registry-uri": "LOOPWRIGHT_REGISTRY_URI"}
        keys |= {name.strip(): name.strip() for name in options.secret_env.split(",") if name.strip()}
        pod["secretAsEnv"] = [
            {
                "secretName": options.secret,
                "secretNameParameter": _constant(options.secret),
                # What the state folder holds needs no URL.
                "optional": bool(options.state_claim),
                "keyToEnv": [{"secretKey": key, "envVar": variable} for key, variable in keys.items()],
            }
        ]
    return pod


def _constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}
