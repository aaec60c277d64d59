"""Rules for limits that a loop declares: business metrics, and data that stays away. And what jobs found and pushed.

None of these is a test: what a query yields has no error that is known here, so the limits are the team's, and no
budget of false alarms covers them. People are told, and no run is started.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from loopwright.durations import Clock, format_duration
from loopwright.loop import Loop
from loopwright.loop.business import Business
from loopwright.monitor.alerts import SEVERITY
from loopwright.observability import promql

VALUE = "loopwright:business:value"
LOOKS = 20
"""A metric is looked at so often in its own time, as `monitor.performance` is."""

_NOW = 'loopwright:business:value{loop="LOOP", business="NAME"}'
# A version that has just come has no past of its own: it is held against what the versions before it had.
_BEFORE = "FACTOR * avg by (SERVICE, business) (<NOW> offset OVER)".replace("<NOW>", _NOW)
BUSINESS = {
    "min": f"{_NOW} < LIMIT",
    "max": f"{_NOW} > LIMIT",
    "max_drop": f"{_NOW}\n  < on (SERVICE, business) group_left ()\n{_BEFORE}",
    "max_rise": f"{_NOW}\n  > on (SERVICE, business) group_left ()\n{_BEFORE}",
}
VERSION = "{{ with $labels.version }} version {{ . }}{{ end }}"
SAID = {
    "min": "below LIMIT",
    "max": "above LIMIT",
    "max_drop": "more than SHARE below what it was OVER ago",
    "max_rise": "more than SHARE above what it was OVER ago",
}

# No monitor counted a prediction, or no monitor is there at all.
SILENT = """\
sum by (SERVICE) (increase(loopwright_events_total{loop="LOOP"}[FRESH])) == 0
or
absent_over_time(loopwright_events_total{loop="LOOP"}[FRESH])"""
UNLABELLED = """\
(sum by (SERVICE) (increase(loopwright_label_delay_seconds_count{loop="LOOP"}[FRESH])) == 0)
  and on (SERVICE) (sum by (SERVICE) (increase(loopwright_events_total{loop="LOOP"}[FRESH])) > 0)
  and on (SERVICE) (time() - min by (SERVICE) (loopwright_counting_since_seconds{loop="LOOP"}) > FIRST)"""

# What `loopwright skew` and `loopwright attributions` left in the Pushgateway.
SKEWED = 'loopwright_skew_share{loop="LOOP"} and on (loop, feature) (loopwright_skew_beyond{loop="LOOP"} == 1)'
LEANS = 'loopwright_attribution_mean{loop="LOOP"} and (loopwright_attribution_drifted{loop="LOOP"} == 1)'


def group(loop: Loop, clock: Clock, links: Mapping[str, str]) -> dict[str, Any]:
    """The rule group of a loop's limits; `links` are annotations with URLs."""
    rules: list[dict[str, Any]] = []
    for name, business in loop.monitor.business.items():
        rules += _business(loop, clock, name, business, links)
    return {
        "name": f"loopwright-{loop.name}-limits",
        "rules": [*rules, *_fresh(loop, clock, links), *_jobs(loop, links)],
    }


def _business(
    loop: Loop, clock: Clock, name: str, business: Business, links: Mapping[str, str]
) -> list[dict[str, Any]]:
    over = clock.seconds(business.over)
    hold = (loop.monitor.persistence - 1) * over / LOOKS
    span = _seconds(over)
    found: list[dict[str, Any]] = [
        {
            "record": VALUE,
            "expr": business.query.strip().replace("$over", span),
            "labels": {"loop": loop.name, "business": name},
        }
    ]
    for key, expression in BUSINESS.items():
        limit = getattr(business, key)
        if limit is None:
            continue
        factor = 1 - limit if key == "max_drop" else 1 + limit
        words = {"LOOP": loop.name, "NAME": name, "LIMIT": repr(limit), "FACTOR": repr(factor), "OVER": span}
        said = SAID[key].replace("LIMIT", f"{limit:g}").replace("SHARE", f"{limit:.3g} of it")
        said = said.replace("OVER", format_duration(business.over))
        found.append(
            {
                "alert": "LoopwrightBusiness",
                "expr": promql.filled(expression, words),
                **({"for": _seconds(hold)} if hold else {}),
                "labels": {"severity": SEVERITY, "limit": key},
                "annotations": {
                    "summary": f"{name} of {{{{ $labels.loop }}}}{VERSION} is {{{{ $value | humanize }}}}, {said}.",
                    "description": "See `loopwright history {{ $labels.loop }}` for what was rolled out since.",
                    **links,
                },
            }
        )
    return found


def _fresh(loop: Loop, clock: Clock, links: Mapping[str, str]) -> list[dict[str, Any]]:
    declared, found = loop.monitor.freshness, []
    if declared.events is not None:
        words = {"LOOP": loop.name, "FRESH": _seconds(clock.seconds(declared.events))}
        text = f"{{{{ $labels.loop }}}}: no prediction was counted for {format_duration(declared.events)}."
        more = "Is there no traffic, or do predictions not reach the monitors?"
        found.append(_alert("LoopwrightNoEvents", promql.filled(SILENT, words), text, more, links))
    if declared.labels is not None:
        fresh = clock.seconds(declared.labels)
        first = fresh + clock.seconds(loop.data.label.delay)
        words = {"LOOP": loop.name, "FRESH": _seconds(fresh), "FIRST": f"{first:.12g}"}
        text = f"{{{{ $labels.loop }}}}: no label was joined for {format_duration(declared.labels)}."
        more = "Live performance is that of older predictions. Look at what sends labels."
        found.append(_alert("LoopwrightNoLabels", promql.filled(UNLABELLED, words), text, more, links))
    return found


def _jobs(loop: Loop, links: Mapping[str, str]) -> list[dict[str, Any]]:
    words = {"LOOP": loop.name}
    return [
        _alert(
            "LoopwrightSkew",
            promql.filled(SKEWED, words),
            "{{ $labels.feature }} of {{ $labels.loop }} differs from its offline value in "
            "{{ $value | humanizePercentage }} of the predictions.",
            "A model is not asked what it was trained on. `loopwright skew {{ $labels.loop }}` shows examples.",
            links,
        ),
        _alert(
            "LoopwrightAttributionDrift",
            promql.filled(LEANS, words),
            "Predictions of {{ $labels.loop }} version {{ $labels.version }} rest on {{ $labels.feature }} otherwise "
            "than in training.",
            "`loopwright attributions {{ $labels.loop }}` shows by how much.",
            links,
        ),
    ]


def _alert(name: str, expression: str, summary: str, description: str, links: Mapping[str, str]) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "labels": {"severity": SEVERITY},
        "annotations": {"summary": summary, "description": description, **links},
    }


def _seconds(seconds: float) -> str:
    """Seconds as Prometheus writes a duration, of a millisecond at least."""
    return format_duration(timedelta(seconds=max(seconds, 0.001)))
