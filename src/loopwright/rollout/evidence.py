"""What each metric of a rollout shows: numbers, whether they are known, and whether they say worse.

One function a metric, over the steps so far; `analysis.judge` makes the verdict of them. An evidence is JSON:
`limit`, `worse`, `known`, `detail` (a sentence), and where they apply `champion`, `challenger`, `e_value` and what
it `needed`, or an estimate and its lower `bound`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from loopwright.loop import Rollout
from loopwright.rollout.counts import ANSWERS, ZERO, Arm
from loopwright.statistics.sequential import (
    MIN_LABELS,
    Moments,
    distribution_distance,
    log_e_allocation,
    log_e_rate,
    log_e_steps,
    mean_difference,
    rate_upper_bound,
)

Evidence = dict[str, Any]

SLOW_SHARE = 0.01
"""A p99 above the limit: more than this share of the requests takes longer."""
SLOW_TOGETHER = 5
"""One stall (a collection, a busy core) slows the requests that are in flight together, so this many requests count as
one. That is the likelihood ratio's fifth root, whose expected value stays below 1 however five requests depend on each
other (Hoelder's inequality); the mixture is made of the roots, as a root of the mixture would not stay there."""
LEANS = 4.0
"""An e-value from which a step is not passed yet, though nothing is shown: three failures of the first fifteen requests
are no proof, and no reason to go on to a greater share either. Of equal versions fewer than one in four ever get here,
and they leave it again as requests come."""
_GREATEST = 1e12  # e-values beyond it say nothing more, and JSON has no infinity


@dataclass(frozen=True)
class Step:
    """What both versions did in one step, in which the challenger was to get `weight` percent of the traffic.

    At weight 0 it got a copy of the champion's.
    """

    weight: int
    champion: Arm
    challenger: Arm

    @property
    def both(self) -> bool:
        """Whether both versions have traffic, so that they can be compared over the same time."""
        return self.weight < 100


def plan(rollout: Rollout) -> tuple[int, ...]:
    """The shares of the traffic that the challenger gets, in percent; 0 stands for a copy of the champion's.

    Blue/green switches at once; an A/B test has one step, its split.
    """
    match rollout.strategy:
        case "blue_green":
            return (100,)
        case "ab":
            return (rollout.ab.share,)
        case "shadow":
            return (0, *rollout.steps)
    return rollout.steps


def _bad(metric: str, arm: Arm, *, both: bool) -> tuple[float, float]:
    """(bad, all) requests. Refused ones count where the champion shows whether it would have refused them too."""
    if metric == "latency_p99":
        return arm.slow, arm.timed
    return arm.errors + (arm.rejected if both else 0.0), arm.requests


def _together(metric: str) -> int:
    """How many requests count as one."""
    return SLOW_TOGETHER if metric == "latency_p99" else 1


def _counted(metric: str, arm: Arm) -> bool:
    return all(math.isfinite(count) for count in _bad(metric, arm, both=True))


def rate(metric: str, rollout: Rollout, steps: Sequence[Step], before: Arm, alpha: float) -> Evidence:
    """Errors (`error_rate`) or slow requests (`latency_p99`): above the limit, and worse than the champion's."""
    step, cap = steps[-1], rollout.analysis.error_rate
    limit = SLOW_SHARE if metric == "latency_p99" or cap is None else cap.max
    bad, total = _bad(metric, step.challenger, both=step.both)
    champion_bad, champion_total = _bad(metric, step.champion, both=step.both)
    if not step.both:
        champion_bad, champion_total = _champion_before(metric, steps, before)
    facts: Evidence = {
        "champion": _ratio(champion_bad, champion_total),
        "challenger": _ratio(bad, total),
        "limit": limit,
        "worse": False,
        "known": False,
    }
    what = "slow requests" if metric == "latency_p99" else "errors"
    if not (_counted(metric, step.challenger) and total > 0):
        return facts | {"detail": f"the challenger's {what} are not known"}
    if step.both and not (_counted(metric, step.champion) and champion_total > 0):
        return facts | {"detail": f"the champion's {what} are not known"}
    together = _together(metric)
    if step.both:
        log_e, needed = _compared(metric, rollout, steps, limit), 2 / alpha
    else:
        allowed = limit
        if champion_total > 0:
            allowed = max(limit, rate_upper_bound(champion_bad / together, champion_total / together, alpha / 4))
        log_e, needed = log_e_rate(bad / together, total / together, allowed), 4 / alpha
        facts["allowed"] = round(allowed, 6)
    verb = f"took longer than {_milliseconds(rollout)}" if metric == "latency_p99" else "failed"
    champion = "" if facts["champion"] is None else f", {facts['champion']:.2%} of the champion's"
    return facts | {
        "e_value": _capped(log_e),
        "needed": round(needed, 1),
        "known": True,
        "worse": log_e >= math.log(needed),
        "leans": log_e >= math.log(LEANS),
        "detail": f"{bad:.0f} of {total:.0f} requests {verb} ({bad / total:.2%}{champion}; limit {limit:.2%})",
    }


def _compared(metric: str, rollout: Rollout, steps: Sequence[Step], limit: float) -> float:
    """log of the e-value for: above the limit, and more often than the champion, in the steps with both."""
    absolute, relative, together = [], [], _together(metric)
    for step in steps:
        if not (step.both and _counted(metric, step.champion) and _counted(metric, step.challenger)):
            continue
        bad, total = _bad(metric, step.challenger, both=True)
        other_bad, other_total = _bad(metric, step.champion, both=True)
        absolute.append(log_e_rate(bad / together, total / together, limit))
        share = total / (total + other_total) if total + other_total else 0.0
        both = (bad + other_bad) / together
        relative.append(log_e_allocation(both, bad / together, share, _routed(rollout, step, share)))
    planned = sum(weight < 100 for weight in plan(rollout))
    return min(log_e_steps(absolute, planned), log_e_steps(relative, planned))


def _routed(rollout: Rollout, step: Step, share: float) -> float:
    """The chance that a request of the step goes to the challenger.

    Mirrored requests go to both: of two equal versions' bad answers half are the challenger's, and a request that both
    answer badly is one of each, which is less evidence than a draw would give. In an A/B test who asks how often
    decides, so the observed share stands in.
    """
    if rollout.strategy == "ab":
        return share
    return step.weight / 100 or 0.5


def _champion_before(metric: str, steps: Sequence[Step], before: Arm) -> tuple[float, float]:
    """(bad, all) of the champion's requests from before the challenger took all of the traffic."""
    arms = [before, *(step.champion for step in steps if step.both)]
    known = reduce(lambda one, other: one + other, (arm for arm in arms if _counted(metric, arm)), ZERO)
    return _bad(metric, known, both=False)


def shift(rollout: Rollout, steps: Sequence[Step], before: Arm, alpha: float) -> Evidence:
    """How far apart the distributions of the two versions' predictions are."""
    step, declared = steps[-1], rollout.analysis.prediction_shift
    assert declared is not None
    champion = step.champion if step.both else before
    facts: Evidence = {"limit": declared.max, "worse": False, "known": False}
    for name, arm in (("challenger", step.challenger), ("champion", champion)):
        if not arm.known(ANSWERS):
            return facts | {"detail": f"the {name}'s predictions cannot be read"}
        if sum(arm.predictions) < 1:
            return facts | {"detail": f"the {name} has no predictions to compare"}
    if len(champion.predictions) != len(step.challenger.predictions):
        return facts | {"detail": "the versions' predictions are counted in different bins"}
    # Steps are judged each on its own: the mix of hours differs between them, and both versions must share it.
    distance, bound = distribution_distance(
        step.challenger.predictions, champion.predictions, alpha / len(plan(rollout))
    )
    return facts | {
        "distance": round(distance, 6),
        "bound": round(bound, 6),
        "known": True,
        "worse": bound > declared.max,
        "detail": f"the predictions' distributions are {distance:.3f} apart, at least {bound:.3f} "
        f"(limit {declared.max:g})",
    }


def labels(rollout: Rollout, steps: Sequence[Step], before: Arm, alpha: float) -> Evidence:
    """How much higher the challenger's loss is on labelled predictions."""
    declared = rollout.analysis.label_metric
    assert declared is not None
    sides = [(one.challenger, one.champion if one.both else before) for one in steps]
    challenger, champion = sides[-1]
    facts: Evidence = {
        "champion": _ratio(champion.loss_sum, champion.labels),
        "challenger": _ratio(challenger.loss_sum, challenger.labels),
        "labels": challenger.labels if math.isfinite(challenger.labels) else None,
        "limit": declared.max_increase,
        "worse": False,
        "known": False,
    }
    if not (challenger.known(ANSWERS) and champion.known(ANSWERS)):
        return facts | {"detail": "the labels cannot be read"}
    pairs = [(_moments(one), _moments(other)) for one, other in sides if one.known(ANSWERS) and other.known(ANSWERS)]
    estimate, bound = mean_difference(pairs, alpha)
    if math.isnan(estimate):
        # A loop that does not wait for labels is not kept by them; one that does is told apart from one that cannot.
        known = not declared.min_labels or challenger.labels < least_labels(rollout)
        return facts | {
            "known": known,
            "detail": f"{challenger.labels:.0f} labels of the challenger's and {champion.labels:.0f} of the champion's "
            f"predictions, {MIN_LABELS} of each are needed",
        }
    return facts | {
        "increase": round(estimate, 6),
        "bound": round(bound, 6),
        "known": True,
        "worse": bound > declared.max_increase,
        "detail": f"the loss is higher by {estimate:.4f}, at least {bound:.4f} (limit {declared.max_increase:g})",
    }


def _moments(arm: Arm) -> Moments:
    return Moments(arm.labels, arm.loss_sum, arm.loss_squares)


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole and math.isfinite(part / whole) else None


def _capped(log_e: float) -> float:
    value = math.exp(min(log_e, math.log(_GREATEST)))
    return float(f"{value:.4g}")


def _milliseconds(rollout: Rollout) -> str:
    limit = rollout.analysis.latency_p99
    return "" if limit is None else f"{limit.max.total_seconds() * 1000:g} ms"


def least_labels(rollout: Rollout) -> int:
    """The challenger's labels that a step waits for; a loop that waits for labels waits for a test of them."""
    declared = rollout.analysis.label_metric
    return max(declared.min_labels, MIN_LABELS) if declared is not None and declared.min_labels else 0
