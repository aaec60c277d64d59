"""What of drift only a monitor can say, for Prometheus: its own gauges in the place of records computed from counts.

Against seasons the reference moves with the window, and each replica's window has a mixture of its own; recent traffic
is a monitor's memory. Neither is a constant that rules could hold summed counts against. So of these the rules take
what the monitors found at their last look, the worst of them: with several replicas each spends the budget by itself.
"""

from collections.abc import Mapping

from loopwright.loop import Loop
from loopwright.monitor import looks
from loopwright.monitor.looks import RECENT, TRAINING
from loopwright.observability import promql

_SEASONAL = {
    "loopwright:drift:distance": 'max by (FEATURE) (loopwright_drift_distance{loop="LOOP"})',
    "loopwright:drift:score": 'max by (FEATURE) (loopwright_drift_score{loop="LOOP"})',
    "loopwright:drift:drifted": """\
max by (FEATURE) (loopwright_drift_drifted{loop="LOOP", against="training"})
and on (VERSION) <version:watched>""",
}
_RECENT = """\
label_replace(
  max by (FEATURE) (loopwright_drift_recent_distance{loop="LOOP"})
    and on (FEATURE) (max by (FEATURE) (loopwright_drift_drifted{loop="LOOP", against="recent"}) == 1)
    and on (VERSION) <version:watched>
  or
  max by (FEATURE) (loopwright_drift_recent_distance{loop="LOOP"})
    and on (VERSION) (<events:window> < MIN_EVENTS)
    and on (FEATURE) (
      ALERTS{alertname="LoopwrightDrift", alertstate="firing", loop="LOOP", against="recent"} offset LOOK),
  "against", "recent", "", "")"""
RECENT_SCORE = (
    '{{ with printf "max by (feature) (loopwright_drift_recent_score{loop=%q, version=%q, feature=%q})" '
    "$labels.loop $labels.version $labels.feature | query }}"
    '{{ . | first | value | printf "%.6f" }}{{ end }}'
)


def records(loop: Loop) -> Mapping[str, str]:
    """The recorded series of a loop: with seasons, distance and verdict are the monitors' own."""
    if loop.monitor.seasonality is None:
        return promql.RECORDS
    computed = {*promql.DISTANCE, *promql.CHI_SQUARE, *promql.EXCESS} - {
        # What looks odd is told by these shares, of the mixture that the monitors export as their reference.
        "loopwright:feature_bin:window_share",
        "loopwright:feature_bin:reference_share",
    }
    kept = {name: text for name, text in promql.RECORDS.items() if name not in computed}
    return {**kept, **_SEASONAL}


def drifted(loop: Loop) -> str:
    """What the alarm is raised for: with recent traffic, what is sudden too, labelled `against="recent"`."""
    return promql.DRIFTED if loop.monitor.recent is None else f"{promql.DRIFTED}\nor\n{_RECENT}"


def either(loop: Loop, recent: str, training: str) -> str:
    """A template that says the one of an alert against recent traffic, where the loop has that, and else the other."""
    if loop.monitor.recent is None:
        return training
    return f'{{{{ if eq $labels.against "recent" }}}}{recent}{{{{ else }}}}{training}{{{{ end }}}}'


def against(loop: Loop) -> str:
    """The annotation that names the reference, as the monitor's own alarms name it."""
    return either(loop, RECENT, TRAINING)


def reference(loop: Loop) -> str:
    """The reference in words."""
    return either(loop, looks.reference(loop, RECENT), looks.reference(loop, TRAINING))
