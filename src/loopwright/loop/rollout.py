"""The declared rollout: how a version goes live, and what its verdicts look at."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from loopwright.durations import Duration
from loopwright.loop.fields import Declared, Share

_HEADER = r"^[A-Za-z0-9!#$&'*+.^_`|~-]+$"  # RFC 9110, 5.6.2, without %, which Envoy reads as a command
_VALUE = r"^[!-~]([ -~]*[!-~])?$"


class ErrorRate(Declared):
    """Roll back when the challenger fails more of its requests than this, and more than the champion."""

    max: Share = 0.01


class LatencyP99(Declared):
    """Roll back when more than 1 % of the challenger's requests take longer, and more than of the champion's."""

    max: Duration = timedelta(milliseconds=50)


class PredictionShift(Declared):
    """Roll back when the distributions of the two versions' predictions are further apart than this."""

    max: Share = Field(0.5, description="The greatest distance between the distribution functions (K-S), 0 to 1.")


class LabelMetric(Declared):
    """Roll back when the challenger's loss on labelled predictions is above the champion's by more than this."""

    max_increase: Annotated[float, Field(ge=0)] = Field(
        0.01, description="Classification: Brier score. Regression: squared error in units of the label's variance."
    )
    min_labels: int = Field(0, ge=0, description="Labels that a step waits for, of the challenger's predictions.")


class Disagreement(Declared):
    """Roll back when the two versions surely answer more than this share of the same requests differently (shadow)."""

    max: Share = Field(0.1, description="Share of the mirrored requests with another class, or beyond the tolerance.")


class Query(Declared):
    """A PromQL query of one's own, with a threshold."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40, description="What verdicts and the ledger call it.")
    query: str = Field(
        min_length=1,
        description="An instant query with one series; $loop, $version (the challenger) and $champion are filled in.",
    )
    max: float | None = Field(None, description="Above this it is bad.", allow_inf_nan=False)
    min: float | None = Field(None, description="Below this it is bad.", allow_inf_nan=False)
    hold: Duration = Field(
        timedelta(minutes=1), description="Bad at every look for so long, and at three looks at least, rolls back."
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.max is None and self.min is None:
            raise ValueError(f"the query {self.name} has no threshold; give it `max`, `min` or both")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"the query {self.name} has a `min` above its `max`, which no value meets")
        return self


class Analysis(Declared):
    """What a verdict looks at; a metric that is not named is not looked at."""

    error_rate: ErrorRate | None = None
    latency_p99: LatencyP99 | None = None
    prediction_shift: PredictionShift | None = None
    label_metric: LabelMetric | None = None
    disagreement: Disagreement | None = None
    queries: tuple[Query, ...] = Field(
        (), max_length=10, description="Prometheus' answers, at LOOPWRIGHT_PROMETHEUS_URL, against thresholds."
    )

    @field_validator("queries")
    @classmethod
    def _named_once(cls, queries: tuple[Query, ...]) -> tuple[Query, ...]:
        names = [query.name for query in queries]
        taken = sorted({name for name in names if names.count(name) > 1 or name in cls.model_fields})
        if taken:
            raise ValueError(f"two metrics are called {taken[0]}; give each query a name of its own")
        return queries


class NoWorse(Declared):
    """What a challenger has to show that need not be better."""

    no_worse_by: Annotated[float, Field(gt=0)] = Field(
        description="The test has to show that the loss is higher by less than this; the unit is `label_metric`'s."
    )


class AB(Declared):
    """An A/B test: who gets the challenger, for how long, and what it has to show at the end."""

    header: str | None = Field(
        None, pattern=_HEADER, description="Requests with this header get the challenger; or use a cookie."
    )
    values: tuple[Annotated[str, Field(pattern=_VALUE)], ...] = Field(
        (), max_length=20, description="The values of the header that do."
    )
    cookie: str | None = Field(
        None,
        pattern=_HEADER,
        description="The cookie that keeps a client with its version, set at its first request; "
        "by default loopwright-<loop>.",
    )
    share: int = Field(50, gt=0, lt=100, description="The share of new clients that get the challenger, in percent.")
    horizon: Duration = Field(timedelta(days=7), description="How long it runs; the test is made once, at its end.")
    min_labels: int = Field(100, ge=2, description="Labelled predictions of each version that the test needs.")
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.05, description="The chance that the test lets a version win that should not."
    )
    win: Literal["better"] | NoWorse = Field("better", description="What the label loss has to be, for the challenger.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        default = type(self).model_fields["share"].default
        if self.header is not None and (self.cookie is not None or self.share != default):
            raise ValueError("`header` decides who gets the challenger; leave `cookie` and `share` out")
        if (self.header is None) == bool(self.values):
            raise ValueError("`header` and `values` belong together: {header: x-group, values: [beta]}")
        if self.horizon <= timedelta(0):
            raise ValueError("the horizon is above zero, such as 7d")
        return self

    @property
    def percent(self) -> int:
        """The share of the requests without a cookie or the header that the challenger gets."""
        return 0 if self.header is not None else self.share

    def cookie_name(self, loop: str) -> str:
        """The cookie's name in this loop."""
        return self.cookie or f"loopwright-{loop}"


