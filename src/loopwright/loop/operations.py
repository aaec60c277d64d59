"""The declared operation: when live data counts as drifted, and when an alarm may start a run."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from loopwright.durations import Budget, Duration, FalseAlarmBudget
from loopwright.loop.archive import Archive
from loopwright.loop.fields import Declared, Share
from loopwright.loop.push import RemoteWrite


class Monitor(Declared):
    """When live data counts as drifted."""

    window: Duration = Field(timedelta(hours=1), description="How much of the recent traffic is compared.")
    false_alarms: FalseAlarmBudget = Field(
        Budget(1, timedelta(days=90)), description="The budget for the whole loop, not per feature."
    )
    min_effect: Share = Field(0.1, description="The least Jensen-Shannon distance (base 2) that is worth an alarm.")
    min_events: int = Field(500, ge=1, description="The least number of predictions in a window.")
    persistence: int = Field(2, ge=1, description="How many looks in a row must agree.")
    reference: Duration | None = Field(
        None, description="The profile is made of training rows at most this much older than the newest; default all."
    )
    bins: int = Field(10, ge=2, le=50, description="Quantile bins for a number; top categories for a string.")
    archive: Archive | None = Field(None, description="Keep prediction events as Parquet files; default not.")
    remote_write: RemoteWrite | None = Field(
        None, description="Push metrics where they cannot be scraped; default not."
    )


class Retrain(Declared):
    """When an alarm may start a run."""

    on: tuple[Literal["drift"], ...] = ("drift",)
    cooldown: Duration = Field(timedelta(hours=24), description="The least time between two automatic runs.")
    min_new_rows: int = Field(0, ge=0, description="Labelled rows that must have come since the last snapshot.")
    daily_cap: int = Field(4, ge=1, description="The most automatic runs in 24 hours.")
    max_failures: int = Field(3, ge=1, description="After this many failed runs in a row, a person must start one.")
