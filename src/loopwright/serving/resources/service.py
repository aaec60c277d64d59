"""A loop's objects on a cluster: what `render` writes, `deploy` applies, and a rollout patches."""

from loopwright.loop import Loop
from loopwright.serving.resources import names, pods
from loopwright.serving.resources.names import Manifest

MODE = {"standard": "Standard", "knative": "Knative"}


def manifests(loop: Loop, version: int, digest: str | None = None) -> dict[str, Manifest]:
    """Every object of a service with one version, by the name of its file, in the order to apply them."""
    objects = {
        "servingruntime.yaml": pods.serving_runtime(loop),
        "loop.yaml": declaration(loop),
        "inferenceservice.yaml": inference_service(loop, version, digest),
    }
    if loop.serving.max_unavailable is not None and loop.serving.replicas.min > 1:
        objects["poddisruptionbudget.yaml"] = disruption_budget(loop)
    if loop.serving.scrape == "podmonitor":
        objects["podmonitor.yaml"] = pod_monitor(loop)
    return objects


def predictor(loop: Loop, version: int, digest: str | None = None) -> Manifest:
    """What makes a predictor this version and no other: a canary entry has this, and takes the rest from the stable."""
    arguments = [f"--name={loop.name}", f"--version={version}"]
    return {
        "name": names.predictor(version),
        "model": {
            "modelFormat": {"name": "loopwright"},
            "runtime": names.runtime(loop),
            "protocolVersion": "v2",
            "storageUri": loop.serving.storage_uri(loop.name, version),
            "args": arguments if digest is None else [*arguments, f"--digest={digest}"],
        },
    }


def canary(loop: Loop, version: int, percent: int, digest: str | None = None, replicas: int = 1) -> Manifest:
    """An entry of `spec.canary`. Without minReplicas there are no pods at 0 %."""
    return {"trafficPercent": percent, "predictor": predictor(loop, version, digest) | {"minReplicas": replicas}}


def inference_service(loop: Loop, version: int, digest: str | None = None) -> Manifest:
    """The InferenceService, with the monitor beside the model's server."""
    spec = predictor(loop, version, digest) | _replicas(loop) | pod(loop)
    if loop.serving.mode == "knative":
        # There the name is part of the Knative service's: with another one it would be another service.
        del spec["name"]
    return {
        "apiVersion": f"{names.GROUP}/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": loop.name,
            "labels": names.labels(loop, "predictor"),
            "annotations": _annotations(loop),
        },
        "spec": {"predictor": spec},
    }


def pod(loop: Loop) -> Manifest:
    """What the pods of every version have in common: a canary takes it from the stable predictor."""
    serving = loop.serving
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 30 + pods.DRAIN_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [pods.monitor(loop)],
        "volumes": [
            {"name": "loop", "configMap": {"name": names.config(loop)}},
            {"name": "monitor-tmp", "emptyDir": {}},
        ],
    }
    if serving.service_account:
        spec["serviceAccountName"] = serving.service_account
    if serving.spread:
        selector = {"matchLabels": {f"{names.GROUP}/inferenceservice": loop.name}}
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": selector,
                # Of one version's pods, without naming it: canaries take this from the stable predictor.
                "matchLabelKeys": ["app"],
            }
            for key in serving.spread
        ]
    if serving.node_selector:
        spec["nodeSelector"] = dict(serving.node_selector)
    if serving.tolerations:
        spec["tolerations"] = [one.model_dump(exclude_none=True) for one in serving.tolerations]
    return spec


def declaration(loop: Loop) -> Manifest:
    """The ConfigMap that the monitor reads the loop from."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": names.config(loop), "labels": names.labels(loop, "monitor")},
        "data": {"loop.json": loop.to_json()},
    }


def disruption_budget(loop: Loop) -> Manifest:
    """How many pods a node's drain may take away at once."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": loop.name, "labels": names.labels(loop, "predictor")},
        "spec": {"maxUnavailable": loop.serving.max_unavailable, "selector": _selector(loop)},
    }


def pod_monitor(loop: Loop) -> Manifest:
    """How Prometheus' operator finds both containers' metrics."""
    ports = ["http1", "monitor"]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": loop.name, "labels": names.labels(loop, "monitor")},
        "spec": {
            "selector": _selector(loop),
            "podMetricsEndpoints": [{"port": port, "path": "/metrics"} for port in ports],
        },
    }


def _selector(loop: Loop) -> Manifest:
    return {"matchLabels": {f"{names.GROUP}/inferenceservice": loop.name, "component": "predictor"}}


def _replicas(loop: Loop) -> Manifest:
    replicas, aim = loop.serving.replicas, loop.serving.autoscaling
    if not replicas.scaled:
        return {"minReplicas": replicas.min}
    return {
        "minReplicas": replicas.min,
        "maxReplicas": replicas.max,
        "scaleMetric": aim.metric,
        "scaleTarget": aim.target,
    }


def _annotations(loop: Loop) -> dict[str, str]:
    """They become the pods' too, so nothing that changes may stand here: each change would restart every pod."""
    annotations = {f"{names.GROUP}/deploymentMode": MODE[loop.serving.mode]}
    if loop.serving.mode == "standard":
        annotations[f"{names.GROUP}/autoscalerClass"] = "hpa" if loop.serving.replicas.scaled else "none"
    if loop.serving.scrape == "annotations":
        # Without a port, so that every port that a container names is asked: the predictor's and the monitor's.
        annotations |= {"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics"}
    return annotations