class Shadow(Declared):
    """Mirrored requests: when two answers to one request differ."""

    tolerance: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Regression: predictions further apart than this differ, in the label's unit."
    )


class Rollout(Declared):
    """How a version goes live."""

    strategy: Literal["canary", "blue_green", "ab", "shadow"] = Field(
        "canary",
        description="canary: by steps. blue_green: all at once, with the way back kept. ab: a sticky split and a test. "
        "shadow: a copy of the traffic first, then the steps.",
    )
    steps: tuple[Annotated[int, Field(gt=0, le=100)], ...] = Field(
        (5, 25, 50, 100),
        description="The challenger's share of the traffic at each step, in percent, rising (canary, shadow).",
    )
    bake: Duration = Field(timedelta(minutes=10), description="The least time at each step.")
    min_requests: int = Field(100, ge=1, description="The least number of the challenger's requests at each step.")
    timeout: Duration = Field(timedelta(hours=1), description="A step with no verdict after this long is rolled back.")
    false_rollbacks: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05,
        description="The chance that a challenger that does as well as the champion at the same time is rolled back, "
        "over all metrics, steps and looks.",
    )
    keep: Duration = Field(
        timedelta(hours=1),
        description="How long the former version stays warm after the promotion, for an instant way back (blue_green).",
    )
    ab: AB = Field(AB(), description="The A/B test (ab).")
    shadow: Shadow = Field(Shadow(), description="The mirrored stage (shadow).")
    analysis: Analysis = Field(
        Analysis(error_rate=ErrorRate(), latency_p99=LatencyP99(), prediction_shift=PredictionShift()),
        description="What verdicts look at; by default errors, latency and the shift of the predictions.",
    )

    @field_validator("steps")
    @classmethod
    def _rising(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or list(steps) != sorted(set(steps)):
            raise ValueError("the steps rise, such as [5, 25, 50, 100]")
        return steps if steps[-1] == 100 else (*steps, 100)

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        defaults = type(self).model_fields
        for key, strategy in (("keep", "blue_green"), ("ab", "ab"), ("shadow", "shadow")):
            # Compared by value, as what `to_json` writes names every key.
            if self.strategy != strategy and getattr(self, key) != defaults[key].default:
                raise ValueError(f"`{key}` is for the strategy {strategy}, and the strategy is {self.strategy}")
        if self.analysis.disagreement is not None and self.strategy != "shadow":
            raise ValueError(
                "`disagreement` compares two answers to one request, which only the strategy shadow has; "
                f"the strategy is {self.strategy}"
            )
        return self
