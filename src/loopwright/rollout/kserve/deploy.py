"""`loopwright deploy`: a loop's objects are applied, and waited for until the version serves."""

import time
from collections.abc import Callable

from loopwright.cluster.api import MANAGER
from loopwright.errors import RolloutError, ServingError
from loopwright.loop import Loop
from loopwright.rollout.kserve import checks, pods
from loopwright.rollout.kserve.cluster import SERVICE, Cluster, Conflict, Object, apply
from loopwright.rollout.kserve.gateway import KServeGateway
from loopwright.rollout.kserve.spec import Spec
from loopwright.serving.resources import service

POLL = 1.0
SETTLE = 3.0
"""Seconds in which KServe changes the Deployments after the InferenceService: its status does not say when it has."""


def deploy(
    loop: Loop,
    version: int,
    digest: str | None,
    cluster: Cluster,
    progress: Callable[[str], None],
    *,
    timeout_s: float = 300.0,
    force: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Serve a version and return its URL. What serves already keeps serving until the new pods are ready.

    Raises ServingError for what the cluster lacks and for pods that do not start, RolloutError while another version
    serves or a rollout is under way, and Conflict naming the fields that somebody else set.
    """
    checks.kserve(cluster)
    if loop.serving.mode == "standard":
        checks.gateway_api(cluster, loop)
    checks.secret(cluster, loop)
    found = cluster.get(SERVICE, loop.name)
    if found is not None:
        _not_instead(Spec(loop, found), version, loop)
    before = _generation(found)
    for name, manifest in service.manifests(loop, version, digest).items():
        _apply(cluster, manifest, force=force)
        progress(f"applied {manifest['kind']} {manifest['metadata']['name']} ({name})")
    changed = _generation(cluster.get(SERVICE, loop.name)) != before
    settled = time.monotonic() + (SETTLE if changed else 0.0)
    return _wait(loop, version, cluster, progress, settled, timeout_s, pause)


def _generation(service: Object | None) -> int:
    return 0 if service is None else int(service["metadata"]["generation"])


def _not_instead(spec: Spec, version: int, loop: Loop) -> None:
    if spec.challenger is not None:
        raise RolloutError(
            f"version {spec.challenger} of {loop.name} is beside version {spec.champion}: a rollout is under way, or "
            "it is kept for the way back",
            expected="one version alone",
            do=f"end it with `loopwright rollout abort {loop.name} --on kserve`, or wait",
        )
    if spec.champion != version:
        raise RolloutError(
            f"version {spec.champion} of {loop.name} serves",
            expected=f"version {version} to take its place judged on its traffic, not at once",
            do=f"`loopwright rollout {loop.name} --on kserve --version {version}`",
        )


def _apply(cluster: Cluster, manifest: Object, *, force: bool) -> None:
    try:
        apply(cluster, manifest, force=force)
    except Conflict as error:
        # What a rollout of Loopwright's wrote counts as another manager's, as it was a patch and no apply.
        if _managers(str(error)) == {MANAGER}:
            apply(cluster, manifest, force=True)
            return
        raise RolloutError(
            str(error),
            expected="the fields to be Loopwright's alone",
            do="take the change over into loop.yaml, or overwrite it with `--force`",
        ) from error


def _managers(message: str) -> set[str]:
    """Whom the API server names: `conflict with "kubectl-edit" using serving.kserve.io/v1beta1: .spec...`."""
    parts = message.split('with "')[1:]
    return {part.partition('"')[0] for part in parts}


def _wait(
    loop: Loop,
    version: int,
    cluster: Cluster,
    progress: Callable[[str], None],
    settled: float,
    timeout_s: float,
    pause: Callable[[float], None],
) -> str:
    gateway = KServeGateway(loop, cluster, lambda versions: {}, pause=pause)
    told, deadline = "", time.monotonic() + timeout_s
    while True:
        found = cluster.get(SERVICE, loop.name) or {}
        status = found.get("status", {})
        conditions = {one["type"]: one for one in status.get("conditions") or []}
        if (
            time.monotonic() >= settled
            and gateway.serves(version)
            and conditions.get("Ready", {}).get("status") == "True"
        ):
            return str(status.get("url", ""))
        problem = pods.problem(cluster, loop.name, version)
        if problem is not None and problem.lasting:
            raise ServingError(
                f"version {version} does not start: {problem.text}",
                do="mend it and run this again; nothing that served before was taken away",
            )
        waiting = [f"{one['type']}: {one['message']}" for one in conditions.values() if _speaks(one)]
        say = problem.text if problem is not None else "; ".join(waiting) or "waiting for KServe"
        if say != told:
            progress(say)
            told = say
        if time.monotonic() >= deadline:
            raise ServingError(
                f"version {version} of {loop.name} was not ready within {timeout_s:.0f} s: {say}",
                expected="KServe's controller to make the pods and the route",
                do=f"see `kubectl -n {cluster.namespace} describe inferenceservice {loop.name}`",
            )
        pause(POLL)


def _speaks(condition: Object) -> bool:
    return condition["status"] == "False" and condition.get("severity") != "Info" and bool(condition.get("message"))
