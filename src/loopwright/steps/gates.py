"""The rules that a challenger must pass: absolute ones, and against the champion on the same rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.loop import LOWER_IS_BETTER, ChampionRule, Loop
from loopwright.statistics import metrics, paired

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gate:
    """One rule's outcome: the value that was compared, the limit, and the comparison in words."""

    gate: str
    metric: str
    passed: bool
    value: float
    limit: float
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """The gate as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Judged:
    """What was judged: (n,) truth and the (n,) predictions of challenger and, if there is one, champion."""

    truth: NDArray[Any]
    challenger: Floats
    champion: Floats | None
    incomparable: str = ""
    """Why the champion that there is could not be asked."""


def apply(loop: Loop, judged: Judged, values: Mapping[str, float]) -> list[Gate]:
    """Every declared gate. A rule against the champion passes where there is no champion yet."""
    gates = []
    for metric, limit in loop.gates.minimum.items():
        value = values[metric]
        gates.append(Gate("minimum", metric, value >= limit, value, limit, f"{value:.4f}, at least {limit:g} needed"))
    for metric, limit in loop.gates.maximum.items():
        value = values[metric]
        gates.append(Gate("maximum", metric, value <= limit, value, limit, f"{value:.4f}, at most {limit:g} accepted"))
    for metric, rule in loop.gates.champion.items():
        gates.append(_against_champion(loop, metric, rule, judged, values[metric]))
    return gates


def sane(predicted: Floats) -> Gate:
    """Predictions are finite and not all the same: what a broken model gets wrong first."""
    finite = float(np.isfinite(predicted).mean())
    varied = float(np.ptp(predicted)) > 0 if finite == 1 else False
    detail = "finite and varied" if varied else "all the same" if finite == 1 else f"{1 - finite:.1%} are not finite"
    return Gate("sanity", "predictions", varied, finite, 1.0, detail)


def _against_champion(loop: Loop, metric: str, rule: ChampionRule, judged: Judged, value: float) -> Gate:
    if judged.incomparable:
        return Gate("champion", metric, False, value, value, judged.incomparable)
    if judged.champion is None:
        return Gate("champion", metric, True, value, value, "no champion yet")
    before = metrics.one(loop.model.task, metric, judged.truth, judged.champion)
    # A loss that falls is a gain: the sign makes more mean better for every metric.
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    gain = sign * (value - before)
    if rule.max_drop is not None:
        limit = -rule.max_drop * abs(before)
        detail = f"{value:.4f} against the champion's {before:.4f}, a drop of at most {rule.max_drop:.1%} is accepted"
        return Gate("champion", metric, gain >= limit, value, before + sign * limit, detail)
    assert rule.no_worse_by is not None
    gain, error = _difference(loop, metric, sign, judged)
    bound = paired.lower_bound(gain, error, rule.confidence)
    if not np.isfinite(bound):
        detail = f"{value:.4f} against the champion's {before:.4f}: too few rows to say how sure that is"
        return Gate("champion", metric, False, value, before, detail)
    detail = (
        f"{value:.4f} against the champion's {before:.4f}: better by {gain:+.4f}, and with {rule.confidence:.0%} "
        f"confidence by at least {bound:+.4f}; at least {-rule.no_worse_by:+g} needed"
    )
    return Gate("champion", metric, bool(bound >= -rule.no_worse_by), bound, -rule.no_worse_by, detail)


def _difference(loop: Loop, metric: str, sign: float, judged: Judged) -> tuple[float, float]:
    """How much better the challenger is, and the standard error of that."""
    assert judged.champion is not None
    champion = judged.champion
    if metric == "roc_auc":
        return paired.auc_difference(judged.truth, judged.challenger, champion)

    def difference(rows: NDArray[np.intp]) -> float:
        truth = judged.truth[rows]
        if loop.model.task == "classification" and (truth.all() or not truth.any()):
            return float("nan")
        new = metrics.one(loop.model.task, metric, truth, judged.challenger[rows])
        old = metrics.one(loop.model.task, metric, truth, champion[rows])
        return sign * (new - old)

    return paired.bootstrap_difference(difference, len(judged.truth), loop.model.seed)
