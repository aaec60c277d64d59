"""A loop's recording and alerting rules: as a rules file for Prometheus, and as its operator's PrometheusRule.

Windows and looks are the monitor's own (`monitor.drift.Rule`), so that both evaluate alike. Rules are evaluated once a
look, as the budget of false alarms is spent by looks.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from loopwright.durations import Clock, format_duration
from loopwright.loop import Loop
from loopwright.monitor.alerts import ALERT_NAME, SEVERITY
from loopwright.monitor.drift import Rule
from loopwright.monitor.growing import GREATEST_SPAN
from loopwright.observability import limits, own, promql, service
from loopwright.serving.resources import names

PREDICTION = "prediction"
RECENT = 3600.0
"""Seconds of traffic that alarms about the monitoring itself look at, where a window is longer."""
SUMMARY = (
    '{{ $labels.feature }} of {{ $labels.loop }} has drifted from REFERENCE: distance {{ printf "%.3f" $value }} GROWN.'
)
# Asked when the alert is sent: how many predictions, how far beyond chance, and what is odd about the values.
EVENTS = (
    '{{ with printf "loopwright:events:window{loop=%q, version=%q}" $labels.loop $labels.version | query }}'
    '{{ . | first | value | printf "%.0f" }}{{ end }}'
)
_OF_FEATURE = '{loop=%q, version=%q, feature=%q}" $labels.loop $labels.version $labels.feature'
OVER = "over EVENTS predictions in SPAN"
GROWN = (
    f'{{{{ if printf "loopwright:drift:growing{_OF_FEATURE} | query }}}}by evidence from longer than SPAN'
    f"{{{{ else }}}}{OVER}{{{{ end }}}}"
)
SCORE = (
    '{{ with printf "loopwright:drift:growing{loop=%[1]q, version=%[2]q, feature=%[3]q} or '
    'loopwright:drift:score{loop=%[1]q, version=%[2]q, feature=%[3]q}" $labels.loop $labels.version $labels.feature '
    '| query }}{{ . | first | value | printf "%.6f" }}{{ end }}'
)
ODD = (
    f'{{{{ range printf "loopwright:drift:odd{_OF_FEATURE} | query }}}}{{{{ if eq .Labels.what "WHAT" }}}}'
    '{{ .Value | printf "%.6f" }}{{ end }}{{ end }}'
)
SUSPECTED = (
    f'{{{{ range printf "loopwright:drift:odd{_OF_FEATURE} | query }}}}'
    '{{ if and (eq .Labels.what "WHAT") (gt .Value LIMIT) }}Check the source first, no run starts by itself: '
    "{{ .Value | humanizePercentage }} more of the predictions than of the training data have WORDS. {{ end }}{{ end }}"
)
PERFORMANCE = (
    '{{ with printf "WHAT{loop=%q, version=%q, metric=%qMORE}" $labels.loop $labels.version $labels.metric | query }}'
    '{{ . | first | value | printf "%.4g" }}{{ end }}'
)
WORDS = {
    "missing": "no value",
    "out_of_range": "a value out of all its range",
    "new_values": "a value that it does not list",
}


def groups(
    loop: Loop, clock: Clock, *, prediction: str = PREDICTION, links: Mapping[str, str] | None = None
) -> list[Any]:
    """The rule groups of a loop.

    `prediction` is what alarms call the prediction (`drift.prediction_name`); `links` are annotations with URLs, such
    as `dashboard_url`.
    """
    rule = Rule.of(loop, clock)
    interval = _duration(rule.look)
    records = [
        {"record": name, "expr": _filled(text, loop, rule, prediction)} for name, text in own.records(loop).items()
    ]
    return [
        {
            "name": f"loopwright-{loop.name}-drift",
            "interval": interval,
            "rules": [*records, _drift(loop, clock, rule, prediction, links or {})],
        },
        {
            "name": f"loopwright-{loop.name}-service",
            "rules": [
                _performance(loop, rule, prediction, links or {}),
                *service.alerts(
                    lambda text: _filled(text, loop, rule, prediction),
                    _duration(min(rule.look, RECENT / 10)),
                    links or {},
                ),
            ],
        },
        limits.group(loop, clock, links or {}),
    ]


def prometheus_rule(loop: Loop, content: list[Any]) -> names.Manifest:
    """Rule groups as an object of Prometheus' operator (https://prometheus-operator.dev/docs/api-reference/api/)."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"loopwright-{loop.name}", "labels": names.labels(loop, "monitor")},
        "spec": {"groups": content},
    }


