"""What each version did, without Prometheus: the pods' own /metrics, asked through the API server at each look.

What a pod counted after the last look before it ended is not seen, and a rollout that goes on in another process
begins with what the pods of that moment have. Prometheus has neither gap.
"""

import time
from collections.abc import Callable, Iterable

from loopwright.errors import RolloutError
from loopwright.rollout.counts import Arm, samples
from loopwright.rollout.kserve.cluster import POD, Cluster, Forbidden
from loopwright.rollout.prometheus_counts import BUCKETS, DURATION, EVENTS, LOSSES, REQUESTS, Increases
from loopwright.serving.resources import names
from loopwright.serving.resources.names import HTTP_PORT, MONITOR_PORT

WANTED = frozenset({REQUESTS, DURATION, BUCKETS, EVENTS, *LOSSES})


class PodArms:
    """The arms of a loop's versions, by asking their pods. `now` is seconds since the epoch."""

    def __init__(self, cluster: Cluster, loop: str, slow_s: float, *, now: Callable[[], float] = time.time) -> None:
        self._cluster, self._loop, self._slow_s, self._now = cluster, loop, slow_s, now
        # Every counter is younger than this, so what a pod has counted before the first look counts, too.
        self._increases = Increases(0.0)

    def __call__(self, versions: Iterable[int]) -> dict[int, Arm]:
        """The cumulative counts of these versions; what no pod of a version answered is unknown.

        Raises RolloutError where pods/proxy may not be asked.
        """
        at = self._now()
        for pod in self._cluster.list(POD, names.pods(self._loop)):
            if pod.get("status", {}).get("phase") != "Running":
                continue
            for port in (HTTP_PORT, MONITOR_PORT):
                self._feed(pod["metadata"]["name"], port, at)
        return self._increases.arms(versions, self._loop, self._slow_s, at)

    def _feed(self, pod: str, port: int, at: float) -> None:
        try:
            text = self._cluster.scrape(pod, port, "/metrics")
        except Forbidden:
            raise
        except RolloutError:
            # Of this pod nothing is known at this look.
            return
        for name, labels, value in samples(text):
            if name in WANTED and labels.get("loop") == self._loop:
                self._increases.feed({"__name__": name, "pod": pod} | labels, [(at, value)])
