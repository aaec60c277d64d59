"""KServe's storage initializer, which copies a model from a bucket before the predictor starts, in a strict namespace.

    the loop's `serving.models` + the namespace's label + KServe's ClusterStorageContainers -> one finding

KServe adds it to our pods as the ClusterStorageContainer for the model's URL says, whose default has no security
context. A namespace that enforces `restricted` then refuses the pods: nothing starts, and only the ReplicaSet's events
say so. Which container KServe takes is read from its `GetStorageContainerSpec` (0.21).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from loopwright.doctor.cluster import NAMESPACE
from loopwright.doctor.findings import NOTE, OK, PROBLEM, Finding
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Cluster, Forbidden, Kind, Object

CONTAINER = Kind("serving.kserve.io/v1alpha1", "clusterstoragecontainers", "ClusterStorageContainer", scoped=False)
ENFORCED = "pod-security.kubernetes.io/enforce"
CHECK = "storage initializer"


def initializer(cluster: Cluster, loop: Loop | None) -> Iterator[Finding]:
    """Whether the pods of a loop whose models lie in a bucket are let in; nothing of one whose models do not."""
    if loop is None or not loop.serving.models.startswith(("s3://", "gs://")):
        return
    url = loop.serving.storage_uri(loop.name, 1)
    try:
        namespace = cluster.get(NAMESPACE, cluster.namespace)
        every = cluster.list(CONTAINER)
    except Forbidden as error:
        yield Finding(CHECK, NOTE, f"you may not look: {error.found.splitlines()[0]}")
        return
    level = ((namespace or {}).get("metadata", {}).get("labels") or {}).get(ENFORCED, "")
    taken = next((one for one in every if _takes(one, url)), None)
    if level != "restricted":
        name = f"the ClusterStorageContainer {taken['metadata']['name']}" if taken else "KServe's default container"
        yield Finding(CHECK, OK, f"{name} copies {loop.serving.models}; the namespace does not enforce `restricted`")
    elif taken is None:
        text = f"no ClusterStorageContainer is for {loop.serving.models}, and KServe's default has no security context"
        do = "install KServe's own (`default`), and give it a security context as docs/kserve.md says"
        yield Finding(CHECK, PROBLEM, f"{text}: {cluster.namespace} enforces `restricted` and will refuse the pods", do)
    else:
        yield _judged(taken, cluster.namespace)


def lacks(context: Object) -> Object:
    """What a container's security context has to be patched with to meet `restricted` in our pods; empty if nothing.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted. What a container does not say of
    users and of seccomp our pods say for it.
    """
    wanted: dict[str, Any] = {}
    if context.get("allowPrivilegeEscalation") is not False:
        wanted["allowPrivilegeEscalation"] = False
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        wanted["capabilities"] = {"drop": ["ALL"]}
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        wanted["capabilities"] = {"drop": ["ALL"], "add": None}
    if context.get("privileged"):
        wanted["privileged"] = None
    if context.get("runAsNonRoot") is False:
        wanted["runAsNonRoot"] = None
    if context.get("runAsUser") == 0:
        wanted["runAsUser"] = None
    if (context.get("seccompProfile") or {}).get("type", "RuntimeDefault") == "Unconfined":
        wanted["seccompProfile"] = None
    return wanted


def _judged(taken: Object, namespace: str) -> Finding:
    name = taken["metadata"]["name"]
    wanted = lacks(taken.get("spec", {}).get("container", {}).get("securityContext") or {})
    if not wanted:
        return Finding(CHECK, OK, f"the ClusterStorageContainer {name} meets `restricted`, as {namespace} asks for")
    patch = json.dumps({"spec": {"container": {"securityContext": wanted}}})
    text = f"the ClusterStorageContainer {name} does not meet `restricted` ({', '.join(wanted)}), which {namespace}"
    text += " enforces: the pods of a model in a bucket will be refused"
    do = f"KServe's administrator: `kubectl patch clusterstoragecontainer {name} --type merge -p '{patch}'`"
    return Finding(CHECK, PROBLEM, text, do)


def _takes(container: Object, url: str) -> bool:
    spec = container.get("spec", {})
    if container.get("disabled") or spec.get("workloadType", "initContainer") != "initContainer":
        return False
    return any(_matches(one, url) for one in spec.get("supportedUriFormats") or [])


def _matches(form: Object, url: str) -> bool:
    if form.get("prefix"):
        return url.startswith(form["prefix"])
    try:
        return bool(form.get("regex")) and re.search(form["regex"], url) is not None
    except re.error:
        # Go's regular expressions know what Python's do not; KServe's own message is for its administrator.
        return False
