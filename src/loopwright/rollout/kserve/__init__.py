"""A rollout on KServe: its gateway, its state on the cluster, and what is needed to reach them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from loopwright.cluster import connect
from loopwright.loop import Loop
from loopwright.settings import Settings

__all__ = ["connect", "open_target"]

if TYPE_CHECKING:
    import httpx

    from loopwright.rollout.counts import Arm
    from loopwright.rollout.kserve.cluster import Cluster
    from loopwright.rollout.target import Target

HISTORY = 3600.0
"""Seconds of the champion's past that are counted, too: at 100 % a challenger is held to what it did before."""


@contextmanager
def open_target(loop: Loop, settings: Settings) -> Iterator["Target"]:
    """The loop's InferenceService as a rollout's target.

    Raises ServingError where KServe is absent or too old for `spec.canary`, RolloutError where there is no cluster.
    """
    import httpx

    from loopwright.rollout.kserve import checks
    from loopwright.rollout.kserve.answers import PodAnswers
    from loopwright.rollout.kserve.gateway import KServeGateway
    from loopwright.rollout.kserve.states import KServeStates
    from loopwright.rollout.target import Target

    cluster = connect(settings.namespace)
    checks.kserve(cluster)
    checks.gateway_api(cluster, loop)
    with httpx.Client(trust_env=False) as client:
        answers = PodAnswers(cluster, loop.name, client, settings.token)
        arms = _arms(loop, settings, cluster, client)
        gateway = KServeGateway(loop, cluster, arms, answers, publish=partial(_publish, loop, settings))
        yield Target(gateway, KServeStates(loop.name, cluster), "kserve")


def _publish(loop: Loop, settings: Settings, version: int, bundle: str) -> None:
    from pathlib import Path

    from loopwright.models.places import publish

    publish(Path(bundle), loop.serving.storage_uri(loop.name, version), settings.models)


def _arms(
    loop: Loop, settings: Settings, cluster: "Cluster", client: "httpx.Client"
) -> "Callable[[list[int]], Mapping[int, Arm]]":
    """Where the counts come from: Prometheus where it is named, else the pods."""
    import time

    from loopwright.rollout.kserve.notes import Notes
    from loopwright.rollout.kserve.scrape import PodArms
    from loopwright.rollout.prometheus import PrometheusArms

    limit = loop.rollout.analysis.latency_p99
    slow_s = float("inf") if limit is None else limit.max.total_seconds()
    if not settings.prometheus_url:
        return PodArms(cluster, loop.name, slow_s)
    made: list[PrometheusArms] = []

    def arms(versions: list[int]) -> "Mapping[int, Arm]":
        if not made:
            made.append(
                PrometheusArms(client, settings.prometheus_url, loop.name, cluster.namespace, slow_s, _origin())
            )
        return made[0](versions)

    def _origin() -> float:
        # The same for every process of one rollout, as the differences of its counts are kept.
        notes = Notes(loop.name, cluster)
        known = notes.read()
        if "state" in known and "origin" in known:
            return float(known["origin"])
        origin = time.time() - HISTORY
        notes.write(origin=repr(origin))
        return origin

    return arms
