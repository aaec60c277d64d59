"""Gates on fairness, and the tables behind them: groups of a protected attribute, compared on the held-out rows."""

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwright.errors import DataError
from loopwright.loop import FairnessRule, Limit, Loop
from loopwright.statistics import bootstrap
from loopwright.statistics.fairness import MEASURES, Fairness, fairness
from loopwright.statistics.paired import Evidence
from loopwright.steps.evidence import Judged
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
                "measures": one.values,
                "intervals": {name: _interval(value, one.draws[name]) for name, value in one.values.items()},
                "groups": [
                    {
                        "group": name,
                        **rates,
                        "intervals": {rate: list(ends) for rate, ends in one.intervals[name].items()},
                    }
                    for name, rates in one.groups.items()
                ],
                "too_small": {name: int(mask.sum()) for name, mask in every.items() if name not in compared},
            }
        )
    return gates, found


def _interval(value: float, draws: Any) -> list[float]:
    """The 95 % interval around a measure. The draws of what is never below zero are all on one side of it."""
    half = NormalDist().inv_cdf(0.975) * bootstrap.error(draws)
    return [max(value - half, 0.0), min(value + half, 1.0)]


def _gate(attribute: str, name: str, rule: FairnessRule, found: Fairness, rows: int) -> Gate:
    """One measure against its limit: a ceiling, or of a ratio a floor."""
    limit, value, least = getattr(rule, name), found.values[name], name == _RATIO
    metric = f"{name} of {attribute}"
    if not isinstance(limit, Limit):
        passed = value >= limit if least else value <= limit
        return Gate(
            "fairness",
            metric,
            bool(passed),
            value,
            limit,
            f"{value:.4f}, {(FLOOR if least else CEILING).format(limit)}",
        )
    turned = 1.0 if least else -1.0
    error = bootstrap.error(found.draws[name])
    evidence = Evidence(turned * value, error, turned * limit.value, False, limit.confidence, rows)
    if not np.isfinite(error):
        return Gate("fairness", metric, False, value, limit.value, f"{value:.4f}: too few rows to say how sure that is")
    return shown("fairness", metric, evidence, value, limit, least=least)
