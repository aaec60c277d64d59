"""What each version did, from Prometheus: the predictors' and the monitors' own counters since a fixed moment.

Raw samples are asked for, not rates: `increase()` extrapolates to the ends of its range, and what it gives for a
counter of a few requests is no whole number. A look asks for the samples since the look before, so that its cost does
not grow with the rollout; a process that begins again reads from the origin on, piece by piece.

Prometheus that is down, answers NaN or has nothing recent makes the counts unknown, and the analysis cannot tell.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from loopwright.rollout.counts import UNKNOWN, Arm
from loopwright.rollout.prometheus_counts import Increases

if TYPE_CHECKING:
    import httpx

NOW = "time()"
REQUESTS = 'loopwright_predictions_total{loop="LOOP"}[SECONDSs]'
DURATION = 'loopwright_prediction_duration_seconds_bucket{loop="LOOP"}[SECONDSs]'
ANSWERS = '{__name__=~"loopwright_events_total|loopwright_prediction_bucket_total",loop="LOOP"}[SECONDSs]'
LOSSES = '{__name__=~"loopwright_label_loss_(count|sum|squares)",loop="LOOP"}[SECONDSs]'
QUERIES = (REQUESTS, DURATION, ANSWERS, LOSSES)

PIECE = 1800
"""Seconds of samples in one query: 120 points of a series at Prometheus' usual 15 s."""
BEFORE = 300
"""Seconds before the origin in which a counter that is older has a sample; Prometheus' own look-back."""
OVERLAP = 60
"""Seconds that are asked for again: a sample's time is when its scrape began, and it can be read when that ended."""
STALE = 150
"""Seconds after which the newest sample says nothing of the present: two scrapes of a minute, and some."""
TIMEOUT = 10.0


class PrometheusArms:
    """The arms of a loop's versions in one namespace, counted from `origin` (seconds since the epoch).

    `slow_s` is the latency limit; the histogram's smallest bound that is not below it is used. `client` is an HTTP
    client without the environment's proxy. Raises nothing: what cannot be read is unknown, and `problem` says why.
    """

    def __init__(
        self, client: "httpx.Client", url: str, loop: str, namespace: str, slow_s: float, origin: float
    ) -> None:
        self._client, self._url, self._loop, self._namespace = client, url.rstrip("/"), loop, namespace
        self._slow_s, self._increases = slow_s, Increases(origin)
        self._read_to = origin - BEFORE
        self.problem = ""

    def __call__(self, versions: Iterable[int]) -> dict[int, Arm]:
        """The cumulative counts of these versions."""
        wanted = list(versions)
        try:
            now = self._now()
            while self._read_to < now:
                end = min(now, self._read_to + PIECE)
                self._take(end, math.ceil(end - self._read_to) + OVERLAP)
                self._read_to = end
        except _Unreadable as error:
            self.problem = str(error)
            return dict.fromkeys(wanted, UNKNOWN)
        self.problem = ""
        return self._increases.arms(wanted, self._loop, self._slow_s, now - STALE)

    def _now(self) -> float:
        found = self._query(NOW, None)
        try:
            return float(found[1])
        except (IndexError, TypeError, ValueError) as error:
            raise _Unreadable(f"{self._url} answers {found!r} to {NOW}") from error

    def _take(self, end: float, seconds: int) -> None:
        for query in QUERIES:
            for series in self._query(query.replace("LOOP", self._loop).replace("SECONDS", str(seconds)), end):
                labels = series["metric"]
                # Where Prometheus knows it, another namespace's service of the same name is another service.
                if labels.get("namespace", self._namespace) == self._namespace:
                    self._increases.feed(labels, ((float(at), float(value)) for at, value in series["values"]))

    def _query(self, query: str, time: float | None) -> Any:
        import httpx

        data = {"query": query} | ({} if time is None else {"time": f"{time:.3f}"})
        try:
            answer = self._client.post(f"{self._url}/api/v1/query", data=data, timeout=TIMEOUT)
            content = answer.json()
            if content["status"] != "success":
                raise _Unreadable(f"Prometheus refuses {query}: {content.get('error', '')}")
            return content["data"]["result"]
        except httpx.HTTPError as error:
            raise _Unreadable(f"Prometheus at {self._url} cannot be read: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise _Unreadable(f"{self._url} does not answer as Prometheus does") from error


class _Unreadable(Exception):
    """Prometheus could not be read; the text says why."""
