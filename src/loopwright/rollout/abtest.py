"""The test at the end of an A/B test: one look at the labels, at the declared horizon.

Welch's two-sample t-test of the mean losses (Welch 1947, "The generalization of `Student's' problem when several
different population variances are involved", Biometrika 34, 28-35), one-sided at `alpha`: the challenger wins when its
loss is shown to be lower than the champion's, or with `no_worse_by` higher by less than that. Made once, it needs no
correction for looking; the metrics that are looked at meanwhile have evidence of their own that bears it. The test
waits for `min_labels` of each version past the horizon, which depends on no outcome.

Rows are taken for independent of each other. Clients that ask often make them less so, and the test bolder.
"""

import math
from dataclasses import replace

from loopwright.loop import Rollout
from loopwright.rollout.analysis import Verdict
from loopwright.rollout.counts import ANSWERS, Arm
from loopwright.rollout.evidence import Evidence, Step


def conclude(rollout: Rollout, step: Step, verdict: Verdict) -> Verdict:
    """The verdict at the horizon, on a version that nothing else speaks against (`verdict`)."""
    test = rollout.ab
    found = compare(step.challenger, step.champion, rollout)
    evidence = verdict.evidence | {"ab": found}
    if not found["known"]:
        return Verdict("cannot_tell", f"the A/B test: {found['detail']}", evidence)
    if found["p_value"] < test.alpha:
        return replace(verdict, reason=f"it won the A/B test: {found['detail']}", evidence=evidence)
    return Verdict("roll_back", f"it did not win the A/B test: {found['detail']}", evidence)


def compare(challenger: Arm, champion: Arm, rollout: Rollout) -> Evidence:
    """Welch's test on the losses of the two versions' labelled predictions."""
    from scipy import stats

    test = rollout.ab
    margin = 0.0 if test.win == "better" else test.win.no_worse_by
    facts: Evidence = {"alpha": test.alpha, "margin": margin, "worse": False, "known": False}
    if not (challenger.known(ANSWERS) and champion.known(ANSWERS)):
        return facts | {"detail": "the labels cannot be read"}
    if min(challenger.labels, champion.labels) < test.min_labels:
        return facts | {
            "detail": f"{challenger.labels:.0f} labels of the challenger's and {champion.labels:.0f} of the champion's "
            f"predictions, {test.min_labels} of each are needed"
        }
    one, two = _summary(challenger), _summary(champion)
    difference = one[0] - two[0]
    if one[1] == two[1] == 0.0:  # Every loss of a version is the same: there is nothing left to chance.
        p = float(difference >= margin)
    else:
        p = float(
            stats.ttest_ind_from_stats(
                one[0] - margin, one[1], one[2], *two, equal_var=False, alternative="less"
            ).pvalue
        )
    goal = "lower" if margin == 0 else f"higher by less than {margin:g}"
    return facts | {
        "champion": round(two[0], 6),
        "challenger": round(one[0], 6),
        "labels": challenger.labels,
        "increase": round(difference, 6),
        "p_value": float(f"{p:.4g}"),
        "known": True,
        "worse": p >= test.alpha,
        "detail": f"the loss is {one[0]:.4f} against {two[0]:.4f} in {challenger.labels:.0f} and "
        f"{champion.labels:.0f} labels; that it is {goal} has p = {p:.3g} (limit {test.alpha:g})",
    }


def _summary(arm: Arm) -> tuple[float, float, float]:
    """(mean, standard deviation, n) of the losses."""
    mean = arm.loss_sum / arm.labels
    spread = max(0.0, arm.loss_squares - arm.loss_sum * mean) / (arm.labels - 1)
    return mean, math.sqrt(spread), arm.labels
