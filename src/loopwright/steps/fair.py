"""Gates on fairness, and the tables behind them: groups of a protected attribute, compared on the held-out rows."""

from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.errors import DataError
from loopwright.loop import FairnessRule, Limit, Loop
from loopwright.statistics import bootstrap, shares
from loopwright.statistics.fairness import MEASURES, Fairness, fairness
from loopwright.statistics.paired import Evidence
from loopwright.steps.evidence import Judged, finite
from loopwright.steps.gates import CEILING, FLOOR, Gate, shown
from loopwright.steps.slices import parts

if TYPE_CHECKING:
    import pandas as pd

REPEATS = 300
_RATIO = "disparate_impact"


def fair(loop: Loop, frame: "pd.DataFrame", judged: Judged) -> tuple[list[Gate], list[dict[str, Any]]]:
    """The gates of every protected attribute, and what was found of each as JSON.

    Raises DataError for an attribute that has fewer than two groups to compare.
    """
    gates, found = [], []
    for attribute, rule in loop.gates.fairness.items():
        every = parts(frame[attribute])
        compared = {name: mask for name, mask in every.items() if mask.sum() >= rule.min_rows}
        if len(compared) < 2:
            there = ", ".join(f"{name} ({mask.sum():,} rows)" for name, mask in every.items()) or "no value"
            raise DataError(
                f"gates.fairness: {attribute} has {len(compared)} group{'s' * (len(compared) != 1)} of "
                f"{rule.min_rows} rows or more in the held-out rows: {there}",
                expected="at least two groups to compare",
                do=f"provide rows of other groups, or take {attribute} out of gates.fairness",
            )
        decided = judged.challenger >= loop.model.decided_at
        one = fairness(judged.truth, decided, compared, judged.groups, loop.model.seed, REPEATS)
        gates += [_gate(attribute, name, rule, one, len(frame)) for name in MEASURES if getattr(rule, name) is not None]
        found.append(
            {
                "attribute": attribute,
                "measures": finite(one.values),
                "intervals": {name: ends for name in MEASURES if (ends := _interval(one, name)) is not None},
                "groups": [
                    {
                        "group": name,
                        **rates,
                        "intervals": {
                            rate: list(ends) for rate, ends in one.intervals[name].items() if np.isfinite(ends).all()
                        },
                    }
                    for name, rates in one.groups.items()
                ],
                "too_small": {name: int(mask.sum()) for name, mask in every.items() if name not in compared},
            }
        )
    return gates, found


def _interval(found: Fairness, name: str) -> list[float] | None:
    """The 95 % interval around a measure. The draws of what is never below zero are all on one side of it."""
    value, error = found.values[name], _error(found.draws[name], found.counts.get(name), 0.975)
    half = NormalDist().inv_cdf(0.975) * error
    return [max(value - half, 0.0), min(value + half, 1.0)] if np.isfinite([value, half]).all() else None


def _error(draws: Any, count: int | None, confidence: float) -> float:
    """The standard error; where all draws are alike, that of the edge, and NaN of a ratio, which has none."""
    found = bootstrap.error(draws)
    if count is None:
        return found if found > shares.NO_SPREAD or confidence <= 0.5 else float("nan")
    return max(found, shares.error(count, confidence)) if np.isfinite(found) else found


def _gate(attribute: str, name: str, rule: FairnessRule, found: Fairness, rows: int) -> Gate:
    """One measure against its limit: a ceiling, or of a ratio a floor."""
    limit, value, least = getattr(rule, name), found.values[name], name == _RATIO
    metric, less = f"{name} of {attribute}", _left_out(name, found)
    bound = limit.value if isinstance(limit, Limit) else limit
    if not np.isfinite(value):
        return Gate("fairness", metric, False, bound, bound, f"there are no two groups to compare{less}", "cannot_tell")
    if not isinstance(limit, Limit):
        passed = value >= limit if least else value <= limit
        words = f"{value:.4f}, {(FLOOR if least else CEILING).format(limit)}{less}"
        return Gate("fairness", metric, bool(passed), value, limit, words)
    turned = 1.0 if least else -1.0
    error = _error(found.draws[name], found.counts.get(name), limit.confidence)
    if not np.isfinite(error):
        detail = f"{value:.4f}: too few rows to say how sure that is{less}"
        return Gate("fairness", metric, False, value, bound, detail, "cannot_tell")
    evidence = Evidence(turned * value, error, turned * bound, False, limit.confidence, rows)
    gate = shown("fairness", metric, evidence, value, limit, least=least)
    return replace(gate, detail=gate.detail + less)


def _left_out(measure: str, found: Fairness) -> str:
    """Which groups the measure says nothing of, in words."""
    if measure != "equalized_odds_difference":
        return ""
    lacking = {"true_positive_rate": "positives", "false_positive_rate": "negatives"}
    return "".join(
        f"; without {what}, and so left out of it: {', '.join(found.undefined[rate])}"
        for rate, what in lacking.items()
        if rate in found.undefined
    )
