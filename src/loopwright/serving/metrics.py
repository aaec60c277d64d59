"""Every metric the predictor exports, in one place; KServe serves them with its own at /metrics."""

from prometheus_client import CollectorRegistry, Counter


class Metrics:
    """The counters of one version of one loop, with their labels bound once."""

    def __init__(self, loop: str, version: str, registry: CollectorRegistry) -> None:
        labels = ["loop", "version"]
        bound = {"loop": loop, "version": version}
        requests = Counter(
            "loopwright_predictions_total",
            "Requests for predictions by outcome: ok, invalid (the caller's fault), error (ours).",
            [*labels, "outcome"],
            registry=registry,
        )
        dropped = Counter(
            "loopwright_events_dropped_total",
            "Prediction events that did not reach the monitor: full (queue), refused (by the monitor), shutdown.",
            [*labels, "reason"],
            registry=registry,
        )
        rows = Counter("loopwright_predicted_rows_total", "Rows predicted.", labels, registry=registry)
        sent = Counter(
            "loopwright_events_sent_total", "Prediction events the monitor acknowledged.", labels, registry=registry
        )
        self.rows = rows.labels(**bound)
        self.sent = sent.labels(**bound)
        self.ok = requests.labels(**bound, outcome="ok")
        self.invalid = requests.labels(**bound, outcome="invalid")
        self.error = requests.labels(**bound, outcome="error")
        self.dropped = {reason: dropped.labels(**bound, reason=reason) for reason in ("full", "refused", "shutdown")}
