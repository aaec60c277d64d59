"""Every metric of the monitor, declared in one place, and the Prometheus text they are written in.

Counters are cumulative since the process started, so replicas add up and `increase()` over any window is meaningful.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """A metric's name, type, meaning and labels; `family` is the name its type is declared for."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    family: str = ""


MONITOR_INFO = Metric("loopwright_monitor_info", "gauge", "1, by the loop that this monitor watches.", ("loop",))
EVENTS = Metric("loopwright_events_total", "counter", "Prediction events counted.", ("loop", "version"))
FEATURE_BIN = Metric(
    "loopwright_feature_bin_total",
    "counter",
    "Events by the profile's bins of a feature: for a number 0 missing, 1 below, 2.. intervals, last above; "
    "for a category 0 missing, 1 other, 2.. values.",
    ("loop", "version", "feature", "bin"),
)
PREDICTION_BIN = Metric(
    "loopwright_prediction_bin_total", "counter", "Events by the profile's bins of the prediction.",
    ("loop", "version", "bin"),
)  # fmt: skip
PREDICTION_BUCKET = Metric(
    "loopwright_prediction_bucket_total",
    "counter",
    "Events by bins of the prediction that all versions share: 20 equal ones of a probability, those of the first "
    "profile, or, of more than two classes, the predicted class by its place.",
    ("loop", "version", "bucket"),
)
PREDICTION_CLASS = Metric(
    "loopwright_prediction_class_total", "counter", "Classification: events by the predicted class.",
    ("loop", "version", "class"),
)  # fmt: skip
RECENT_DISTANCE = Metric(
    "loopwright_drift_recent_distance",
    "gauge",
    "Jensen-Shannon distance of the window from the traffic of `monitor.recent` before it, corrected, 0 to 1.",
    ("loop", "version", "feature"),
)
RECENT_SCORE = Metric(
    "loopwright_drift_recent_score",
    "gauge",
    "As loopwright_drift_score, of the window against the traffic of `monitor.recent` before it.",
    ("loop", "version", "feature"),
)
DRIFT_DRIFTED = Metric(
    "loopwright_drift_drifted",
    "gauge",
    "Whether a feature had drifted at the last look, 0 or 1, against the training data or recent traffic.",
    ("loop", "version", "feature", "against"),
)
COUNTING_SINCE = Metric(
    "loopwright_counting_since_seconds",
    "gauge",
    "When this process began to count a version from zero, in seconds since the epoch.",
    ("loop", "version"),
)
DRIFT_REFERENCE = Metric(
    "loopwright_drift_reference",
    "gauge",
    "Rows of the reference by bin of a feature, or of the prediction under the name that alarms give it; `group` is "
    "the group of bins that the chi-square test takes together, `range` says in words what is in the bin.",
    ("loop", "version", "feature", "bin", "group", "range"),
)
CHI_SQUARE_CRITICAL = Metric(
    "loopwright_drift_chi_square_critical",
    "gauge",
    "Critical value of a feature's chi-square test under the budget of false alarms.",
    ("loop", "version", "feature"),
)
EXCESS_CRITICAL = Metric(
    "loopwright_drift_excess_critical",
    "gauge",
    "Critical value of the test of one bin beyond the reference (missing, below, above, other).",
    ("loop", "version", "feature", "bin"),
)
LOSS_COUNT = Metric(
    "loopwright_label_loss_count",
    "summary",
    "Loss of labelled predictions: Brier score, or squared error in units of the label's variance.",
    ("loop", "version"),
    "loopwright_label_loss",
)
LOSS_SUM = Metric("loopwright_label_loss_sum", LOSS_COUNT.type, LOSS_COUNT.help, ("loop", "version"), LOSS_COUNT.family)
LOSS_SQUARES = Metric(
    "loopwright_label_loss_squares", "counter", "Sum of the squares of the loss.", ("loop", "version")
)
DRIFT_DISTANCE = Metric(
    "loopwright_drift_distance",
    "gauge",
    "Jensen-Shannon distance of the window from the profile, corrected for sample size, 0 to 1.",
    ("loop", "version", "feature"),
)
DRIFT_SCORE = Metric(
    "loopwright_drift_score",
    "gauge",
    "Test statistic over its critical value under the budget of false alarms; at 1, chance does not explain it.",
    ("loop", "version", "feature"),
)
DRIFT_GROWING = Metric(
    "loopwright_drift_growing",
    "gauge",
    "Evidence of drift from longer than a window, over what the budget of false alarms asks of it; only of features "
    "that have drifted by this alone.",
    ("loop", "version", "feature"),
)
DRIFT_DISPERSION = Metric(
    "loopwright_drift_dispersion",
    "gauge",
    "How much more the counts vary than those of independent events, as repeats make them; at least 1.",
    ("loop", "version", "feature"),
)
DRIFT_EVENTS = Metric("loopwright_drift_window_events", "gauge", "Events in the window.", ("loop", "version"))
DRIFT_ALARM = Metric("loopwright_drift_alarm", "gauge", "Whether an alarm fires, 0 or 1.", ("loop", "version"))
REJECTED = Metric("loopwright_events_rejected_total", "counter", "Messages of events that were refused.", ("reason",))
AHEAD = Metric(
    "loopwright_events_ahead_total",
    "counter",
    "Events whose sender's clock is more than a minute ahead; they are counted when they come.",
    (),
)
CLOUDEVENTS = Metric(
    "loopwright_cloudevents_total", "counter", "Events of KServe's logger that were read.", ("half",)
)  # fmt: skip
UNPAIRED = Metric(
    "loopwright_cloudevents_unpaired_total",
    "counter",
    "Requests without their response, and responses without their request, that were given up.",
    ("half",),
)
PENDING = Metric("loopwright_cloudevents_pending", "gauge", "Halves that wait for their other half.", ())
OUTCOMES = Metric(
    "loopwright_outcomes_total",
    "counter",
    "Requests that KServe's logger told of, by whether they were answered with a prediction.",
    ("loop", "version", "outcome"),
)
UNKNOWN_COLUMNS = Metric(
    "loopwright_events_unknown_columns_total",
    "counter",
    "Columns of messages that the profile does not have, and that were ignored.",
    ("loop", "version"),
)
ALERTS = Metric("loopwright_alerts_total", "counter", "Alert notifications by what became of them.", ("outcome",))
ARCHIVE_ROWS = Metric(
    "loopwright_archive_rows_total",
    "counter",
    "Predictions by what became of them on the way to the archive: stored, not_sampled, or given up because the "
    "spool was full (spool_full) or its disk failed (disk_error).",
    ("loop", "outcome"),
)
ARCHIVE_FAILED = Metric(
    "loopwright_archive_failed_puts_total", "counter", "Files that the store did not take; they are tried again.",
    ("loop",),
)  # fmt: skip
ARCHIVE_EXPIRED = Metric(
    "loopwright_archive_expired_files_total", "counter", "Files deleted as older than the retention.", ("loop",)
)
ARCHIVE_GATHERED = Metric(
    "loopwright_archive_gathered_rows", "gauge", "Predictions in memory that no file has yet.", ("loop",)
)
ARCHIVE_SPOOL = Metric("loopwright_archive_spool_bytes", "gauge", "Bytes on disk that wait for the store.", ("loop",))
PUSHES = Metric(
    "loopwright_remote_write_pushes_total", "counter", "Pushes of these metrics by what became of them.", ("outcome",)
)

