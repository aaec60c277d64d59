"""The five dashboards: a loop at a glance, its drift by feature, its rollouts, its service, and its monitors.

Every query is for one loop; counters are summed over replicas, so that a pod that comes or goes changes nothing.
"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards import parts
from dashboards.monitors import monitor
from dashboards.parts import HALF, THIRD, WIDE, Query

LOOP = parts.labels("loop", "label_values(loopwright_model_info, loop)", "Loop")
MONITORED = parts.labels("version", 'label_values(loopwright_drift_window_events{loop="$loop"}, version)', "Version")
FEATURE = parts.labels(
    "feature", 'label_values(loopwright_drift_reference{loop="$loop",version="$version"}, feature)', "Feature"
)
WINDOW = parts.choice("window", "Window", ("1h", "15m", "6h", "1d", "7d"))

REQUESTS = 'sum by (version) (rate(loopwright_predictions_total{loop="$loop"}[$__rate_interval]))'
FAILED = (
    'sum by (version) (rate(loopwright_predictions_total{loop="$loop",outcome=~"error|refused"}[$__rate_interval]))'
    f" / {REQUESTS}"
)
SHARE = f"{REQUESTS} / on () group_left () sum({REQUESTS})"
LATENCY = (
    "histogram_quantile(%s, sum by (le, version) "
    '(rate(loopwright_prediction_duration_seconds_bucket{loop="$loop"}[$__rate_interval])))'
)
QUANTILES = (("0.99", "p99"), ("0.5", "p50"))
LOSS = (
    'sum by (version) (increase(loopwright_label_loss_sum{loop="$loop"}[$window]))'
    ' / sum by (version) (increase(loopwright_label_loss_count{loop="$loop"}[$window]))'
)
LABELS = 'sum by (version) (increase(loopwright_label_loss_count{loop="$loop"}[$window]))'
SCORE = 'max by (feature) (loopwright_drift_score{loop="$loop",version="$version"})'
GROWING = 'max by (feature) (loopwright_drift_growing{loop="$loop",version="$version"})'
DISTANCE = 'max by (feature) (loopwright_drift_distance{loop="$loop",version="$version"})'
ALARM = 'max by (version) (loopwright_drift_alarm{loop="$loop"})'
RECENT_SCORE, RECENT_DISTANCE = (text.replace("_drift_", "_drift_recent_") for text in (SCORE, DISTANCE))
OF_FEATURE = 'loop="$loop",version="$version",feature="$feature"'
NOW = (
    f"sum by (range) (sum by (bin) (increase(loopwright_feature_bin_total{{{OF_FEATURE}}}[$window])) * on (bin) "
    f"group_left (range) max by (bin, range) (loopwright_drift_reference{{{OF_FEATURE}}} >= bool 0))"
    f" / scalar(sum(increase(loopwright_feature_bin_total{{{OF_FEATURE}}}[$window])))"
)
REFERENCE = (
    f"max by (range) (loopwright_drift_reference{{{OF_FEATURE}}})"
    f" / scalar(sum(max by (bin) (loopwright_drift_reference{{{OF_FEATURE}}})))"
)
MISSING = (
    'sum by (feature) (rate(loopwright_feature_bin_total{loop="$loop",version="$version",bin="0"}[$window]))'
    ' / sum by (feature) (rate(loopwright_feature_bin_total{loop="$loop",version="$version"}[$window]))'
)
PREDICTED = 'sum by (version) (increase(loopwright_prediction_bucket_total{loop="$loop"}[$window]))'
UPPER_HALF = (
    'sum by (version) (increase(loopwright_prediction_bucket_total{loop="$loop",bucket=~"1[0-9]"}[$window]))'
    f" / {PREDICTED}"
)
BUSINESS = 'loopwright:business:value{loop="$loop"}'
ON_POD = '* on (instance) group_left (version) max by (instance, version) (loopwright_model_info{loop="$loop"})'


def boards() -> dict[str, Dashboard]:
    """Every dashboard by the name of its file."""
    return {
        "loop.json": overview(),
        "drift.json": drift(),
        "rollout.json": rollout(),
        "service.json": service(),
        "monitor.json": monitor(),
    }


def overview() -> Dashboard:
    """A loop at a glance: does it serve, is it right, has its data changed."""
    made = parts.board("loopwright-loop", "Loopwright / Loop", "One loop at a glance.", [LOOP, WINDOW])
    return (
        made.with_panel(parts.number("Requests", "Answered a second.", Query(f"sum({REQUESTS})"), "reqps"))
        .with_panel(
            parts.number(
                "Failed",
                "The share of requests that failed or were refused.",
                Query(FAILED.replace(" by (version)", "")),
                "percentunit",
                red=0.01,
            )
        )
        .with_panel(
            parts.number(
                "Highest drift score",
                "Test statistic over its critical value, against the training data or recent traffic: from 1 on, "
                "chance does not explain it.",
                Query('max({__name__=~"loopwright_drift_score|loopwright_drift_recent_score",loop="$loop"})'),
                red=1,
            )
        )
        .with_panel(
            parts.number(
                "Events in the window",
                "What the last look was at.",
                Query('sum(loopwright_drift_window_events{loop="$loop"})'),
            )
        )
        .with_panel(parts.lines("Requests by version", "Answered a second.", [Query(REQUESTS, "{{version}}")], "reqps"))
        .with_panel(
            parts.lines(
                "Latency, p99",
                "From a request's headers to its answer.",
                [Query(LATENCY % "0.99", "version {{version}}")],
                "s",
            )
        )
        .with_panel(parts.states("Drift alarm", "Whether an alarm fires.", Query(ALARM, "version {{version}}")))
        .with_panel(
            parts.lines(
                "Loss of labelled predictions",
                "Brier score, or squared error in units of the label's variance, over the window.",
                [Query(LOSS, "version {{version}}")],
            )
        )
        .with_panel(
            parts.lines(
                "Business metrics",
                "What the model is there for, as `monitor.business` of the loop declares it; empty where it does not.",
                [Query(BUSINESS, "{{business}} {{version}}")],
            )
        )
    )


def drift() -> Dashboard:
    """What has drifted, by how much, and what the distribution is beside what it was."""
    about = "Each feature of live traffic beside the training data of its version, and beside recent traffic."
    made = parts.board("loopwright-drift", "Loopwright / Drift", about, [LOOP, MONITORED, FEATURE, WINDOW])
    return (
        made.with_panel(
            parts.bars(
                "Score by feature",
                "Against the training data: test statistic over its critical value under the budget of false alarms. "
                "From 1 on chance does not explain it; an alarm also asks for the distance.",
                Query(f"sort_desc({SCORE})", "{{feature}}", instant=True),
                1,
            )
        )
        .with_panel(
            parts.bars(
                "Distance by feature",
                "Jensen-Shannon distance from the training data, corrected for sample size, 0 to 1.",
                Query(f"sort_desc({DISTANCE})", "{{feature}}", instant=True),
                0.1,
            )
        )
        .with_panel(
            parts.shares(
                "$feature: now and in the reference",
                "The share of predictions in each bin, over the window, and of the rows of the reference.",
                [Query(NOW, "now", table=True), Query(REFERENCE, "reference", table=True)],
                "range",
            )
        )
        .with_panel(
            parts.limited("Score over time", "From 1 on, chance does not explain it.", [Query(SCORE, "{{feature}}")], 1)
        )
        .with_panel(
            parts.lines("Distance over time", "Jensen-Shannon, 0 to 1.", [Query(DISTANCE, "{{feature}}")])
        )
        .with_panel(
            parts.lines(
                "Missing values", "Their share of each feature.", [Query(MISSING, "{{feature}}")], "percentunit"
            )
        )
        .with_panel(parts.states("Alarm", "Whether one fires.", Query(ALARM, "version {{version}}")))
        .with_panel(
            parts.limited(
                "Growing evidence",
                "Of what has drifted by evidence from longer than a window alone, over what is needed; 0 is none.",
                [Query(f"{GROWING} or {SCORE} * 0", "{{feature}}")],
                1,
            )
        )
        .with_panel(
            parts.limited(
                "Score against recent traffic",
                "The window against the traffic before it, where `monitor.recent` of the loop declares it: what is "
                "sudden. From 1 on, chance does not explain it.",
                [Query(RECENT_SCORE, "{{feature}}")],
                1,
            )
        )
        .with_panel(
            parts.lines(
                "Distance from recent traffic",
                "Jensen-Shannon, 0 to 1; empty without `monitor.recent`, and until a whole span of it was counted.",
                [Query(RECENT_DISTANCE, "{{feature}}")],
            )
        )
    )  # fmt: skip


def rollout() -> Dashboard:
    """Challenger against champion, as a rollout compares them."""
    about = "Versions side by side while a rollout is under way: what `loopwright rollout` judges by."
    made = parts.board("loopwright-rollout", "Loopwright / Rollout", about, [LOOP, WINDOW])
    return (
        made.with_panel(
            parts.lines(
                "Share of the traffic", "By version.", [Query(SHARE, "version {{version}}")], "percentunit", WIDE
            )
        )
        .with_panel(
            parts.lines("Failed", "Errors and refusals.", [Query(FAILED, "version {{version}}")], "percentunit")
        )
        .with_panel(
            parts.lines(
                "Latency, p50 and p99",
                "From a request's headers to its answer.",
                [Query(LATENCY % share, f"version {{{{version}}}}, {name}") for share, name in QUANTILES],
                "s",
            )
        )
        .with_panel(
            parts.lines(
                "Predictions in the upper half",
                "The share of predictions in the upper ten of twenty shared bins: for classification, above 0.5.",
                [Query(UPPER_HALF, "version {{version}}")],
                "percentunit",
            )
        )
        .with_panel(
            parts.lines(
                "Loss of labelled predictions",
                "Over the window; compare versions only where both have labels.",
                [Query(LOSS, "version {{version}}")],
            )
        )
        .with_panel(parts.lines("Labels in the window", "By version.", [Query(LABELS, "version {{version}}")]))
        .with_panel(
            parts.lines(
                "Predictions in the window", "Events that were counted, by version.",
                [Query(PREDICTED, "version {{version}}")],
            )
        )
    )  # fmt: skip


def service() -> Dashboard:
    """The predictors: load, outcomes, latency, batches, events, memory."""
    made = parts.board("loopwright-service", "Loopwright / Service", "The predictors of one loop.", [LOOP])

    def rate(metric: str, by: str, more: str = "") -> str:
        return f'sum by ({by}) (rate({metric}{{loop="$loop"{more}}}[$__rate_interval]))'

    return (
        made.with_panel(
            parts.lines(
                "Requests by protocol and outcome",
                "ok, invalid (the caller's fault), error (ours), refused (too much to do).",
                [Query(rate("loopwright_predictions_total", "protocol, outcome") + " > 0", "{{protocol}} {{outcome}}")],
                "reqps",
            )
        )
        .with_panel(
            parts.lines(
                "Latency by protocol, p99",
                "From a request's headers to its answer.",
                [
                    Query(
                        "histogram_quantile(0.99, "
                        + rate("loopwright_prediction_duration_seconds_bucket", "le, protocol")
                        + ")",
                        "{{protocol}}",
                    )
                ],
                "s",
            )
        )
        .with_panel(
            parts.lines(
                "Rows predicted", "A second, by version.",
                [Query(rate("loopwright_predicted_rows_total", "version"), "version {{version}}")],
                width=THIRD,
            )
        )
        .with_panel(
            parts.lines(
                "Errors by kind", "A second; the kind is the error's class.",
                [Query(rate("loopwright_prediction_errors_total", "kind"), "{{kind}}")], width=THIRD,
            )
        )
        .with_panel(
            parts.lines(
                "Batches under way", "Requests of many rows, and for explanations, that are worked on or wait.",
                [Query('sum by (version) (loopwright_predictions_in_flight{loop="$loop"})', "version {{version}}")],
                width=THIRD,
            )
        )
        .with_panel(
            parts.lines(
                "Events to the monitor", "Sent, and dropped by reason: predictions never wait for the monitor.",
                [
                    Query(rate("loopwright_events_sent_total", "version"), "sent, version {{version}}"),
                    Query(rate("loopwright_events_dropped_total", "reason"), "dropped: {{reason}}"),
                ],
            )
        )
        .with_panel(
            parts.lines(
                "Events counted by the monitor", "A second, by version.",
                [Query(rate("loopwright_events_total", "version"), "version {{version}}")],
            )
        )
        .with_panel(
            parts.lines(
                "Memory", "Resident, a process.",
                [Query(f"process_resident_memory_bytes {ON_POD}", "{{instance}}, version {{version}}")], "bytes", HALF,
            )
        )
        .with_panel(
            parts.lines(
                "Processor", "Cores, a process.",
                [
                    Query(
                        f"rate(process_cpu_seconds_total[$__rate_interval]) {ON_POD}",
                        "{{instance}}, version {{version}}",
                    )
                ],
            )
        )
    )  # fmt: skip
