"""The declared rollout: how a version goes live, and what its verdicts look at."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator

from loopwright.durations import Duration
from loopwright.loop.fields import Declared, Share


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


class Analysis(Declared):
    """What a verdict looks at; a metric that is not named is not looked at."""

    error_rate: ErrorRate | None = None
    latency_p99: LatencyP99 | None = None
    prediction_shift: PredictionShift | None = None
    label_metric: LabelMetric | None = None


class Rollout(Declared):
    """How a version goes live."""

    strategy: Literal["canary", "blue_green"] = "canary"
    steps: tuple[Annotated[int, Field(gt=0, le=100)], ...] = Field(
        (5, 25, 50, 100), description="The challenger's share of the traffic at each step, in percent, rising."
    )
    bake: Duration = Field(timedelta(minutes=10), description="The least time at each step.")
    min_requests: int = Field(100, ge=1, description="The least number of the challenger's requests at each step.")
    timeout: Duration = Field(timedelta(hours=1), description="A step with no verdict after this long is rolled back.")
    false_rollbacks: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05,
        description="The chance that a challenger that does as well as the champion at the same time is rolled back, "
        "over all metrics, steps and looks.",
    )
    analysis: Analysis = Analysis(error_rate=ErrorRate(), latency_p99=LatencyP99(), prediction_shift=PredictionShift())

    @field_validator("steps")
    @classmethod
    def _rising(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or list(steps) != sorted(set(steps)):
            raise ValueError("the steps rise, such as [5, 25, 50, 100]")
        return steps if steps[-1] == 100 else (*steps, 100)
