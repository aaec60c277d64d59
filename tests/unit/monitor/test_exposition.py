"""Metrics are written as Prometheus reads them, each declared once."""

import math
import re

from loopwright.monitor import exposition as metrics


def test_the_text_is_exactly_this():
    text = metrics.render(
        [
            (metrics.LOSS_SUM, ("churn", "1"), 0.25),
            (metrics.EVENTS, ("churn", "1"), 12),
            (metrics.LOSS_COUNT, ("churn", "1"), 2),
            (metrics.DRIFT_SCORE, ("churn", "1", 'a "b"\\\n'), math.nan),
            (metrics.EVENTS, ("churn", "2"), 10**7),
        ]
    )
    assert text == (
        "# HELP loopwright_events_total Prediction events counted.\n"
        "# TYPE loopwright_events_total counter\n"
        'loopwright_events_total{loop="churn",version="1"} 12\n'
        'loopwright_events_total{loop="churn",version="2"} 10000000\n'
        "# HELP loopwright_label_loss Loss of labelled predictions: Brier score, or squared error in units of the "
        "label's variance.\n"
        "# TYPE loopwright_label_loss summary\n"
        'loopwright_label_loss_count{loop="churn",version="1"} 2\n'
        'loopwright_label_loss_sum{loop="churn",version="1"} 0.25\n'
        "# HELP loopwright_drift_score Test statistic over its critical value under the budget of false alarms; "
        "at 1, chance does not explain it.\n"
        "# TYPE loopwright_drift_score gauge\n"
        'loopwright_drift_score{loop="churn",version="1",feature="a \\"b\\"\\\\\\n"} NaN\n'
    )


def test_every_metric_is_listed_named_and_explained():
    declared = {value for value in vars(metrics).values() if isinstance(value, metrics.Metric)}
    assert declared == set(metrics.METRICS)
    names = [metric.name for metric in metrics.METRICS]
    assert len(set(names)) == len(names)
    for metric in metrics.METRICS:
        assert re.fullmatch(r"loopwright_[a-z_]+", metric.name)
        assert metric.help.endswith(".")
        assert metric.type in ("counter", "gauge", "summary")