LABELS = Metric(
    "loopwright_labels_total",
    "counter",
    "Labels that came: joined, unknown (no prediction has the id, or not yet), repeated; of the repeated those that "
    "say something else are contradicting.",
    ("loop", "outcome"),
)
LABEL_DELAY_COUNT = Metric(
    "loopwright_label_delay_seconds_count", "summary", "Real seconds from a prediction to its label.",
    ("loop", "version"), "loopwright_label_delay_seconds",
)  # fmt: skip
LABEL_DELAY_SUM = Metric(
    "loopwright_label_delay_seconds_sum",
    LABEL_DELAY_COUNT.type,
    LABEL_DELAY_COUNT.help,
    LABEL_DELAY_COUNT.labels,
    LABEL_DELAY_COUNT.family,
)
LABEL_NEWEST = Metric(
    "loopwright_label_timestamp_seconds", "gauge", "When a label was joined last, in real time.", ("loop", "version")
)
LABEL_SCORES = Metric(
    "loopwright_label_scores_total",
    "counter",
    "Classification: labelled predictions by label (1 positive, 0 negative) and the upper edge of the score's bin.",
    ("loop", "version", "label", "score"),
)
LABEL_DECISIONS = Metric(
    "loopwright_label_decisions_total",
    "counter",
    "Classification: labelled predictions by label and decision, of everything (an empty slice) and by slice.",
    ("loop", "version", "slice", "value", "label", "decided"),
)
LABEL_CLASSES = Metric(
    "loopwright_label_classes_total",
    "counter",
    "More than two classes: labelled predictions by the class that it was and the one that was predicted.",
    ("loop", "version", "label", "decided"),
)
LABEL_LOG_LOSS = Metric(
    "loopwright_label_log_loss_total", "counter", "Classification: sum of the log loss of labelled predictions.",
    ("loop", "version"),
)  # fmt: skip
LABEL_ERROR_COUNT = Metric(
    "loopwright_label_error_count",
    "summary",
    "Regression: absolute errors of labelled predictions, of everything (an empty slice) and by slice.",
    ("loop", "version", "slice", "value"),
    "loopwright_label_error",
)
LABEL_ERROR_SUM = Metric(
    "loopwright_label_error_sum", LABEL_ERROR_COUNT.type, LABEL_ERROR_COUNT.help, LABEL_ERROR_COUNT.labels,
    LABEL_ERROR_COUNT.family,
)  # fmt: skip
LABEL_ERROR_SQUARES = Metric(
    "loopwright_label_error_squares_total", "counter", "Regression: sum of the squares of the errors.",
    LABEL_ERROR_COUNT.labels,
)  # fmt: skip
PERFORMANCE = Metric(
    "loopwright_performance",
    "gauge",
    "A metric over the labels of `monitor.performance.over`, of everything (an empty slice) and by slice.",
    ("loop", "version", "metric", "slice", "value"),
)
PERFORMANCE_LOW = Metric(
    "loopwright_performance_low", "gauge", "The lower end of the 95 % interval of a metric.", PERFORMANCE.labels
)
PERFORMANCE_HIGH = Metric(
    "loopwright_performance_high", "gauge", "The upper end of the 95 % interval of a metric.", PERFORMANCE.labels
)
PERFORMANCE_REFERENCE = Metric(
    "loopwright_performance_reference", "gauge", "A metric on the rows held out in training, or as declared.",
    ("loop", "version", "metric"),
)  # fmt: skip
PERFORMANCE_ESTIMATE = Metric(
    "loopwright_performance_estimate",
    "gauge",
    "A metric of all predictions in that time as the reference lets one expect it, without their labels.",
    ("loop", "version", "metric"),
)
PERFORMANCE_SCORE = Metric(
    "loopwright_performance_score",
    "gauge",
    "The drop of the metric over what the budget of false alarms takes for chance; at 1, chance does not explain it.",
    ("loop", "version", "metric"),
)
PERFORMANCE_ALARM = Metric(
    "loopwright_performance_alarm", "gauge", "Whether the alarm of the metric fires, 0 or 1.", ("loop", "version")
)
FAIRNESS = Metric(
    "loopwright_fairness_difference",
    "gauge",
    "The greatest difference between two groups of an attribute: demographic_parity_difference or "
    "equalized_odds_difference.",
    ("loop", "version", "metric", "attribute"),
)

