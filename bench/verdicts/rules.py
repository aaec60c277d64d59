"""The product's verdict and the rules that it is compared with: each says at which look it rolls back, or never.

`flagger` and `argo` are the plain thresholds of the two tools, with the values of their documentation:

- Flagger (docs.flagger.app, "Metrics Analysis" and the podinfo tutorials; pkg/controller/scheduler.go): once a minute
  the success rate over the last minute is at least 99 % and the p99 at most the limit; every check that fails adds
  one, no check that passes takes one away, and five roll back (`threshold: 5`).
- Argo Rollouts v1.10 (docs/features/analysis.md, analysis/analysis.go): a measurement fails when it does not meet its
  `successCondition`; more than `failureLimit` failed ones of one metric roll back. The page's example measures a
  success rate of at least 95 % each 5 minutes with a limit of 3; a limit that is not given is 0.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from bench.verdicts.traffic import Counts, Course
from numpy.typing import NDArray
from scipy import stats

from loopwright.loop import Rollout
from loopwright.rollout import evidence
from loopwright.rollout.analysis import declared, judge

REQUESTS, ERRORS, SLOW, LABELS, LOSS, SQUARES = range(6)
NEVER = -1
SLOW_SHARE = 0.01  # a p99 above the limit
ALPHA = 0.05

# A pure function, asked at every look of a step at 100 % with the same numbers.
evidence.rate_upper_bound = functools.lru_cache(maxsize=8)(evidence.rate_upper_bound)  # type: ignore[attr-defined]

Rule = Callable[[Course, Rollout], int]


def loopwright(course: Course, rollout: Rollout) -> int:
    """The product's `judge` at every look."""
    earlier = course.earlier
    for look, steps in course.looks():
        if judge(rollout, steps, earlier, baked=True).kind == "roll_back":
            return look
    return NEVER


def naive(course: Course, rollout: Rollout) -> int:
    """Two-proportion z-tests (means of the labels' losses: Welch's) at 0.05, one-sided, at every look of each step."""
    for weight, part in course.stages():
        here, other = _sides(course, weight, part)
        crossed = np.zeros(len(here), dtype=bool)
        for metric in _compared(rollout):
            crossed |= _z(metric, here, other) > stats.norm.isf(ALPHA)
        if crossed.any():
            return part.start + int(crossed.argmax())
    return NEVER


def fixed(course: Course, rollout: Rollout) -> int:
    """The same tests, made once: at the end of the last step that compares. 0.05 is divided among the metrics."""
    stages = list(course.stages())
    weight, part = next((one for one in reversed(stages) if one[0] < 100), stages[-1])
    whole = slice(0 if weight < 100 else part.start, part.stop)
    here, other = _sides(course, weight, whole)
    metrics = _compared(rollout)
    bad = any(_z(metric, here[-1:], other[-1:])[0] > stats.norm.isf(ALPHA / len(metrics)) for metric in metrics)
    return part.stop - 1 if bad else NEVER


def flagger(course: Course, rollout: Rollout) -> int:
    """Five failed checks of the last minute: success rate >= 99 %, p99 <= the limit."""
    counts, ends = _windows(course, 1)
    failed = _below(counts, 0.99) | _slow(counts, rollout)
    return _nth(failed, ends, 5)


def argo_example(course: Course, rollout: Rollout) -> int:
    """The documentation's example: success rate >= 95 % each 5 minutes, failureLimit 3; the p99 in the same way."""
    counts, ends = _windows(course, 5)
    return _first(_nth(_below(counts, 0.95), ends, 4), _nth(_slow(counts, rollout), ends, 4))


def argo_strict(course: Course, rollout: Rollout) -> int:
    """The same at >= 99 % each minute, and the failureLimit 0 that holds where none is given."""
    counts, ends = _windows(course, 1)
    return _first(_nth(_below(counts, 0.99), ends, 1), _nth(_slow(counts, rollout), ends, 1))


RULES: dict[str, Rule] = {
    "loopwright": loopwright,
    "naive": naive,
    "fixed": fixed,
    "flagger": flagger,
    "argo_example": argo_example,
    "argo_strict": argo_strict,
}


def fixed_sample(metric: str, rollout: Rollout, share: float, champion: float, challenger: float, spread: float) -> int:
    """The challenger's trials that a fixed test needs to find exactly this difference with a chance of 90 %.

    Trials are requests, or labels. `share` is the challenger's of the traffic; the first two are rates, or mean losses
    of which `spread` is the variance (Jennison & Turnbull 2000, "Group sequential methods", ch. 3).
    """
    ratio = (1 - share) / share
    level, power = stats.norm.isf(ALPHA / len(_compared(rollout))), stats.norm.isf(0.1)
    if metric == "label_metric":
        root = (level + power) * np.sqrt(spread * (1 + 1 / ratio))
    else:
        pooled = (challenger + ratio * champion) / (1 + ratio)
        null = np.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
        root = level * null + power * np.sqrt(challenger * (1 - challenger) + champion * (1 - champion) / ratio)
    return int(np.ceil((root / (challenger - champion)) ** 2))


def _compared(rollout: Rollout) -> Sequence[str]:
    """The metrics that a z-test is made for."""
    return [name for name in declared(rollout) if name in ("error_rate", "latency_p99", "label_metric")]


def _sides(course: Course, weight: int, part: slice) -> tuple[Counts, Counts]:
    """Cumulative counts of the challenger and of the champion, from before where it has no traffic."""
    here = np.cumsum(course.challenger[part], axis=0)
    if weight == 100:
        return here, np.broadcast_to(course.before, here.shape)
    return here, np.cumsum(course.champion[part], axis=0)


def _z(metric: str, here: Counts, other: Counts) -> NDArray[np.float64]:
    """The z statistic of each row; 0 where there is nothing to test."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric == "label_metric":
            n, m = here[:, LABELS], other[:, LABELS]
            one, two = here[:, LOSS] / n, other[:, LOSS] / m
            variance = (here[:, SQUARES] / n - one**2) / n + (other[:, SQUARES] / m - two**2) / m
            z = np.where((n >= 30) & (m >= 30), (one - two) / np.sqrt(variance), 0.0)
        else:
            column = ERRORS if metric == "error_rate" else SLOW
            n, m = here[:, REQUESTS], other[:, REQUESTS]
            pooled = (here[:, column] + other[:, column]) / (n + m)
            z = (here[:, column] / n - other[:, column] / m) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0)


def _windows(course: Course, minutes: int) -> tuple[Counts, NDArray[np.int64]]:
    """The challenger's counts in successive windows, and each one's last look."""
    size = course.minute * minutes
    ends = np.arange(size, len(course.challenger) + 1, size)
    total = np.concatenate([np.zeros((1, course.challenger.shape[1])), np.cumsum(course.challenger, axis=0)])
    return total[ends] - total[ends - size], ends - 1


def _below(counts: Counts, success: float) -> NDArray[np.bool_]:
    return counts[:, ERRORS] > (1 - success) * counts[:, REQUESTS] + 1e-9


def _slow(counts: Counts, rollout: Rollout) -> NDArray[np.bool_]:
    if rollout.analysis.latency_p99 is None:
        return np.zeros(len(counts), dtype=bool)
    return counts[:, SLOW] > SLOW_SHARE * counts[:, REQUESTS] + 1e-9


def _nth(failed: NDArray[np.bool_], ends: NDArray[np.int64], nth: int) -> int:
    at = np.flatnonzero(failed)
    return int(ends[at[nth - 1]]) if len(at) >= nth else NEVER


def _first(one: int, other: int) -> int:
    return min((look for look in (one, other) if look != NEVER), default=NEVER)
