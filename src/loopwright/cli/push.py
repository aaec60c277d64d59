"""What a job that a person or cron started leaves in the Pushgateway, where one is named: how a run ended, and when."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from loopwright.cli.context import Context
from loopwright.errors import StateError

if TYPE_CHECKING:
    from loopwright.engines.protocol import RunStatus
    from loopwright.pushgateway import Gauge

JOB = "loopwright_run"
STATES = ("succeeded", "rejected", "failed", "cancelled")


def ended(context: Context, status: "RunStatus", state: str, metrics: Mapping[str, float | None]) -> None:
    """Push how a run of this loop ended; one that cannot be pushed is said, and is no failed run."""
    left(context, JOB, gauges(status, state, metrics, time.time()))


def left(context: Context, job: str, content: "Sequence[Gauge]") -> None:
    """Push what a job of this loop found, where a Pushgateway is named; one that takes nothing fails no job."""
    url = context.settings.pushgateway_url
    if not url:
        return
    import httpx

    from loopwright.pushgateway import push

    try:
        with httpx.Client(trust_env=False) as client:
            push(client, url, job, {"loop": context.loop.name}, content)
    except StateError as error:
        click.echo(f"warning: {error}", err=True)


def gauges(status: "RunStatus", state: str, metrics: Mapping[str, float | None], now: float) -> "list[Gauge]":
    """What is pushed; the last success and its version stay when a later run fails."""
    from loopwright.pushgateway import Gauge

    found = [
        Gauge("loopwright_run_ended_timestamp_seconds", "When the last run ended.", [({}, now)]),
        Gauge("loopwright_run_duration_seconds", "How long the last run took.", [({}, status.seconds)]),
        Gauge(
            "loopwright_run_state",
            "How the last run ended: 1 for that state.",
            [({"state": one}, float(one == state)) for one in STATES],
        ),
        Gauge(
            "loopwright_run_metric",
            "The metrics of the last model that was judged, on held-out rows.",
            [({"metric": name}, value) for name, value in metrics.items() if value is not None],
        ),
    ]
    if status.version is not None:
        found += [
            Gauge("loopwright_run_success_timestamp_seconds", "When a run last registered a version.", [({}, now)]),
            Gauge("loopwright_run_version", "The version that a run registered last.", [({}, float(status.version))]),
        ]
    return found
