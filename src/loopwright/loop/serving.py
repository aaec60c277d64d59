"""The declared service: where a version's bundle lies, and how KServe runs the pods that serve it."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from loopwright import __version__
from loopwright.loop.fields import Declared

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOST = re.compile(rf"^{_LABEL}(\.{_LABEL})*$")


def _quantity(text: str) -> str:
    if not _QUANTITY.match(text):
        raise ValueError(f"{text!r} is no Kubernetes quantity, such as 250m (processors) or 512Mi (memory)")
    return text


def _host(text: str) -> str:
    if text and (not _HOST.match(text) or len(text) > 253):
        raise ValueError(f"{text!r} is no host name, such as churn.example.com")
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]
Host = Annotated[str, AfterValidator(_host)]
DnsLabel = Annotated[str, Field(pattern=rf"^{_LABEL}$", max_length=63)]


class Replicas(Declared):
    """How many pods serve. With `max` above `min` a HorizontalPodAutoscaler chooses; else their number is fixed."""

    min: int = Field(1, ge=1, description="Kept at all times, in a rollout too.")
    max: int = Field(0, ge=0, description="The most that the autoscaler makes; 0: as many as `min`, no autoscaler.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max and self.max < self.min:
            raise ValueError(f"max is {self.max}, below min, which is {self.min}")
        return self

    @property
    def scaled(self) -> bool:
        """Whether an autoscaler chooses their number."""
        return self.max > self.min


class Autoscaling(Declared):
    """What the autoscaler aims at, where `replicas.max` is above `replicas.min`."""

    metric: Literal["cpu", "memory"] = "cpu"
    target: int = Field(70, ge=1, le=100, description="Percent of what a pod requests, on average over the pods.")


class Amount(Declared):
    """Processor time and memory, as Kubernetes quantities."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


class Resources(Declared):
    """What a container is given at least (`requests`) and at most (`limits`)."""

    requests: Amount = Amount()
    limits: Amount = Amount()


class ContainerResources(Declared):
    """The resources of each of a pod's two containers."""

    predictor: Resources = Resources(requests=Amount(cpu="250m", memory="256Mi"), limits=Amount(memory="1Gi"))
    monitor: Resources = Resources(requests=Amount(cpu="50m", memory="128Mi"), limits=Amount(memory="512Mi"))


class Images(Declared):
    """The images of the two containers; each has the tag where it names none of its own."""

    predictor: str = Field("loopwright/predictor", min_length=1)
    monitor: str = Field("loopwright/monitor", min_length=1)
    tag: str = Field(__version__, pattern=r"^[\w][\w.-]{0,127}$", description="By default this Loopwright's version.")
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"

    def of(self, name: Literal["predictor", "monitor"]) -> str:
        """The whole reference of an image."""
        image: str = getattr(self, name)
        tagged = "@" in image or ":" in image.rsplit("/", 1)[-1]
        return image if tagged else f"{image}:{self.tag}"


class Toleration(Declared):
    """A taint of nodes that the pods may run on nevertheless."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Serving(Declared):
    """How versions are served on Kubernetes."""

    models: str = Field(
        "",
        description="The place of the bundles, a folder a version: s3://bucket/prefix, gs://bucket/prefix or "
        "pvc://claim[/prefix]. By default pvc://<loop>-models.",
    )
    mode: Literal["standard", "knative"] = Field(
        "standard", description="KServe's deployment mode. `loopwright rollout` needs standard, with the Gateway API."
    )
    gateway: str = Field(
        "kserve/kserve-ingress-gateway",
        pattern=rf"^{_LABEL}/{_LABEL}$",
        description="namespace/name of the Gateway that KServe's routes belong to (`kserveIngressGateway` of KServe).",
    )
    domain: Host = Field("example.com", description="KServe's `ingressDomain`, of which host names are made.")
    host: Host = Field("", description="The service's host name. By default <loop>-<namespace>.<domain>, as KServe's.")
    preview_host: Host = Field(
        "", description="Blue/green: the new version's. By default <loop>-preview-<namespace>..."
    )
    replicas: Replicas = Replicas()
    autoscaling: Autoscaling = Autoscaling()
    resources: ContainerResources = ContainerResources()
    spread: tuple[str, ...] = Field(
        ("kubernetes.io/hostname",),
        description="Topology keys over which a version's pods are spread, as far as can be.",
    )
    max_unavailable: int | Annotated[str, Field(pattern=r"^[1-9][0-9]?%$")] | None = Field(
        1, description="Of a PodDisruptionBudget, where `replicas.min` is above 1. null: none is made."
    )
    node_selector: dict[str, str] = Field({}, description="Labels that a node must have.")
    tolerations: tuple[Toleration, ...] = ()
    service_account: DnsLabel | None = Field(None, description="The pods' service account: what may read s3://, gs://.")
    secret: DnsLabel = Field("loopwright", description="The Secret with the key `token`, in the service's namespace.")
    alerts: str = Field(
        "http://loopwright-trigger:8080/v1/alerts",
        pattern=r"^(https?://\S+)?$",
        description="Where the monitor sends its alarms; empty where Prometheus raises them (docs/prometheus.md).",
    )
    images: Images = Images()
    scrape: Literal["annotations", "podmonitor", "none"] = Field(
        "annotations",
        description="How Prometheus finds the pods: prometheus.io/ annotations, or a PodMonitor of its operator.",
    )

    @field_validator("models")
    @classmethod
    def _place(cls, models: str) -> str:
        if models and not re.match(r"^(s3|gs|pvc)://[A-Za-z0-9][^\s?#]*$", models):
            raise ValueError(f"{models!r} is no place of models: s3://bucket/prefix, gs://bucket/prefix or pvc://claim")
        if "{" in models:
            raise ValueError("the version's folder is added by Loopwright: name the folder above, without {version}")
        return models.rstrip("/")

    @field_validator("max_unavailable")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if isinstance(value, int) and value < 1:
            raise ValueError("with less than 1 no node could be drained; null makes no PodDisruptionBudget")
        return value

    def storage_uri(self, loop: str, version: int) -> str:
        """Where a version's bundle lies."""
        return f"{self.models or f'pvc://{loop}-models'}/{version}"
