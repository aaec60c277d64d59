"""The two containers of a predictor's pod: the model's server, of a ServingRuntime, and the monitor beside it."""

from loopwright.errors import DeclarationError
from loopwright.loop import Loop
from loopwright.loop.serving import Resources
from loopwright.serving.resources import names
from loopwright.serving.resources.names import GRPC_PORT, HTTP_PORT, MONITOR_PORT, Manifest

MODELS = "/mnt/models"
"""Where KServe mounts, or downloads, what `storageUri` names."""
SCRATCH = "/tmp"  # noqa: S108 - a volume of the pod's own
BUCKET_KEYS = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"),
    "gs": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
}
"""What the monitor reads of its environment for an archive in a bucket."""
DRAIN_SECONDS = 5
"""A pod that is to end serves on for as long: the gateway takes about a second to hear that it is to go."""


def serving_runtime(loop: Loop) -> Manifest:
    """How a bundle of this loop is served. An InferenceService names it, and adds --name, --version and --digest."""
    serving = loop.serving
    ports = [{"name": "http1", "containerPort": HTTP_PORT, "protocol": "TCP"}]
    if serving.mode == "standard":
        # A second port named like this makes KServe route gRPC to it; Knative takes one port only.
        ports.append({"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"})
    server = {
        "name": "kserve-container",
        "image": serving.images.of("predictor"),
        "imagePullPolicy": serving.images.pull_policy,
        "args": [
            f"--bundle={MODELS}",
            "--host=0.0.0.0",
            f"--http-port={HTTP_PORT}",
            f"--grpc-port={GRPC_PORT}",
            f"--monitor=http://127.0.0.1:{MONITOR_PORT}",
        ],
        "env": [_token(loop)],
        "ports": ports,
        "startupProbe": _probe("/v2/health/ready", HTTP_PORT, period=2, failures=60),
        "readinessProbe": _probe("/v2/health/ready", HTTP_PORT, period=5, timeout=5),
        "livenessProbe": _probe("/v2/health/live", HTTP_PORT, period=20, timeout=10, failures=6),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(DRAIN_SECONDS)]}}},
        "resources": resources(serving.resources.predictor),
        "securityContext": _confined(),
        "volumeMounts": [{"name": "tmp", "mountPath": SCRATCH}],
    }
    return {
        "apiVersion": f"{names.GROUP}/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": names.runtime(loop), "labels": names.labels(loop, "predictor")},
        "spec": {
            "annotations": {"prometheus.kserve.io/path": "/metrics", "prometheus.kserve.io/port": str(HTTP_PORT)},
            "supportedModelFormats": [{"name": "loopwright", "version": "1", "autoSelect": False}],
            "protocolVersions": ["v1", "v2", "grpc-v2"],
            "containers": [server],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def monitor(loop: Loop) -> Manifest:
    """The drift monitor: it takes the predictor's events and answers to Prometheus."""
    serving = loop.serving
    return {
        "name": "monitor",
        "image": serving.images.of("monitor"),
        "imagePullPolicy": serving.images.pull_policy,
        "args": [
            "--loop=/loop/loop.json",
            "--host=0.0.0.0",
            f"--port={MONITOR_PORT}",
            f"--alerts={serving.alerts}",
        ],
        "env": [_token(loop), *_archive(loop), *_remote_write(loop)],
        "ports": [{"name": "monitor", "containerPort": MONITOR_PORT, "protocol": "TCP"}],
        "readinessProbe": _probe("/healthz", MONITOR_PORT, period=5),
        "livenessProbe": _probe("/healthz", MONITOR_PORT, period=20, timeout=10, failures=6),
        "resources": resources(serving.resources.monitor),
        "securityContext": _confined(),
        "volumeMounts": [
            {"name": "loop", "mountPath": "/loop", "readOnly": True},
            {"name": "monitor-tmp", "mountPath": SCRATCH},
        ],
    }


def resources(declared: Resources) -> Manifest:
    """A container's resources as Kubernetes has them."""
    limits = declared.limits.model_dump(exclude_none=True)
    requests = declared.requests.model_dump(exclude_none=True)
    return {"requests": requests} | ({"limits": limits} if limits else {})


def _token(loop: Loop) -> Manifest:
    reference = {"name": loop.serving.secret, "key": "token"}
    return {"name": "LOOPWRIGHT_TOKEN", "valueFrom": {"secretKeyRef": reference}}


def _archive(loop: Loop) -> list[Manifest]:
    """The keys of the archive's bucket, where the Secret has them; a pod may have an identity instead."""
    archive = loop.monitor.archive
    if archive is None:
        return []
    scheme = archive.url.partition("://")[0]
    if scheme not in BUCKET_KEYS:
        raise DeclarationError(
            f"monitor.archive.url is {archive.url!r}, which every pod would have for itself and lose",
            expected="s3://BUCKET/PREFIX or gs://BUCKET/PREFIX on a cluster",
            do="name a bucket, or leave `monitor.archive` out",
        )
    return [_optional(loop, name, name) for name in BUCKET_KEYS[scheme]]


def _remote_write(loop: Loop) -> list[Manifest]:
    """Who pushes metrics, where the Secret says so."""
    names = ("REMOTE_WRITE_TOKEN", "REMOTE_WRITE_USER") if loop.monitor.remote_write else ()
    return [_optional(loop, f"LOOPWRIGHT_{name}", name) for name in names]


def _optional(loop: Loop, name: str, key: str) -> Manifest:
    """A variable from the Secret, if it has the key, which is named as its others are: aws-access-key-id."""
    reference = {"name": loop.serving.secret, "key": key.lower().replace("_", "-"), "optional": True}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _probe(path: str, port: int, *, period: int, timeout: int | None = None, failures: int | None = None) -> Manifest:
    probe: Manifest = {"httpGet": {"path": path, "port": port}, "periodSeconds": period}
    return probe | {
        key: value for key, value in (("timeoutSeconds", timeout), ("failureThreshold", failures)) if value is not None
    }


def _confined() -> Manifest:
    """The `restricted` pod security standard, and a root file system that nothing is written to."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
