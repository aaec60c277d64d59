"""A real Prometheus and a real Alertmanager as manifests, in pods that the `restricted` standard admits.

Rules, routes and texts are the files that `loopwright render --prometheus` writes. Debian builds its Prometheus without
the discovery of Kubernetes, so that the predictors' pods are found by the DNS of a Service without an address.
"""

import json
from typing import Any

IMAGE = "docker.io/loopwright-e2e/prometheus:debian"
EVERY = "1s"
PODS = "churn-pods"
PORTS = (8080, 9090)
"""Of the predictor and of the monitor beside it."""


def scraped(namespace: str) -> dict[str, Any]:
    """How Prometheus finds the pods, with the labels that its operator would give their samples."""
    names = [f"{PODS}.{namespace}.svc.cluster.local"]
    return {
        "job_name": "pods",
        "scrape_interval": EVERY,
        "scrape_timeout": EVERY,
        "dns_sd_configs": [{"names": names, "type": "A", "port": port, "refresh_interval": EVERY} for port in PORTS],
        "relabel_configs": [
            {"target_label": "namespace", "replacement": namespace},
            {"source_labels": ["__address__"], "regex": "(.*):.*", "target_label": "pod"},
        ],
    }


CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
POD_SECURITY = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}


def manifests(namespace: str, files: dict[str, str], secret: str) -> list[dict[str, Any]]:
    """Both servers; `files` are the rendered ones, `secret` has the trigger's token."""
    configuration = {
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": ["/etc/prometheus/rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": [scraped(namespace)],
    }
    selector = {"component": "predictor", "serving.kserve.io/inferenceservice": "churn"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": PODS},
            "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector},
        },
        *_server(
            "prometheus",
            9090,
            ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/data"],
            {"prometheus.yml": json.dumps(configuration), "rules.yml": files["rules.yml"]},
        ),
        *_server(
            "alertmanager",
            9093,
            [
                "--config.file=/etc/alertmanager/alertmanager.yml",
                "--storage.path=/data",
                "--cluster.listen-address=",
            ],
            {name: files[name] for name in ("alertmanager.yml", "loopwright.tmpl")},
            {"token": secret},
        ),
    ]


def _server(
    name: str,
    port: int,
    arguments: list[str],
    files: dict[str, str],
    secrets: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """A server's ConfigMap, Deployment and Service; `secrets` are the Secret of each key that it reads as a file."""
    labels = {"app": name}
    mounts = [{"name": "files", "mountPath": f"/etc/{name}"}, {"name": "data", "mountPath": "/data"}]
    volumes: list[dict[str, Any]] = [{"name": "files", "configMap": {"name": name}}, {"name": "data", "emptyDir": {}}]
    for key, secret in (secrets or {}).items():
        mounts.append({"name": key, "mountPath": f"/etc/{name}/secrets/{secret}"})
        volumes.append({"name": key, "secret": {"secretName": secret, "items": [{"key": key, "path": key}]}})
    container = {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        # Debian calls Prometheus' own programs so.
        "command": ["prometheus" if name == "prometheus" else "prometheus-alertmanager"],
        "args": arguments,
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": port}, "periodSeconds": 1},
        "securityContext": CONFINED,
        "volumeMounts": mounts,
    }
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {**POD_SECURITY, "fsGroup": 65532},
        "containers": [container],
        "volumes": volumes,
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": files},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": port}]},
        },
    ]
