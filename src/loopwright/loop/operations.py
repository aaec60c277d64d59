"""The declared operation: when live data counts as drifted, and what may start a run."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from loopwright.durations import Budget, Duration, FalseAlarmBudget
from loopwright.loop import hours
from loopwright.loop.archive import Archive
from loopwright.loop.attributions import Attributions
from loopwright.loop.business import Business, Freshness, Name
from loopwright.loop.fields import Declared, Share
from loopwright.loop.performance import Performance
from loopwright.loop.push import RemoteWrite
from loopwright.loop.skew import Skew


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
    seasonality: Literal["hour", "weekday", "hour_of_week", "month"] | None = Field(
        None,
        description="Traffic is held against the training rows of the same hour, weekday or month; default all rows.",
    )
    timezone: Annotated[str, AfterValidator(hours.check_timezone)] = Field(
        "UTC", description="The time zone of the hours and days of `seasonality`, such as Europe/Berlin."
    )
    recent: Duration | None = Field(
        None, description="Traffic is held against that of so long before it, too, such as 7d; default not."
    )
    archive: Archive | None = Field(None, description="Keep prediction events as Parquet files; default not.")
    remote_write: RemoteWrite | None = Field(
        None, description="Push metrics where they cannot be scraped; default not."
    )
    performance: Performance = Field(Performance(), description="What labels say of the model once they come.")
    business: dict[Name, Business] = Field(
        {}, max_length=20, description="Metrics that the model is there for, by a name of yours."
    )
    freshness: Freshness = Field(Freshness(), description="For how long nothing may come.")
    attributions: Attributions = Field(Attributions(), description="When predictions rest on other features.")
    skew: Skew = Field(Skew(), description="How far serving may be from what the offline store holds.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.timezone != "UTC" and self.seasonality is None:
            raise ValueError("timezone is that of the seasons, and needs `seasonality`")
        if self.recent is not None and self.recent < 4 * self.window:
            raise ValueError("recent needs to be at least four times as long as `window`, which is held against it")
        return self


class Suspect(Declared):
    """How much more of a drifted feature may be odd than in its reference before its source is suspected."""

    missing: Share = Field(0.1, description="Values that are missing.")
    new_values: Share = Field(0.1, description="Values of a category that the reference does not list.")
    out_of_range: Share = Field(0.5, description="Numbers below or above all of the reference.")


class Retrain(Declared):
    """What may start a run by itself, when it may, and on which rows."""

    on: tuple[Literal["drift", "performance", "new_data", "schedule", "registry"], ...] = Field(
        ("drift",),
        description="drift, performance: an alarm. new_data: labelled rows came. schedule: it is time. registry: a "
        "model of `upstream` has a new champion.",
    )
    schedule: Annotated[str, AfterValidator(hours.check_cron)] | None = Field(
        None, description='With schedule: when, as cron writes it: "0 2 * * 0" is Sundays at 2.'
    )
    upstream: tuple[str, ...] = Field((), description="With registry: the registered models that this one builds on.")
    timezone: Annotated[str, AfterValidator(hours.check_timezone)] = Field(
        "UTC", description="The time zone of the schedule and the quiet hours, such as Europe/Berlin."
    )
    quiet_hours: Annotated[tuple[str, ...], AfterValidator(hours.check_quiet)] = Field(
        (), description='When no run starts by itself: "22:00-06:00", "sat-sun", "mon-fri 08:00-18:00".'
    )
    debounce: Duration = Field(timedelta(0), description="How long an alarm must have fired before a run starts.")
    cooldown: Duration = Field(timedelta(hours=24), description="The least time between two automatic runs.")
    min_new_rows: int = Field(0, ge=0, description="Labelled rows that must have come since the last snapshot.")
    daily_cap: int = Field(4, ge=1, description="The most automatic runs in 24 hours.")
    max_failures: int = Field(3, ge=1, description="After this many failed runs in a row, a person must start one.")
    suspect: Suspect = Field(
        Suspect(), description="Beyond these an alarm starts no run, as its source is to be checked first; 1 is never."
    )
    rows: Literal["all", "after_onset"] = Field(
        "all", description="What an alarm's run uses: all rows, or those since the drift began, where there are enough."
    )
    min_rows: int = Field(1000, ge=1, description="With after_onset: with fewer labelled rows than this, all are used.")
    dry_run: bool = Field(False, description="Decide and write it down, and start nothing; a person still can.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for source, key, given in (("schedule", "schedule", self.schedule), ("registry", "upstream", self.upstream)):
            if source in self.on and not given:
                raise ValueError(f"`on` has {source}, which needs `{key}`")
            if given and source not in self.on:
                raise ValueError(f"`{key}` is given, and `on` does not have {source}")
        return self
