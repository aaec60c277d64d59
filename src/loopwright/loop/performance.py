"""The declared watch over a model's performance: what labels say of it once they come."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from loopwright.durations import Budget, Duration, FalseAlarmBudget
from loopwright.loop.fields import Declared


class Performance(Declared):
    """What is measured as labels come in, and when it is an alarm."""

    metric: (
        Literal[
            "roc_auc",
            "accuracy",
            "f1",
            "precision",
            "recall",
            "log_loss",
            "brier",
            "rmse",
            "mae",
            "r2",
            "balanced_accuracy",
            "f1_macro",
        ]
        | None
    ) = Field(None, description="The metric whose drop raises an alarm; without one there is no alarm.")
    max_drop: Annotated[float, Field(gt=0, le=1)] = Field(
        0.05, description="The least drop that is worth an alarm, relative to the reference: 0.03 is 3 % down."
    )
    over: Duration = Field(timedelta(days=7), description="How much of the time in which labels came is measured.")
    min_labels: int = Field(200, ge=50, description="The least number of labels in that time.")
    false_alarms: FalseAlarmBudget = Field(
        Budget(1, timedelta(days=90)), description="The budget of this alarm, beside that of drift."
    )
    reference: float | None = Field(
        None, description="What the metric is held against; by default its value on the rows held out in training."
    )
    slices: tuple[str, ...] = Field(
        (), max_length=4, description="Inputs by whose values everything is measured too, such as gender."
    )
