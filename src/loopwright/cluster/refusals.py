"""What the Kubernetes API server's refusals mean, in errors that one can act on."""

import json
from dataclasses import replace
from typing import Any

from loopwright.cluster.objects import Kind
from loopwright.errors import GatewayLost, RolloutError


class Conflict(RolloutError):
    """The object has changed since it was read, or another manager owns a field of it."""


class Invalid(RolloutError):
    """The API server, or a webhook of it, does not take the object."""


class Forbidden(RolloutError):
    """The caller may not do this; the message has the rule that is missing."""


def refusal(error: Any, verb: str, kind: Kind, name: str, sub: str, namespace: str) -> RolloutError:
    """What an answer of the API server that is no success means."""
    message = message_of(error)
    if error.status in (401, 403):
        shown = replace(kind, plural=f"{kind.plural}/{sub}") if sub else kind
        if error.status == 403 and "admission webhook" in message:
            return Invalid(f"{kind.name} {name} was refused: {message}")
        return forbidden(verb, shown, name, error, namespace)
    if error.status == 409:
        return Conflict(f"{kind.name} {name}: {message}")
    if error.status in (400, 422):
        return Invalid(f"{kind.name} {name} was refused: {message}")
    return GatewayLost(
        f"the Kubernetes API server answers {error.status} to {verb} {kind.plural}/{name}: {message}",
        do="run this again when it is well; a rollout goes on where it was",
    )


def forbidden(verb: str, kind: Kind, name: str, error: Any, namespace: str) -> Forbidden:
    """A permission that is missing, with the rule that would give it; or a caller whom the server does not know."""
    if error.status == 401:
        return Forbidden("the Kubernetes API server does not know you (401)", do="log in, or see your kubeconfig")
    inside = namespace if kind.scoped else ""
    where = f" in the namespace {inside}" if inside else ""
    rule = json.dumps({"apiGroups": [kind.group], "resources": [kind.plural], "verbs": [verb]})
    return Forbidden(
        f"no permission to {verb} {kind.plural}{f' {name}' if name else ''}{where}: {message_of(error)}",
        expected=f"a {'Role' if inside else 'ClusterRole'} with this rule: {rule}",
        do="ask who looks after the cluster to add it; docs/kserve.md has all that is needed",
    )


def away(error: Exception) -> GatewayLost:
    """No answer at all."""
    return GatewayLost(
        f"the Kubernetes API server cannot be reached: {error}",
        do="see that `kubectl get namespaces` answers, and run this again; a rollout goes on where it was",
    )


def absent(kind: Kind) -> RolloutError:
    """A kind, or a namespace, that is not there to write to."""
    return RolloutError(
        f"the cluster does not know the kind {kind.name} ({kind.api}), or the namespace is not there",
        expected="what has it (KServe, the Gateway API, Argo Workflows) to be installed, and the namespace to exist",
        do=f"see `kubectl api-resources --api-group={kind.group}` and `kubectl get namespaces`",
    )


def message_of(error: Any) -> str:
    """What the API server says, without the transport's headers."""
    try:
        return str(json.loads(error.body)["message"])
    except (AttributeError, TypeError, ValueError, KeyError):
        return str(getattr(error, "reason", None) or error)
