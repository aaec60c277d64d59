"""The declared search for an estimator's parameters."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from loopwright.durations import Duration
from loopwright.loop.fields import Declared, Scalar


class Space(Declared):
    """What one parameter may be: from `low` to `high`, or one of `choices`. Two whole numbers make whole numbers."""

    low: int | float | None = Field(None, description="The least value, included.")
    high: int | float | None = Field(None, description="The greatest value, included.")
    log: bool = Field(False, description="Whether factors matter rather than differences.")
    choices: tuple[Scalar, ...] | None = Field(None, min_length=1, description="The values to choose from.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        ranged = self.low is not None and self.high is not None
        if ranged == (self.choices is not None) or (self.low is None) != (self.high is None):
            raise ValueError("a parameter has either low and high, or choices")
        if self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError(f"low {self.low} is not below high {self.high}")
            if self.log and self.low <= 0:
                raise ValueError("a logarithmic range begins above zero")
        return self


class Search(Declared):
    """Parameters tried by Optuna on parts of the training rows; the best are what the model is trained with."""

    trials: Annotated[int, Field(ge=1, le=10_000)] = Field(30, description="How many sets of parameters are tried.")
    metric: str | None = Field(None, description="What they are compared by; roc_auc, or rmse of a regression.")
    space: dict[str, Space] = Field({}, description="The parameters; lightgbm has a space of its own by default.")
    folds: Annotated[int, Field(ge=2, le=20)] = Field(
        3, description="Parts of the training rows that each set is judged on, chosen as the holdout is."
    )
    pruning: bool = Field(True, description="Whether a set that is worse than the median is given up before all folds.")
    parallel: Annotated[int, Field(ge=1, le=64)] = Field(1, description="Sets that are tried at the same time.")
    timeout: Duration | None = Field(None, description="After this long, in real time, no more sets are tried.")

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.timeout is not None and self.timeout <= timedelta(0):
            raise ValueError("the timeout is above zero")
        return self
