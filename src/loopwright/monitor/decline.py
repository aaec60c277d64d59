"""Whether a metric has declined, pure: the labels of a window held against the reference, under a budget.

A metric is down when the window has labels enough, the drop relative to the reference is at least `max_drop`, and
chance does not explain it. The budget is spent as that of drift is (see `drift`): a look may raise its share of false
alarms, whatever the windows of neighbouring looks have in common. One metric is watched, so nothing is shared further.

The test is one-sided and of the normal approximation: the drop over its standard error, which has both the window's
and the reference's. A window whose errors are large by chance has a large standard error too, so that losses with long
tails raise fewer alarms than budgeted, not more (simulated in the tests).
"""

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import NormalDist

from loopwright.durations import Clock
from loopwright.loop import LOWER_IS_BETTER, Loop
from loopwright.monitor.drift import GREATEST_LEVEL, SHORTEST_LOOK, Look, Rule, Score
from loopwright.statistics.measured import Measured

LOOKS_PER_WINDOW = 20
LEAST_OF_A_CLASS = 30
"""Labels that a metric rests on (of its rarer class, of what it calls positive) below which its error is not known."""

_CERTAIN = 1e6


@dataclass(frozen=True)
class Judged:
    """A metric now, beside its reference."""

    metric: str
    live: Measured
    reference: Measured
    drop: float
    """How much worse it is, relative to the reference; below zero it is better."""

    score: float
    """Test statistic over critical value: at 1 and above, chance does not explain it under the budget."""

    enough: bool
    down: bool

    def look(self, labels: int) -> Look:
        """As the alarm takes it in: one thing that may be off, where drift has many."""
        nothing = Score(0.0, 0.0, False)
        return Look(labels, self.enough, {self.metric: Score(self.drop, self.score, self.down)}, nothing)


def rule(loop: Loop, clock: Clock) -> Rule:
    """When to look and what a look may spend; looks fall on looks of drift, as those are when the monitor wakes."""
    watched, drift = loop.monitor.performance, Rule.of(loop, clock)
    over = clock.seconds(watched.over)
    wanted = max(over / LOOKS_PER_WINDOW, SHORTEST_LOOK)
    look = max(math.ceil(wanted / drift.look - 1e-9), 1) * drift.look
    share = watched.false_alarms.share(timedelta(seconds=look * clock.speed))
    return replace(
        drift,
        look=look,
        looks=max(round(over / look), 1),
        level=min(share, GREATEST_LEVEL),
        min_effect=watched.max_drop,
        min_events=watched.min_labels,
    )


def judge(metric: str, live: Measured, reference: Measured, labels: int, rule: Rule) -> Judged:
    """Hold a window's metric against the reference; `labels` is how many the window has."""
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    lost = sign * (reference.value - live.value)
    drop = lost / max(abs(reference.value), 1e-12)
    error = math.hypot(_error(live), reference.error)
    enough = labels >= rule.min_events and live.n >= LEAST_OF_A_CLASS and math.isfinite(error)
    critical = NormalDist().inv_cdf(1 - rule.level)
    # Both are exact only where all errors are the same: any difference is one.
    score = lost / (error * critical) if error > 0 else math.copysign(_CERTAIN, lost) if lost else 0.0
    return Judged(metric, live, reference, drop, score, enough, enough and score >= 1 and drop >= rule.min_effect)


def _error(live: Measured) -> float:
    """The standard error; of a share of 0 or 1 that of a share with one more of each, as it is not known exactly."""
    if not live.share or live.error > 0 or not math.isfinite(live.error):
        return live.error
    value = (live.value * live.n + 1) / (live.n + 2)
    return math.sqrt(value * (1 - value) / live.n)
