"""Who may do what: the rules that each part needs, asked of the API server by access reviews, which change nothing.

The rules of `rollout` and `trigger` are those of the Roles that chart and kustomize make; a test compares them.
https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

import json
from collections.abc import Iterator

from loopwright.doctor.findings import NOTE, OK, PROBLEM, Finding
from loopwright.rollout.kserve.cluster import Cluster, Forbidden, Kind, Object

Rule = tuple[str, tuple[str, ...], tuple[str, ...]]
"""An API group, resources of it, and verbs."""

SELF_REVIEW = Kind("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", scoped=False)
REVIEW = Kind("authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview", scoped=False)
ACCOUNT = Kind("v1", "serviceaccounts", "ServiceAccount")

INSTALL: tuple[Rule, ...] = (
    ("apps", ("deployments",), ("get", "create", "patch", "delete")),
    ("", ("configmaps", "secrets", "serviceaccounts", "services"), ("get", "list", "create", "patch", "delete")),
    ("", ("persistentvolumeclaims",), ("get", "create", "patch")),
)
"""What Helm or kubectl need for the smallest installation; Helm keeps its releases in Secrets, which it lists."""
INSTALL_ROLLOUTS: tuple[Rule, ...] = (
    ("rbac.authorization.k8s.io", ("roles", "rolebindings"), ("get", "create", "patch", "delete")),
    ("argoproj.io", ("workflowtemplates",), ("get", "create", "patch", "delete")),
)
"""And with `rollouts.enabled`."""
DEPLOY: tuple[Rule, ...] = (
    ("serving.kserve.io", ("inferenceservices", "servingruntimes"), ("get", "create", "patch", "delete")),
    ("gateway.networking.k8s.io", ("httproutes",), ("get", "create", "patch", "delete")),
    ("", ("configmaps",), ("get", "create", "patch")),
    ("apps", ("deployments",), ("get",)),
    ("", ("pods", "pods/log", "events"), ("get", "list")),
    ("policy", ("poddisruptionbudgets",), ("get", "create", "patch")),
)
"""`loopwright deploy`: docs/kserve.md."""
ROLLOUT: tuple[Rule, ...] = (
    ("serving.kserve.io", ("inferenceservices",), ("get", "list", "watch", "patch")),
    ("serving.kserve.io", ("inferenceservices/status",), ("patch",)),
    ("gateway.networking.k8s.io", ("httproutes",), ("get", "list", "create", "patch", "delete")),
    ("apps", ("deployments",), ("get",)),
    ("", ("pods",), ("get", "list")),
    ("", ("pods/log", "pods/proxy"), ("get",)),
    ("", ("configmaps",), ("get", "create", "patch")),
    ("coordination.k8s.io", ("leases",), ("get", "create", "update", "patch", "delete")),
    ("", ("events",), ("list", "create")),
    ("argoproj.io", ("workflowtaskresults",), ("create", "patch")),
)
"""The pods of a rollout's Workflow."""
TRIGGER: tuple[Rule, ...] = (
    ("argoproj.io", ("workflowtemplates",), ("get",)),
    ("argoproj.io", ("workflows",), ("get", "list", "create")),
    ("", ("pods",), ("list",)),
    ("", ("pods/log",), ("get",)),
)
"""A trigger that hands rollouts to Workflows."""
SUBMIT: tuple[Rule, ...] = (
    ("argoproj.io", ("workflowtemplates",), ("get",)),
    ("argoproj.io", ("workflows",), ("get", "list", "create", "patch")),
    ("", ("pods",), ("list",)),
    ("", ("pods/log",), ("get",)),
)
"""Whoever runs pipelines on Argo Workflows: docs/argo.md."""
TRAINING: tuple[Rule, ...] = (("argoproj.io", ("workflowtaskresults",), ("create", "patch")),)
"""The pods of such a run."""


def own(cluster: Cluster, purpose: str, rules: tuple[Rule, ...]) -> Iterator[Finding]:
    """Whether the caller may do what `purpose` needs."""
    yield _told(f"may {purpose}", "you may", rules, _lacking(cluster, rules, None), cluster.namespace)


def accounts(cluster: Cluster) -> Iterator[Finding]:
    """Whether the service accounts of an installation may do what their parts need."""
    for component, fixed in (("rollout", ROLLOUT), ("trigger", ()), ("training", TRAINING)):
        selector = f"app.kubernetes.io/part-of=loopwright,app.kubernetes.io/component={component}"
        for account in cluster.list(ACCOUNT, selector):
            name = account["metadata"]["name"]
            rules = fixed or _of_trigger(cluster, account)
            if not rules:
                continue
            user = f"system:serviceaccount:{cluster.namespace}:{name}"
            check = f"service account {name}"
            try:
                lacking = _lacking(cluster, rules, user)
            except Forbidden:
                text = "you may not ask what others may do (create subjectaccessreviews.authorization.k8s.io)"
                yield Finding(check, NOTE, text)
                return
            yield _told(check, "it may", rules, lacking, cluster.namespace)


def _of_trigger(cluster: Cluster, account: Object) -> tuple[Rule, ...]:
    """What a trigger submits by the cluster's API is told by the service accounts of the same instance."""
    instance = account["metadata"].get("labels", {}).get("app.kubernetes.io/instance", "")
    rules: tuple[Rule, ...] = ()
    for component, needed in (("rollout", TRIGGER), ("training", SUBMIT)):
        if cluster.list(ACCOUNT, f"app.kubernetes.io/instance={instance},app.kubernetes.io/component={component}"):
            rules += needed
    return rules


def _lacking(cluster: Cluster, rules: tuple[Rule, ...], user: str | None) -> list[Rule]:
    """The rules, or what of them, that are not granted; `user` is somebody else than the caller."""
    found: list[Rule] = []
    for group, resources, verbs in rules:
        for resource in resources:
            denied = tuple(verb for verb in verbs if not _allowed(cluster, group, resource, verb, user))
            if denied:
                found.append((group, (resource,), denied))
    return found


def _allowed(cluster: Cluster, group: str, resource: str, verb: str, user: str | None) -> bool:
    plural, _, sub = resource.partition("/")
    asked = {"namespace": cluster.namespace, "group": group, "resource": plural, "subresource": sub, "verb": verb}
    kind = SELF_REVIEW if user is None else REVIEW
    spec: Object = {"resourceAttributes": asked} | ({} if user is None else {"user": user})
    answer = cluster.create(kind, {"apiVersion": kind.api, "kind": kind.name, "spec": spec})
    return bool(answer.get("status", {}).get("allowed"))


def _told(check: str, who: str, rules: tuple[Rule, ...], lacking: list[Rule], namespace: str) -> Finding:
    if not lacking:
        return Finding(check, OK, f"{who} do all that is needed in {namespace} ({len(rules)} rules)")
    listed = ", ".join(f"{'/'.join(verbs)} {resources[0]}" for _, resources, verbs in lacking)
    missing = [{"apiGroups": [one[0]], "resources": list(one[1]), "verbs": list(one[2])} for one in lacking]
    do = f"have these rules added to a Role in {namespace}: {json.dumps(missing)}"
    return Finding(check, PROBLEM, f"{who} not {listed} in {namespace}", do)
