"""The declared business metrics, which Prometheus has from elsewhere, and how fresh live data has to be."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from loopwright.durations import Duration
from loopwright.loop.fields import Declared

Name = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=60)]


class Business(Declared):
    """A metric that the model is there for, such as orders or refunds, as a query of Prometheus with its limits."""

    query: str = Field(
        min_length=1,
        description="PromQL that gives one value, or one a version where it keeps the label `version`. `$over` is the "
        "time below: `sum(increase(orders_total[$over]))`.",
    )
    over: Duration = Field(timedelta(days=7), description="What the value is about, and what it is compared with.")
    min: float | None = Field(None, description="An alert when the value is below.")
    max: float | None = Field(None, description="An alert when the value is above.")
    max_drop: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="An alert when it has dropped by more than this share of what it was `over` ago."
    )
    max_rise: Annotated[float, Field(gt=0)] | None = Field(
        None, description="An alert when it has risen by more than this share of what it was `over` ago."
    )

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.over <= timedelta(0):
            raise ValueError("over needs to be longer than nothing")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Freshness(Declared):
    """How fresh live data has to be."""

    events: Duration | None = Field(
        None, description="An alert when no prediction of any version was counted for so long; default none."
    )
    labels: Duration | None = Field(
        None,
        description="An alert when no label was joined for so long though predictions go on, beginning `data.label."
        "delay` after the monitor did; default none.",
    )
