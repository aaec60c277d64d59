"""What makes a verdict: the challenger's counts against the champion's, over the same time.

Pure functions of cumulative counts. `false_rollbacks` is split evenly over the declared metrics, and every test holds
at all looks at once (loopwright.statistics.sequential). The chance that the metrics roll back an equally good
challenger, over all of them, all steps and all looks, is at most that, on these conditions:

- Below 100 %: the router draws the version of each request at random. Whatever happens to both versions meanwhile
  changes nothing.
- At 100 %: what the challenger meets is what the champion met before. No traffic is left to compare with, so an outage
  or other customers at that time can roll an equally good version back.

While both versions have traffic, `error_rate` and `latency_p99` need two kinds of evidence: absolute (the rate is
above the limit) and relative (bad requests fall on the challenger more often than requests do). The smaller of the
two e-values counts, so a failing dependency or a bad client, which hit both versions, roll nothing back.

At 100 % the limit is raised to the rate that the champion had before, with its uncertainty, and half of the metric's
error budget is kept for it. A canary was judged to be promoted at its last step below 100; at 100 errors and latency
are the only metrics that can still take it back. Where 100 is the only step, as in blue/green, the predictions and
the labels too are compared with the champion's before the switch, which cannot tell a new model from new traffic.

A metric that is missing, NaN or without traffic is `cannot_tell`: it waits and, in the end, is not promoted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from loopwright.loop import Rollout
from loopwright.rollout.counts import Arm
from loopwright.rollout.evidence import Evidence, Step, labels, least_labels, rate, shift

Kind = Literal["promote", "roll_back", "wait", "cannot_tell"]


@dataclass(frozen=True)
class Verdict:
    """What an analysis says, and the numbers that it says so for."""

    kind: Kind
    reason: str
    evidence: dict[str, Evidence] = field(default_factory=dict)


def judge(rollout: Rollout, steps: Sequence[Step], before: Arm, *, baked: bool) -> Verdict:
    """The verdict on the last of `steps`, after `before`: the champion's counts when the rollout began.

    `promote` means: on to the next step, and after the last one, the challenger is the champion. `baked` says
    whether the step has lasted long enough.
    """
    step = steps[-1]
    # At 100 % after steps that compared both, only what needs no comparison.
    comparing = step.both or len(steps) == 1
    alpha = rollout.false_rollbacks / max(1, len(declared(rollout)))
    evidence = {}
    for metric in declared(rollout):
        if metric in ("error_rate", "latency_p99"):
            evidence[metric] = rate(metric, rollout, steps, before, alpha)
        elif not comparing:
            continue
        elif metric == "prediction_shift":
            evidence[metric] = shift(rollout, steps, before, alpha)
        else:
            evidence[metric] = labels(rollout, steps, before, alpha)
    worse = [f"{metric}: {one['detail']}" for metric, one in evidence.items() if one["worse"]]
    if worse:
        return Verdict("roll_back", "; ".join(worse), evidence)
    unknown = [f"{metric}: {one['detail']}" for metric, one in evidence.items() if not one["known"]]
    if not math.isfinite(step.challenger.requests):
        unknown = ["the requests of the challenger cannot be read", *unknown]
    elif step.challenger.requests <= 0:
        unknown = ["the challenger has had no requests in this step"]
    if unknown:
        return Verdict("cannot_tell", "; ".join(unknown), evidence)
    waiting = _waiting(rollout, step, baked=baked, with_labels="label_metric" in evidence)
    if waiting:
        return Verdict("wait", "waiting for " + " and ".join(waiting), evidence)
    return Verdict("promote", "enough was seen, and nothing is worse", evidence)


def declared(rollout: Rollout) -> list[str]:
    """The metrics that the loop wants looked at."""
    names = ("error_rate", "latency_p99", "prediction_shift", "label_metric")
    return [name for name in names if getattr(rollout.analysis, name) is not None]


def _waiting(rollout: Rollout, step: Step, *, baked: bool, with_labels: bool) -> list[str]:
    waiting = []
    if step.challenger.requests < rollout.min_requests:
        waiting.append(f"{step.challenger.requests:.0f} of {rollout.min_requests} requests")
    least = least_labels(rollout)
    if with_labels and step.challenger.labels < least:
        waiting.append(f"{step.challenger.labels:.0f} of {least} labels")
    if not baked:
        waiting.append("the bake time")
    return waiting
