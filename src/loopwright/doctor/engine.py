"""The engine that pipelines run on, where it is not this machine: whether it answers, and takes our runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from loopwright.cluster.argo import TEMPLATE
from loopwright.doctor import permissions
from loopwright.doctor.findings import NOTE, OK, PROBLEM, WARNING, Finding, of_error
from loopwright.errors import LoopwrightError
from loopwright.rollout.kserve import pods as waiting
from loopwright.rollout.kserve.cluster import POD, SECRET, Cluster, Forbidden

if TYPE_CHECKING:
    from loopwright.engines.kfp import KfpEngine

KUBEFLOW = "kubeflow"
"""Where a standalone installation of Kubeflow Pipelines runs its pods."""
STEPS = "app.kubernetes.io/name=loopwright,app.kubernetes.io/component=step"
"""The labels of the steps' pods there (engines.kfp.binding)."""
KEYS = ("ledger-url", "registry-uri")


def argo(cluster: Cluster, template: str) -> Iterator[Finding]:
    """Whether runs can be submitted to Argo Workflows: the permissions, and the template that they are made by."""
    yield from permissions.own(cluster, "run pipelines on Argo Workflows", permissions.SUBMIT)
    check = f"template {template}"
    if cluster.get(TEMPLATE, template) is None:
        text = f"there is no WorkflowTemplate {template} in {cluster.namespace}: no run can be submitted"
        do = "install the chart with `engine=argo`; LOOPWRIGHT_TRAINING_TEMPLATE names another one"
        yield Finding(check, PROBLEM, text, do)
    else:
        yield Finding(check, OK, f"is there in {cluster.namespace}")


def kfp(engine: "KfpEngine") -> Iterator[Finding]:
    """Whether Kubeflow Pipelines answers and lets the caller in: the same request as a run begins with."""
    options = engine.options
    try:
        engine.api.ask(lambda client: client.list_experiments(page_size=1, namespace=options.namespace or None))
    except LoopwrightError as error:
        yield of_error("kubeflow pipelines", error)
        return
    yield Finding("kubeflow pipelines", OK, f"{engine.place} answers, and lets us in")


def kfp_secret(cluster: Cluster, engine: "KfpEngine") -> Iterator[Finding]:
    """Whether the Secret is there that the steps' pods begin with; it is in the namespace where KFP runs them."""
    name, namespace = engine.options.secret, engine.options.namespace or KUBEFLOW
    check = f"secret {name}"
    do = f"`kubectl -n {namespace} create secret generic {name} --from-literal=ledger-url=... ` (docs/kfp.md)"
    try:
        found = cluster.get(SECRET, name, namespace=namespace)
    except Forbidden:
        yield Finding(check, NOTE, f"you may not read Secrets in {namespace}, where the steps run and need it")
        return
    missing = [key for key in KEYS if not (found or {}).get("data", {}).get(key)]
    if found is None:
        yield Finding(check, PROBLEM, f"is missing in {namespace}: the steps' pods do not start", do)
    elif missing and not engine.options.state_claim:
        yield Finding(check, PROBLEM, f"has no key {' and no key '.join(missing)} in {namespace}", do)
    else:
        yield Finding(check, OK, f"is in {namespace}, where the steps run")


def kfp_pods(cluster: Cluster, engine: "KfpEngine") -> Iterator[Finding]:
    """What keeps steps from starting, such as an image: KFP's API says that a run is under way. Raises Forbidden."""
    namespace = engine.options.namespace or KUBEFLOW
    for pod in cluster.list(POD, STEPS, namespace=namespace):
        for problem in waiting.of_pod(cluster, pod):
            state = PROBLEM if problem.lasting else WARNING
            yield Finding(f"steps in {namespace}", state, problem.text, "mend it; the pod is tried again")
