"""How the decisions of a classification differ between the groups of a protected attribute.

The measures are fairlearn's. Their intervals come from a bootstrap over rows, in which the rates of all groups are
products of the weights with one matrix; fairlearn itself would have to be asked once a replicate.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics import bootstrap
from loopwright.statistics.bootstrap import Codes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MEASURES = ("demographic_parity_difference", "equalized_odds_difference", "disparate_impact")
RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")


@dataclass(frozen=True)
class Fairness:
    """What was found of one attribute: the measures, their draws, and each group's rates with intervals."""

    values: dict[str, float]
    draws: dict[str, Floats]
    groups: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]


def fairness(
    truth: Bools, decided: Bools, groups: Mapping[str, Bools], entities: Codes | None, seed: int, repeats: int
) -> Fairness:
    """Compare the groups, each a mask of the (n,) rows; rows of none are left out of the measures.

    A group without positives, or negatives, has no true, or false, positive rate, and fairlearn counts it as 0.
    """
    from fairlearn import metrics

    names = np.full(len(truth), "", dtype=object)
    for name, mask in groups.items():
        names[mask] = name
    some = names != ""
    asked = {"y_true": truth[some], "y_pred": decided[some], "sensitive_features": names[some]}
    values = {
        "demographic_parity_difference": float(metrics.demographic_parity_difference(**asked)),
        "equalized_odds_difference": float(metrics.equalized_odds_difference(**asked)),
        "disparate_impact": float(metrics.demographic_parity_ratio(**asked)),
    }
    drawn = [
        _rates(weights, truth, decided, groups) for weights in bootstrap.weights(len(truth), entities, seed, repeats)
    ]
    rates = {rate: np.concatenate([part[rate] for part in drawn]) for rate in RATES}
    point = _rates(np.ones((1, len(truth))), truth, decided, groups)
    table = {
        name: {"rows": int(mask.sum()), **{rate: float(point[rate][0, at]) for rate in RATES}}
        for at, (name, mask) in enumerate(groups.items())
    }
    intervals = {
        name: {rate: bootstrap.interval(rates[rate][:, at]) for rate in RATES} for at, name in enumerate(groups)
    }
    return Fairness(values, _measures(rates), table, intervals)


def _rates(weights: Floats, truth: Bools, decided: Bools, groups: Mapping[str, Bools]) -> dict[str, Floats]:
    """Each rate of each group, (b, groups)."""

    def share(part: Bools, whole: Bools) -> Floats:
        parts = weights @ np.column_stack([mask & part & whole for mask in groups.values()]).astype(float)
        wholes = weights @ np.column_stack([mask & whole for mask in groups.values()]).astype(float)
        return np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1.0), 0.0)

    every = np.ones(len(truth), dtype=bool)
    return {
        "selection_rate": share(decided, every),
        "true_positive_rate": share(decided, truth),
        "false_positive_rate": share(decided, ~truth),
        "accuracy": share(decided == truth, every),
    }


def _measures(rates: Mapping[str, Floats]) -> dict[str, Floats]:
    selected = rates["selection_rate"]
    largest = selected.max(axis=1)
    odds = [np.ptp(rates[rate], axis=1) for rate in ("true_positive_rate", "false_positive_rate")]
    return {
        "demographic_parity_difference": np.ptp(selected, axis=1),
        "equalized_odds_difference": np.maximum(*odds),
        "disparate_impact": np.where(largest > 0, selected.min(axis=1) / np.where(largest > 0, largest, 1.0), 1.0),
    }
