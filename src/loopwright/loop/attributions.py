"""The declared watch over what predictions rest on."""

from datetime import timedelta

from pydantic import Field

from loopwright.durations import Budget, FalseAlarmBudget
from loopwright.loop.fields import Declared, Share


class Attributions(Declared):
    """Drift of feature attributions, as `loopwright attributions` measures it on archived events."""

    min_change: Share = Field(
        0.05,
        description="The least change of a feature's mean attribution that counts, as a share of those of all features "
        "together in the reference.",
    )
    false_alarms: FalseAlarmBudget = Field(
        Budget(1, timedelta(days=90)), description="The budget of this comparison, beside that of drift."
    )
