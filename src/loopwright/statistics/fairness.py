"""How the decisions of a classification differ between the groups of a protected attribute.

The measures are fairlearn's. Their intervals come from a bootstrap over rows, in which the rates of all groups are
products of the weights with one matrix; fairlearn itself would have to be asked once a replicate.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics import bootstrap, shares
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
    counts: dict[str, int]
    """Of how many rows, or entities, the smallest share is that a difference is of; no such count of a ratio."""
    undefined: dict[str, list[str]]
    """Groups without positives, or negatives, and so without that rate, which the measures leave out."""


def fairness(
    truth: Bools, decided: Bools, groups: Mapping[str, Bools], entities: Codes | None, seed: int, repeats: int
) -> Fairness:
    """Compare the groups, each a mask of the (n,) rows; rows of none are left out of the measures.

    A group without positives, or negatives, has no true, or false, positive rate: fairlearn would count it as 0, here
    it is left out of the measure.
    """
    from fairlearn import metrics

    names = np.full(len(truth), "", dtype=object)
    for name, mask in groups.items():
        names[mask] = name
    some = names != ""
    asked = {"y_true": truth[some], "y_pred": decided[some], "sensitive_features": names[some]}
    values = {
        "demographic_parity_difference": float(metrics.demographic_parity_difference(**asked)),
        "disparate_impact": float(metrics.demographic_parity_ratio(**asked)),
    }
    drawn = [
        _rates(weights, truth, decided, groups) for weights in bootstrap.weights(len(truth), entities, seed, repeats)
    ]
    rates = {rate: np.concatenate([part[rate] for part in drawn]) for rate in RATES}
    point = _rates(np.ones((1, len(truth))), truth, decided, groups)
    values["equalized_odds_difference"] = float(_measures(point)["equalized_odds_difference"][0])
    of = dict(
        zip(RATES, (np.ones(len(truth), dtype=bool), truth, ~truth, np.ones(len(truth), dtype=bool)), strict=True)
    )
    counts = {name: {rate: shares.units(mask & of[rate], entities) for rate in RATES} for name, mask in groups.items()}
    table: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    for at, name in enumerate(groups):
        known = {rate: float(point[rate][0, at]) for rate in RATES if counts[name][rate]}
        table[name] = {"rows": int(groups[name].sum()), **known}
        intervals[name] = {
            rate: shares.interval(value, bootstrap.interval(rates[rate][:, at]), counts[name][rate], 0.95)
            for rate, value in known.items()
        }
    least = {
        name: min(one[rate] for one in counts.values() for rate in asked_of if one[rate])
        for name, asked_of in (("demographic_parity_difference", RATES[:1]), ("equalized_odds_difference", RATES[1:3]))
    }
    undefined = {
        rate: [name for name, one in counts.items() if not one[rate]]
        for rate in RATES
        if not all(one[rate] for one in counts.values())
    }
    return Fairness(values, _measures(rates), table, intervals, least, undefined)


def _rates(weights: Floats, truth: Bools, decided: Bools, groups: Mapping[str, Bools]) -> dict[str, Floats]:
    """Each rate of each group, (b, groups); NaN where a group has no rows that it is a share of."""

    def share(part: Bools, whole: Bools) -> Floats:
        parts = weights @ np.column_stack([mask & part & whole for mask in groups.values()]).astype(float)
        wholes = weights @ np.column_stack([mask & whole for mask in groups.values()]).astype(float)
        return np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1.0), np.nan)

    every = np.ones(len(truth), dtype=bool)
    return {
        "selection_rate": share(decided, every),
        "true_positive_rate": share(decided, truth),
        "false_positive_rate": share(decided, ~truth),
        "accuracy": share(decided == truth, every),
    }


def _measures(rates: Mapping[str, Floats]) -> dict[str, Floats]:
    least, largest = _ends(rates["selection_rate"])
    true, false = (_gap(rates[rate]) for rate in ("true_positive_rate", "false_positive_rate"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(largest > 0, least / largest, 1.0)
    return {
        "demographic_parity_difference": _gap(rates["selection_rate"]),
        # What only one group has cannot differ between groups, and the other rate still can.
        "equalized_odds_difference": np.fmax(true, false),
        "disparate_impact": ratio,
    }


def _ends(rates: Floats) -> tuple[Floats, Floats]:
    unknown = np.isnan(rates)
    return np.where(unknown, np.inf, rates).min(axis=1), np.where(unknown, -np.inf, rates).max(axis=1)


def _gap(rates: Floats) -> Floats:
    """The difference of the largest and the smallest rate, (b,); NaN where fewer than two groups have one."""
    least, largest = _ends(rates)
    several = (~np.isnan(rates)).sum(axis=1) > 1
    return np.where(several, largest - np.where(several, least, 0.0), np.nan)
