"""The dashboard of the monitors themselves: what comes in, what is refused, what is kept, and what they say.

What a monitor counts without naming its loop is given the loop's name by `loopwright_monitor_info` of the same process.
"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards import parts
from dashboards.parts import THIRD, Query

LOOP = parts.labels("loop", "label_values(loopwright_monitor_info, loop)", "Loop")
OF_LOOP = '* on (job, instance) group_left (loop) (loopwright_monitor_info{loop="$loop"})'


def monitor() -> Dashboard:
    """The drift monitors: events, what is refused, KServe's logger, the archive, alarms on their way, labels."""

    def rate(metric: str, by: str) -> str:
        return f'sum by ({by}) (rate({metric}{{loop="$loop"}}[$__rate_interval]))'

    def own(metric: str, by: str, rated: str = "rate({}[$__rate_interval])") -> str:
        return f"sum by ({by}) ({rated.format(metric)} {OF_LOOP})"

    def archived(metric: str) -> str:
        """A gauge of the archive; 0 without one."""
        return f'sum({metric}{{loop="$loop"}}) or sum(loopwright_monitor_info{{loop="$loop"}}) * 0'

    lost = 'sum(increase(loopwright_archive_rows_total{loop="$loop",outcome=~"spool_full|disk_error"}[$__range]))'
    none = 'sum(loopwright_monitor_info{loop="$loop"}) * 0'
    made = parts.board("loopwright-monitor", "Loopwright / Monitor", "The drift monitors of one loop.", [LOOP])
    return (
        made.with_panel(
            parts.number("Monitors", "Scraped now.", Query('sum(loopwright_monitor_info{loop="$loop"})'))
        )
        .with_panel(
            parts.number(
                "Predictions that were not archived", "In the time that is shown: the spool full, or the disk failing.",
                Query(f"{lost} or {none}"), red=1,
            )
        )
        .with_panel(
            parts.number(
                "Files that wait for the store", "Their bytes, on the monitors' disks.",
                Query(archived("loopwright_archive_spool_bytes")), "bytes",
            )
        )
        .with_panel(
            parts.number(
                "Refused", "Messages of events, in the time that is shown.",
                Query(own("loopwright_events_rejected_total", "loop", "increase({}[$__range])")), red=1,
            )
        )
        .with_panel(
            parts.lines(
                "Events counted", "A second, by version.",
                [Query(rate("loopwright_events_total", "version"), "version {{version}}")],
            )
        )
        .with_panel(
            parts.lines(
                "Refused by reason", "Messages a second; docs/monitor.md says what each reason means.",
                [Query(own("loopwright_events_rejected_total", "reason"), "{{reason}}")],
            )
        )
        .with_panel(
            parts.lines(
                "KServe's logger", "Requests and responses read, and given up without their other half, a second.",
                [
                    Query(f"{own('loopwright_cloudevents_total', 'half')} or {none}", "{{half}}"),
                    Query(f"{own('loopwright_cloudevents_unpaired_total', 'half')} or {none}", "unpaired {{half}}"),
                ],
            )
        )
        .with_panel(
            parts.lines(
                "Archived", "Predictions a second, by what became of them.",
                [Query(f"{rate('loopwright_archive_rows_total', 'outcome')} or {none}", "{{outcome}}")],
            )
        )
        .with_panel(
            parts.lines(
                "Waiting for the archive", "Predictions in memory that no file has yet.",
                [Query(archived("loopwright_archive_gathered_rows"), "rows")], width=THIRD,
            )
        )
        .with_panel(
            parts.lines(
                "Files not taken", "A second; they wait on the disk and are tried again.",
                [Query(f"{rate('loopwright_archive_failed_puts_total', 'loop')} or {none}", "files")], width=THIRD,
            )
        )
        .with_panel(
            parts.lines(
                "Alarms on their way", "Posts a second that a monitor makes by itself, by what became of them.",
                [Query(f"{own('loopwright_alerts_total', 'outcome')} or {none}", "{{outcome}}")], width=THIRD,
            )
        )
        .with_panel(
            parts.lines(
                "Pushed", "By remote write, where that is declared: pushes a second, by what became of them.",
                [Query(f"{own('loopwright_remote_write_pushes_total', 'outcome')} or {none}", "{{outcome}}")],
            )
        )
        .with_panel(
            parts.lines(
                "Labels", "A second, by what became of them.",
                [Query(rate("loopwright_labels_total", "outcome"), "{{outcome}}")],
            )
        )
    )  # fmt: skip
