"""The alarm of a metric as Alertmanager's webhook body, version 4, beside that of drift (`alerts`)."""

from datetime import timedelta
from typing import Any

from loopwright.durations import Clock, format_duration
from loopwright.loop import LOWER_IS_BETTER, Loop
from loopwright.monitor.alerts import SEVERITY, entry, envelope
from loopwright.monitor.decline import Judged
from loopwright.monitor.drift import Notice

ALERT_NAME = "LoopwrightPerformance"


def body(loop: Loop, clock: Clock, version: str, notice: Notice, judged: Judged, window: float) -> dict[str, Any]:
    """The webhook body of a notice about one metric; `window` in real seconds, times on the loop's clock."""
    (alert,) = notice.alerts.values()
    group = {"alertname": ALERT_NAME, "loop": loop.name, "version": version}
    labels = {**group, "severity": SEVERITY, "metric": judged.metric}
    span = format_duration(timedelta(seconds=window * clock.speed))
    low, high = judged.live.interval()
    # A notice that all is over may come with a newer look, so the numbers are those of now.
    moved = "up" if judged.metric in LOWER_IS_BETTER else "down"
    change = f"{moved} {judged.drop:.1%} from" if judged.drop >= 0 else "not worse than"
    annotations = {
        "summary": f"{judged.metric} of {loop.name} version {version} is {judged.live.value:.4g}, {change} "
        f"{judged.reference.value:.4g}, over {notice.events} labels in {span}.",
        "description": f"95 % interval {low:.4g} to {high:.4g}; labels that came within {span}.",
        "value": f"{judged.live.value:.6g}",
        "reference": f"{judged.reference.value:.6g}",
        "drop": f"{judged.drop:.6f}",
        "score": f"{judged.score:.6f}",
        "window": span,
    }
    return envelope(group, labels, annotations, notice.firing, [entry(clock, labels, annotations, alert)])
