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

Mirrored requests (shadow, weight 0) have two answers each: `disagreement` counts those that differ. Declared queries
have thresholds and no such guarantee (queries.py), and no part of `false_rollbacks`.

A metric that is missing, NaN or without traffic is `cannot_tell`: it waits and, in the end, is not promoted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from loopwright.loop import Rollout
from loopwright.rollout.counts import Arm
from loopwright.rollout.evidence import Evidence, Step, labels, least_labels, rate, shift
from loopwright.rollout.pairs import NONE, Pairs, disagreement

Kind = Literal["promote", "roll_back", "wait", "cannot_tell"]
NO_QUERIES: Mapping[str, Evidence] = {}


@dataclass(frozen=True)
class Verdict:
    """What an analysis says, and the numbers that it says so for."""

    kind: Kind
    reason: str
    evidence: dict[str, Evidence] = field(default_factory=dict)


def judge(
    rollout: Rollout,
    steps: Sequence[Step],
    before: Arm,
    *,
    baked: bool,
    late: bool = False,
    pairs: Pairs = NONE,
    queries: Mapping[str, Evidence] = NO_QUERIES,
) -> Verdict:
    """The verdict on the last of `steps`, after `before`: the champion's counts when the rollout began.

    `promote` means: on to the next step, and after the last one, the challenger is the champion. `baked` says
    whether the step has lasted long enough, `late` whether as long as it may: evidence that leans to worse, and shows
    nothing, holds a step back until then. `pairs` are the mirrored stage's, `queries` what the declared queries show.
    """
    step = steps[-1]
    # At 100 % after steps that compared both, only what needs no comparison.
    comparing = step.both or len(steps) == 1
    alpha = rollout.false_rollbacks / max(1, len(declared(rollout)))
    evidence: dict[str, Evidence] = {}
    for metric in declared(rollout):
        if metric == "disagreement":
            assert rollout.analysis.disagreement is not None
            if step.weight == 0:
                evidence[metric] = disagreement(pairs, rollout.analysis.disagreement.max, alpha)
        elif metric in ("error_rate", "latency_p99"):
            evidence[metric] = rate(metric, rollout, steps, before, alpha)
        elif not comparing:
            continue
        elif metric == "prediction_shift":
            evidence[metric] = shift(rollout, steps, before, alpha)
        else:
            evidence[metric] = labels(rollout, steps, before, alpha)
    evidence |= queries
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
    waiting = _waiting(rollout, step, evidence, baked=baked, late=late)
    if waiting:
        return Verdict("wait", "waiting for " + " and ".join(waiting), evidence)
    return Verdict("promote", "enough was seen, and nothing is worse", evidence)


def declared(rollout: Rollout) -> list[str]:
    """The metrics that the loop wants looked at, but for its queries."""
    names = ("error_rate", "latency_p99", "prediction_shift", "label_metric", "disagreement")
    return [name for name in names if getattr(rollout.analysis, name) is not None]


def _waiting(rollout: Rollout, step: Step, evidence: Mapping[str, Evidence], *, baked: bool, late: bool) -> list[str]:
    waiting = [f"{name} to come back ({one['detail']})" for name, one in evidence.items() if one.get("beyond")]
    leaning = [f"{name} to show more ({one['detail']})" for name, one in evidence.items() if one.get("leans")]
    waiting += [] if late else leaning
    if step.challenger.requests < rollout.min_requests:
        waiting.append(f"{step.challenger.requests:.0f} of {rollout.min_requests} requests")
    least = least_labels(rollout)
    if "label_metric" in evidence and step.challenger.labels < least:
        waiting.append(f"{step.challenger.labels:.0f} of {least} labels")
    pairs = evidence.get("disagreement", {}).get("pairs", rollout.min_requests)
    if pairs < rollout.min_requests:
        waiting.append(f"{pairs} of {rollout.min_requests} requests with both answers")
    if not baked:
        waiting.append("the horizon" if rollout.strategy == "ab" else "the bake time")
    return waiting
