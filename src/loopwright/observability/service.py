"""Alerts about the monitoring itself: what does not reach a monitor, what it cannot keep or say, one that is gone.

They are for people; none starts a run. Each is an expression beside the words in which it is said (`ALERTS`); the words
in capitals are filled in as in `promql.py`. What a monitor counts without naming its loop is given the loop's name by
`loopwright_monitor_info` of the same process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loopwright.monitor.alerts import SEVERITY

# What a monitor, which says of what loop it is, counts under no loop's name.
_OF_LOOP = '* on (namespace, job, instance) group_left (loop) (loopwright_monitor_info{loop="LOOP"})'
_COUNTED = 'sum by (VERSION) (increase(loopwright_events_total{loop="LOOP"}[RECENT]))'

# More than a hundredth of what was predicted never reached the monitors.
DROPPED = """\
sum by (VERSION) (increase(loopwright_events_dropped_total{loop="LOOP"}[RECENT]))
  > 0.01 * sum by (VERSION) (increase(loopwright_predicted_rows_total{loop="LOOP"}[RECENT]))"""

# A version predicts, and no monitor counts it.
BLIND = f"""\
sum by (VERSION) (increase(loopwright_predicted_rows_total{{loop="LOOP"}}[RECENT])) > 0
  unless on (VERSION) ({_COUNTED} > 0)"""

# A message is one event at least, so that this many refused are at least a hundredth of what came.
REJECTED = f"""\
sum by (SERVICE, reason) (
  increase(loopwright_events_rejected_total[RECENT])
  {_OF_LOOP}
)
  > on (SERVICE) group_left () 0.01 * (
    sum by (SERVICE) (increase(loopwright_events_total{{loop="LOOP"}}[RECENT]))
    or
    sum by (SERVICE) (loopwright_monitor_info{{loop="LOOP"}}) * 0
  )"""

UNPAIRED = f"""\
sum by (SERVICE) (
  increase(loopwright_cloudevents_unpaired_total[RECENT])
  {_OF_LOOP}
)
  > 0.01 * sum by (SERVICE) (
    increase(loopwright_cloudevents_total[RECENT])
    {_OF_LOOP}
  )"""

ARCHIVE_LOST = """\
sum by (SERVICE, outcome) (
  increase(loopwright_archive_rows_total{loop="LOOP", outcome=~"spool_full|disk_error"}[RECENT])
) > 0"""

# The store refuses files, and at this moment some wait for it.
ARCHIVE_WAITING = """\
sum by (SERVICE) (increase(loopwright_archive_failed_puts_total{loop="LOOP"}[RECENT])) > 0
  and sum by (SERVICE) (loopwright_archive_spool_bytes{loop="LOOP"}) > 0"""

# The monitor's own posts, where it makes any.
UNDELIVERED = f"""\
sum by (SERVICE) (
  increase(loopwright_alerts_total{{outcome=~"refused|dropped"}}[RECENT])
  {_OF_LOOP}
) > 0"""

# A monitor that was there a while ago, and whose pod is still to be scraped, does not answer.
DOWN = """\
count by (SERVICE) (
  up * on (namespace, job, instance) group_left (loop) last_over_time(loopwright_monitor_info{loop="LOOP"}[RECENT]) == 0
)"""


@dataclass(frozen=True)
class _Alert:
    expr: str
    summary: str
    description: str


_VERSION = "{{ $labels.loop }} version {{ $labels.version }}"
ALERTS = {
    "LoopwrightEventsDropped": _Alert(
        DROPPED,
        _VERSION + ": {{ $value | humanize }} predictions did not reach the drift monitor.",
        "What is shown of drift is of the rest. `loopwright_events_dropped_total` has the reason.",
    ),
    "LoopwrightMonitorBlind": _Alert(
        BLIND,
        _VERSION + " predicts, and no drift monitor counts it.",
        "No drift can be seen. Look at the monitor's log and at `loopwright_events_rejected_total`.",
    ),
    "LoopwrightEventsRejected": _Alert(
        REJECTED,
        "{{ $labels.loop }}: the drift monitor refused {{ $value | humanize }} messages of events: "
        "{{ $labels.reason }}.",
        "What is shown of drift is of the rest. docs/monitor.md says what each reason means.",
    ),
    "LoopwrightEventsUnpaired": _Alert(
        UNPAIRED,
        "{{ $labels.loop }}: {{ $value | humanize }} events of KServe's logger came without their other half.",
        "These predictions are not counted. The logger must send `mode: all`, and both halves to one monitor.",
    ),
    "LoopwrightArchiveLost": _Alert(
        ARCHIVE_LOST,
        "{{ $labels.loop }}: {{ $value | humanize }} predictions were not archived: {{ $labels.outcome }}.",
        "Labels cannot be joined with them, and reports do not have them. Drift is counted all the same. spool_full: "
        "the store was away for longer than `monitor.archive.spool` lasts.",
    ),
    "LoopwrightArchiveWaiting": _Alert(
        ARCHIVE_WAITING,
        "{{ $labels.loop }}: the archive's store does not take files; {{ $value | humanize }} tries failed.",
        "They wait on the monitor's disk and are tried again. Look at the monitor's log, the store and its credentials "
        "before `loopwright_archive_spool_bytes` reaches what `monitor.archive` declares.",
    ),
    "LoopwrightAlertsUndelivered": _Alert(
        UNDELIVERED,
        "{{ $labels.loop }}: {{ $value | humanize }} alarms of the monitor were refused or given up.",
        "No run starts from them. Look at `serving.alerts` of the loop, its token, and the trigger.",
    ),
    "LoopwrightMonitorDown": _Alert(
        DOWN,
        "{{ $labels.loop }}: {{ $value }} drift monitors do not answer.",
        "Their share of the traffic is not watched. Look at the pods' events and logs.",
    ),
}


def alerts(fill: Callable[[str], str], hold: str, links: Mapping[str, str]) -> list[dict[str, Any]]:
    """The alerting rules; `fill` fills in an expression, `hold` is the duration for which one holds before it fires."""
    return [
        {
            "alert": name,
            "expr": fill(alert.expr),
            "for": hold,
            "labels": {"severity": SEVERITY},
            "annotations": {"summary": alert.summary, "description": alert.description, **links},
        }
        for name, alert in ALERTS.items()
    ]
