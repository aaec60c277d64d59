"""Every metric the predictor exports, in one place; KServe serves them with its own at /metrics.

A request costs some additions of plain numbers here, on the event loop that counts all of them; the samples are made
when Prometheus asks. prometheus_client's own counters take a lock each, which is a tenth of a fast prediction.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Protocol = Literal["v1", "v2", "grpc"]
Outcome = Literal["ok", "invalid", "error", "refused"]
PROTOCOLS: tuple[Protocol, ...] = ("v1", "v2", "grpc")
OUTCOMES: tuple[Outcome, ...] = ("ok", "invalid", "error", "refused")
DROPS = ("full", "refused", "shutdown")

SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, 10000.0)
# Kinds of errors are names of classes, which are few; a bound all the same, as they become label values.
_MOST_KINDS = 30


class Histogram:
    """Counts by upper bound, and the sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts, as an exposition has them."""
        total, found = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Metrics(Collector):
    """The counts of one version of one loop. Used from one event loop."""

    def __init__(self, loop: str, version: str, registry: CollectorRegistry, *, digest: str = "") -> None:
        self._bound, self._digest = (loop, version), digest
        self.requests = {(protocol, outcome): 0 for protocol in PROTOCOLS for outcome in OUTCOMES}
        self.seconds = {protocol: Histogram(SECONDS) for protocol in PROTOCOLS}
        self.batch = Histogram(ROWS)
        self.errors: dict[str, int] = {}
        self.rows = self.sent = self.in_flight = 0
        self.dropped = dict.fromkeys(DROPS, 0)
        self.engine: Callable[[], str] | None = None
        registry.register(self)

    def count(self, protocol: Protocol, outcome: Outcome, seconds: float) -> None:
        """A request for predictions was answered, or refused."""
        self.requests[protocol, outcome] += 1
        self.seconds[protocol].observe(seconds)

    def failed(self, kind: str) -> None:
        """A request was answered with an error of this kind: the name of its class."""
        kind = kind if kind in self.errors or len(self.errors) < _MOST_KINDS else "other"
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def predicted(self, rows: int) -> None:
        """So many rows of one request were predicted."""
        self.rows += rows
        self.batch.observe(rows)

    def collect(self) -> Iterator[Metric]:
        """The samples, when Prometheus asks."""
        yield self._counter(
            "loopwright_predictions",
            "Requests for predictions by protocol and outcome: ok, invalid (the caller's fault), error (ours), "
            "refused (too much to do).",
            ("protocol", "outcome"),
            self.requests.items(),
        )
        yield self._counter(
            "loopwright_prediction_errors",
            "Requests answered with an error, by its kind.",
            ("kind",),
            ((one, count) for one, count in self.errors.items()),
        )
        yield self._counter("loopwright_predicted_rows", "Rows predicted.", (), [((), self.rows)])
        yield self._counter(
            "loopwright_events_sent", "Prediction events the monitor acknowledged.", (), [((), self.sent)]
        )
        yield self._counter(
            "loopwright_events_dropped",
            "Prediction events that did not reach the monitor: full (queue), refused (by the monitor), shutdown.",
            ("reason",),
            self.dropped.items(),
        )
        seconds = HistogramMetricFamily(
            "loopwright_prediction_duration_seconds",
            "From a request's headers to its answer.",
            labels=["loop", "version", "protocol"],
        )
        for protocol, histogram in self.seconds.items():
            seconds.add_metric([*self._bound, protocol], histogram.buckets(), histogram.sum)
        yield seconds
        batch = HistogramMetricFamily("loopwright_prediction_rows", "Rows a request.", labels=["loop", "version"])
        batch.add_metric(self._bound, self.batch.buckets(), self.batch.sum)
        yield batch
        flight = GaugeMetricFamily(
            "loopwright_predictions_in_flight",
            "Requests of many rows, and for explanations, that are worked on or wait.",
            labels=["loop", "version"],
        )
        flight.add_metric(self._bound, self.in_flight)
        yield flight
        info = GaugeMetricFamily(
            "loopwright_model_info", "The model that is loaded.", labels=["loop", "version", "digest"]
        )
        info.add_metric([*self._bound, self._digest], 1)
        yield info
        if self.engine is not None:
            engine = GaugeMetricFamily(
                "loopwright_model_engine",
                "What predicts batches: lightgbm, bit vectors (of the same numbers) or scikit-learn.",
                labels=["loop", "version", "engine"],
            )
            engine.add_metric([*self._bound, self.engine()], 1)
            yield engine

    def _counter(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        counts: Iterable[tuple[str | tuple[str, ...], int]],
    ) -> CounterMetricFamily:
        family = CounterMetricFamily(name, text, labels=["loop", "version", *labels])
        for values, count in counts:
            family.add_metric([*self._bound, *((values,) if isinstance(values, str) else values)], count)
        return family
