"""The cluster itself: its version, its clocks, its nodes, where volumes come from, the namespace."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from loopwright.doctor.findings import NOTE, OK, PROBLEM, WARNING, Finding
from loopwright.rollout.kserve.cluster import Cluster, Forbidden, Kind, Object

NODE = Kind("v1", "nodes", "Node", scoped=False)
NAMESPACE = Kind("v1", "namespaces", "Namespace", scoped=False)
CLASS = Kind("storage.k8s.io/v1", "storageclasses", "StorageClass", scoped=False)
LEASE = Kind("coordination.k8s.io/v1", "leases", "Lease")

SINCE = (1, 29)
"""The oldest Kubernetes that the chart takes: `kubeVersion` of Chart.yaml."""
SKEW = 5.0
"""Seconds that two clocks may differ. The API server's `Date` has whole seconds, and the request takes a while."""
RENEWED = 40.0
"""Seconds after which a node's lease is stale: the kubelet renews it every 10 s, and the controller waits for 40.
https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats"""
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def server(cluster: Cluster, now: Callable[[], datetime]) -> Iterator[Finding]:
    """The API server's version, and its clock beside this machine's."""
    before = now()
    version, date = cluster.version()
    after = now()
    found = re.match(r"v(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < SINCE:
        wanted = f"{SINCE[0]}.{SINCE[1]}"
        yield Finding("kubernetes", PROBLEM, f"{version}; expected {wanted} or newer", "upgrade the cluster")
    else:
        yield Finding("kubernetes", OK, version)
    try:
        theirs = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        yield Finding("clock", NOTE, "the API server does not say what time it is")
        return
    # Its answer was written between the two, and its clock shows the second that has begun.
    late = (before - theirs).total_seconds() - 1.0
    early = (theirs - after).total_seconds()
    yield _skew("clock", max(late, early, 0.0), "this machine and the API server")


def _skew(check: str, seconds: float, between: str) -> Finding:
    if seconds <= SKEW:
        return Finding(check, OK, f"{between} agree within {SKEW:.0f} s")
    text = f"{between} differ by {seconds:.0f} s: windows, cool-downs and tokens are judged by the time"
    return Finding(check, PROBLEM, text, "synchronise the clocks (NTP, chrony)")


def nodes(cluster: Cluster, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Whether a node takes pods, and whether the nodes' clocks agree with this one. Raises Forbidden."""
    every = cluster.list(NODE)
    ready = [one["metadata"]["name"] for one in every if _ready(one)]
    if not ready:
        text = f"none of {len(every)} nodes is ready and takes pods"
        yield Finding("nodes", PROBLEM, text, "see `kubectl describe nodes`")
        return
    state = OK if len(ready) == len(every) else WARNING
    do = "" if state == OK else "see `kubectl get nodes`"
    yield Finding("nodes", state, f"{len(ready)} of {len(every)} nodes are ready and take pods", do)
    ages = {}
    for lease in cluster.list(LEASE, namespace="kube-node-lease"):
        renewed = lease.get("spec", {}).get("renewTime")
        if renewed and lease["metadata"]["name"] in ready:
            moment = datetime.fromisoformat(renewed).astimezone(UTC)
            ages[lease["metadata"]["name"]] = (now() - moment).total_seconds()
    off = {name: max(age - RENEWED, -age) for name, age in ages.items() if not -SKEW <= age <= RENEWED}
    for name, seconds in off.items():
        yield _skew(f"clock of {name}", max(seconds, SKEW + 1), "this machine and the node")
    if ages and not off:
        yield Finding("clocks of nodes", OK, "every ready node's last sign of life has a plausible time")


def _ready(node: Object) -> bool:
    conditions = {one["type"]: one["status"] for one in node.get("status", {}).get("conditions") or []}
    return conditions.get("Ready") == "True" and not node.get("spec", {}).get("unschedulable")


def storage(cluster: Cluster) -> Iterator[Finding]:
    """Whether a claim that names no storage class gets a volume. Raises Forbidden."""
    classes = cluster.list(CLASS)
    marked = [
        one["metadata"]["name"] for one in classes if (one["metadata"].get("annotations") or {}).get(DEFAULT) == "true"
    ]
    if marked:
        yield Finding("storage class", OK, f"{marked[0]} is the default")
        return
    there = ", ".join(one["metadata"]["name"] for one in classes)
    text = f"no storage class is the default ({f'there are {there}' if there else 'there is none at all'})"
    name = "set `persistence.storageClassName`" if there else "install a provisioner"
    do = f"{name}, or make volumes by hand and name claims (`persistence.existingClaim`): a claim without stays Pending"
    yield Finding("storage class", WARNING, text, do)


def namespace(cluster: Cluster) -> Iterator[Finding]:
    """Whether the namespace is there, and what it asks of pods."""
    name = cluster.namespace
    try:
        found = cluster.get(NAMESPACE, name)
    except Forbidden:
        yield Finding("namespace", NOTE, f"you may not look at the namespace {name}")
        return
    if found is None:
        do = f"`kubectl create namespace {name}`, or name another with --namespace"
        yield Finding("namespace", PROBLEM, f"there is no namespace {name}", do)
        return
    level = (found["metadata"].get("labels") or {}).get("pod-security.kubernetes.io/enforce", "")
    standard = f"enforces the pod security standard {level}" if level else "enforces no pod security standard"
    yield Finding("namespace", OK, f"{name} {standard}; Loopwright's pods meet `restricted`")