METRICS = (
    MONITOR_INFO, EVENTS, FEATURE_BIN, PREDICTION_BIN, PREDICTION_BUCKET, PREDICTION_CLASS, LOSS_COUNT,
    LOSS_SUM, LOSS_SQUARES, DRIFT_DISTANCE, DRIFT_SCORE, DRIFT_GROWING, RECENT_DISTANCE, RECENT_SCORE, DRIFT_DRIFTED,
    DRIFT_DISPERSION, DRIFT_EVENTS, DRIFT_ALARM,
    REJECTED, AHEAD, CLOUDEVENTS, UNPAIRED, PENDING, OUTCOMES, UNKNOWN_COLUMNS, ALERTS,
    ARCHIVE_ROWS, ARCHIVE_FAILED, ARCHIVE_EXPIRED, ARCHIVE_GATHERED, ARCHIVE_SPOOL, PUSHES,
    COUNTING_SINCE, DRIFT_REFERENCE, CHI_SQUARE_CRITICAL, EXCESS_CRITICAL,
    LABELS, LABEL_DELAY_COUNT, LABEL_DELAY_SUM, LABEL_NEWEST,
    LABEL_SCORES, LABEL_DECISIONS, LABEL_CLASSES, LABEL_LOG_LOSS, LABEL_ERROR_COUNT,
    LABEL_ERROR_SUM, LABEL_ERROR_SQUARES, PERFORMANCE, PERFORMANCE_LOW, PERFORMANCE_HIGH, PERFORMANCE_REFERENCE,
    PERFORMANCE_ESTIMATE, PERFORMANCE_SCORE, PERFORMANCE_ALARM, FAIRNESS,
)  # fmt: skip

Sample = tuple[Metric, Sequence[str], float]


def render(samples: Iterable[Sample]) -> str:
    """The text exposition of samples, grouped by metric in the order of METRICS."""
    groups: dict[Metric, list[str]] = {metric: [] for metric in METRICS}
    for metric, values, number in samples:
        labels = ",".join(f'{key}="{_escape(value)}"' for key, value in zip(metric.labels, values, strict=True))
        groups[metric].append(f"{metric.name}{{{labels}}} {_number(number)}")
    return "\n".join([*_lines(groups), ""])


def _lines(groups: dict[Metric, list[str]]) -> Iterator[str]:
    declared = set()
    for metric, lines in groups.items():
        family = metric.family or metric.name
        if lines and family not in declared:
            declared.add(family)
            yield f"# HELP {family} {metric.help}"
            yield f"# TYPE {family} {metric.type}"
        yield from lines


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
