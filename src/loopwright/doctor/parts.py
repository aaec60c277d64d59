"""What others have installed on the cluster: KServe and its configuration, the gateway, Argo, Prometheus' operator."""

import json
from collections.abc import Iterator

from loopwright.doctor.findings import NOTE, OK, PROBLEM, WARNING, Finding, of_error
from loopwright.errors import LoopwrightError
from loopwright.loop import Loop
from loopwright.rollout.kserve import checks
from loopwright.rollout.kserve.cluster import CONFIG, CRD, Cluster, Forbidden, Kind, Object

CONFIGURATION, HOME = "inferenceservice-config", "kserve"
"""KServe's configuration, and the namespace that its manifests install it to."""
CLASS = Kind("gateway.networking.k8s.io/v1", "gatewayclasses", "GatewayClass", scoped=False)

ARGO = ("workflows", "workflowtemplates", "cronworkflows", "workflowtaskresults")
OPERATOR = ("servicemonitors", "podmonitors", "prometheusrules")


def kserve(cluster: Cluster, loop: Loop | None) -> Iterator[Finding]:
    """Whether KServe is there and new enough, and routes as the loop says."""
    try:
        # `checks.kserve` passes over what it may not read; here that is said.
        cluster.get(CRD, "inferenceservices.serving.kserve.io")
        checks.kserve(cluster)
    except Forbidden as error:
        yield _unseen("kserve", error)
        return
    except LoopwrightError as error:
        yield of_error("kserve", error)
        return
    yield Finding("kserve", OK, "InferenceService has spec.canary")
    try:
        found = cluster.get(CONFIG, CONFIGURATION, namespace=HOME)
    except Forbidden as error:
        yield _unseen("kserve's configuration", error)
        return
    if found is None:
        text = f"there is no ConfigMap {CONFIGURATION} in the namespace {HOME}: KServe's controller is not there"
        do = "see `kubectl get pods --all-namespaces -l control-plane=kserve-controller-manager`"
        yield Finding("kserve's configuration", WARNING, text, do)
        return
    yield from _configured(found, loop)


def _configured(found: Object, loop: Loop | None) -> Iterator[Finding]:
    check, data = "kserve's configuration", found.get("data") or {}
    try:
        deploy, ingress = (json.loads(data.get(key) or "{}") for key in ("deploy", "ingress"))
    except json.JSONDecodeError as error:
        yield Finding(check, PROBLEM, f"{CONFIGURATION} is no JSON: {error}", f"correct it in the namespace {HOME}")
        return
    serving = Loop.model_fields["serving"].get_default() if loop is None else loop.serving
    mode = deploy.get("defaultDeploymentMode", "")
    # `RawDeployment` is what `Standard` was called before KServe 0.16.
    wrong: list[tuple[str, str, object, object]] = []
    wrong += [] if mode in ("Standard", "RawDeployment") else [("deploy", "defaultDeploymentMode", mode, "Standard")]
    wanted = {
        "enableGatewayApi": True,
        "kserveIngressGateway": serving.gateway,
        "ingressDomain": serving.domain,
    }
    wrong += [("ingress", key, ingress.get(key), value) for key, value in wanted.items() if ingress.get(key) != value]
    for section, key, is_, should in wrong:
        other = {"kserveIngressGateway": "serving.gateway", "ingressDomain": "serving.domain"}.get(key)
        do = f"set it in `kubectl -n {HOME} edit configmap {CONFIGURATION}` and restart KServe's controller"
        do += f", or say {is_} as `{other}` in loop.yaml" if other and is_ else ""
        text = f"{section}.{key} is {json.dumps(is_)}; expected {json.dumps(should)}"
        yield Finding(check, PROBLEM if loop is not None or other is None else NOTE, text, do)
    if not wrong:
        yield Finding(check, OK, f"{mode} mode, by the gateway {serving.gateway}, host names under {serving.domain}")


def gateway(cluster: Cluster, loop: Loop | None) -> Iterator[Finding]:
    """Whether the Gateway API is there, somebody serves it, and the loop's Gateway is programmed."""
    try:
        if cluster.get(CRD, "httproutes.gateway.networking.k8s.io") is None:
            do = "install it with a controller, such as Envoy Gateway: https://gateway-api.sigs.k8s.io/guides/"
            yield Finding("gateway api", PROBLEM, "the Gateway API is not installed: there is no HTTPRoute", do)
            return
        classes = cluster.list(CLASS)
    except Forbidden as error:
        yield _unseen("gateway api", error)
    else:
        accepted = [one["metadata"]["name"] for one in classes if _accepted(one)]
        if accepted:
            yield Finding("gateway api", OK, f"the GatewayClass {accepted[0]} is accepted by its controller")
        else:
            text = "no GatewayClass is accepted: nobody serves Gateways"
            yield Finding("gateway api", PROBLEM, text, "install a controller, such as Envoy Gateway")
    if loop is None:
        yield Finding("gateway", NOTE, "name a loop to have the Gateway of its `serving.gateway` looked at")
        return
    try:
        checks.gateway_api(cluster, loop)
    except LoopwrightError as error:
        yield of_error("gateway", error)
        return
    yield Finding("gateway", OK, f"{loop.serving.gateway} is programmed, as far as you may see")


def _accepted(one: Object) -> bool:
    conditions = one.get("status", {}).get("conditions") or []
    return any(each["type"] == "Accepted" and each["status"] == "True" for each in conditions)


def argo(cluster: Cluster) -> Iterator[Finding]:
    """Whether Argo Workflows is there, which `rollouts.enabled` needs."""
    do = "install Argo Workflows 3.7, or leave `rollouts.enabled` off and roll out with `loopwright rollout`"
    yield _definitions(cluster, "argo workflows", "argoproj.io", ARGO, do)


def operator(cluster: Cluster) -> Iterator[Finding]:
    """Whether Prometheus' operator is there, which ServiceMonitors, PodMonitors and PrometheusRules need."""
    do = "leave `serviceMonitor`, `podMonitor` and `prometheusRule` off, and `serving.scrape` at annotations"
    yield _definitions(cluster, "prometheus operator", "monitoring.coreos.com", OPERATOR, do)


def _definitions(cluster: Cluster, check: str, group: str, plurals: tuple[str, ...], do: str) -> Finding:
    """A part is there with all of its kinds, in parts, or not: only parts of it are worth a warning."""
    try:
        gone = [plural for plural in plurals if cluster.get(CRD, f"{plural}.{group}") is None]
    except Forbidden as error:
        return _unseen(check, error)
    if not gone:
        return Finding(check, OK, f"{', '.join(plurals)} are there")
    if len(gone) == len(plurals):
        return Finding(check, NOTE, "is not installed", do)
    return Finding(check, WARNING, f"{', '.join(gone)} of {group} are missing", "install its definitions again")


def _unseen(check: str, error: Forbidden) -> Finding:
    return Finding(check, NOTE, f"you may not look: {error.found.splitlines()[0]}")