def _drift(loop: Loop, clock: Clock, rule: Rule, prediction: str, links: Mapping[str, str]) -> dict[str, Any]:
    span = format_duration(timedelta(seconds=rule.window * clock.speed))
    # As many looks in a row begin an alarm as end it; the first of them is at time zero.
    hold = _duration((rule.persistence - 1) * rule.look)
    odd: dict[str, float] = loop.retrain.suspect.model_dump()
    held = {"for": hold, "keep_firing_for": hold} if rule.persistence > 1 else {}
    return {
        "alert": ALERT_NAME,
        "expr": _filled(own.drifted(loop), loop, rule, prediction),
        **held,
        "labels": {"severity": SEVERITY},
        "annotations": {
            "summary": (
                SUMMARY.replace("REFERENCE", own.reference(loop))
                # Only what is held against the training data has evidence that grows.
                .replace("GROWN", own.either(loop, OVER, GROWN))
                .replace("EVENTS", EVENTS)
                .replace("SPAN", span)
            ),
            "description": (
                "A distance of at least MIN_EFFECT counts, and a score of at least 1 is beyond chance: by chance alone "
                f"the whole loop raises at most {loop.monitor.false_alarms} false alarms. `loopwright drift "
                "{{ $labels.loop }}` shows every feature; the trigger decides whether a run is started, and "
                "`loopwright history {{ $labels.loop }}` says why."
            ).replace("MIN_EFFECT", f"{rule.min_effect:g}"),
            "distance": '{{ printf "%.6f" $value }}',
            "score": own.either(loop, own.RECENT_SCORE, SCORE),
            "window": span,
            "against": own.against(loop),
            **{what: ODD.replace("WHAT", what) for what in odd},
            "advice": "".join(
                SUSPECTED.replace("WHAT", what).replace("LIMIT", repr(limit)).replace("WORDS", WORDS[what])
                for what, limit in odd.items()
            ),
            **_report(loop),
            **links,
        },
    }  # fmt: skip


def _performance(loop: Loop, rule: Rule, prediction: str, links: Mapping[str, str]) -> dict[str, Any]:
    return {
        "alert": "LoopwrightPerformance",
        "expr": _filled(promql.DECLINED, loop, rule, prediction),
        "labels": {"severity": SEVERITY},
        "annotations": {
            "summary": (
                "{{ $labels.metric }} of {{ $labels.loop }} version {{ $labels.version }} is down: VALUE now, "
                "REFERENCE in the reference."
            )
            .replace("VALUE", PERFORMANCE.replace("WHAT", "loopwright_performance").replace("MORE", ', slice=\\"\\"'))
            .replace("REFERENCE", PERFORMANCE.replace("WHAT", "loopwright_performance_reference").replace("MORE", "")),
            "score": '{{ printf "%.6f" $value }}',
            **links,
        },
    }


def _report(loop: Loop) -> dict[str, str]:
    """Where the trigger that the loop names gives the alarm's rows as a page (docs/retrain.md); none for another."""
    base, ours, _ = loop.serving.alerts.partition("/v1/alerts")
    return {"report_url": base + "/v1/reports/latest?version={{ $labels.version | urlquery }}"} if ours else {}


def _needed(rule: Rule) -> float:
    """The least evidence that any start of `Growing` asks for: of the longest-lived, for one input and a regression.

    Without growing evidence it is 1: there is nothing that it is for.
    """
    if not rule.sequential:
        return 1.0
    orders = max(int(math.log2(GREATEST_SPAN / rule.sequential)), 0) + 1
    return math.log(2 * orders / rule.sequential / 2 ** (orders - 1))


def _filled(text: str, loop: Loop, rule: Rule, prediction: str) -> str:
    values = {
        "LOOP": loop.name,
        "LOOK": _duration(rule.look),
        "TWO_LOOKS": f"{2 * rule.look:.12g}",
        # Half a look less: the look at its far end is not in it, whether ranges are closed (Prometheus 2) or not (3).
        "WINDOW": _duration(rule.window - rule.look / 2),
        "RECENT": _duration(min(rule.window, RECENT)),
        "PREDICTION": prediction.replace("\\", r"\\").replace('"', r"\""),
        "NEEDED": f"{_needed(rule):.6g}",
        "MIN_EVENTS": str(rule.min_events),
        "MIN_EFFECT": repr(rule.min_effect),
    }
    return promql.filled(text, values)


def _duration(seconds: float) -> str:
    """Seconds as Prometheus writes a duration: whole milliseconds, in the largest unit that fits."""
    return format_duration(timedelta(seconds=seconds))
