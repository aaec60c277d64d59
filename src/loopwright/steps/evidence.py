"""What the held-out rows say of challenger and champion: metrics, how far they may be off, and their differences.

Both models predicted the same rows, so all of it comes of one bootstrap over these rows, or over the entities that the
rows are of; only the difference of two areas under the ROC curve has an error of its own (`statistics.paired`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwright.loop import LOWER_IS_BETTER, ChampionRule, Loop
from loopwright.statistics import bootstrap, paired, several, shares
from loopwright.statistics.paired import Evidence
from loopwright.statistics.weighted import ORDERED, Measures

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
"""Of the intervals that are shown; gates have their own."""


@dataclass(frozen=True)
class Judged:
    """What was judged: (n,) truth and the (n,) predictions of challenger and, if there is one, champion.

    Of more than two classes the truth is each row's place among them, and predictions are (n, classes).
    """

    truth: NDArray[Any]
    challenger: Floats
    champion: Floats | None
    incomparable: str = ""
    """Why the champion that there is could not be asked."""
    groups: bootstrap.Codes | None = None
    """The entity of each row, where entities have several."""
    threshold: float | None = None
    """The probability from which on the champion decides positive, where it is its own."""


class Comparison:
    """Challenger and champion on the same rows. What is costly is computed when it is first asked for."""

    def __init__(self, loop: Loop, judged: Judged) -> None:
        self._seed, self._judged = loop.model.seed, judged
        measures, self._names = measures_of(loop), loop.judged_by
        asked = [(measures, judged.challenger)]
        if judged.champion is not None:
            own = measures if judged.threshold is None else replace(measures, threshold=judged.threshold)
            asked.append((own, judged.champion))
        self._models = [several.weigh(measures, judged.truth, predicted) for measures, predicted in asked]
        self._counts = [
            several.counts(measures, judged.truth, predicted, judged.groups) for measures, predicted in asked
        ]

    @cached_property
    def values(self) -> list[dict[str, float]]:
        """The challenger's metrics and, if there is one, the champion's."""
        return [{name: point[name] for name in self._names} for point in (model.point() for model in self._models)]

    @cached_property
    def _draws(self) -> list[dict[str, Floats]]:
        return bootstrap.replicates(self._models, self._judged.groups, self._seed)

    @cached_property
    def _quick(self) -> list[dict[str, Floats]]:
        """The same draws, of the metrics that do not look at the order of scores."""
        return bootstrap.replicates(self._models, self._judged.groups, self._seed, ordered=False)

    def _drawn(self, metric: str) -> list[Floats]:
        """What was drawn of one metric, of both models."""
        every = "_draws" in vars(self) or metric in ORDERED
        return [draws[metric] for draws in (self._draws if every else self._quick)]

    def intervals(self) -> list[dict[str, list[float]]]:
        """The 95 % interval of each metric, of both; one that cannot be told is left out."""
        return [
            {
                name: list(found)
                for name in point
                if np.isfinite(found := shares.told(name, point[name], drawn[name], counts.get(name))).all()
            }
            for drawn, point, counts in zip(self._draws, self.values, self._counts, strict=True)
        ]

    def gains(self) -> dict[str, dict[str, float]]:
        """How much better the challenger is in each metric, with the 95 % interval; empty without a champion."""
        if len(self._models) < 2:
            return {}
        found = {}
        for name, value in self.values[0].items():
            gain = sign(name) * (value - self.values[1][name])
            error = self._error(name, 1.0, 0.5 + CONFIDENCE / 2)
            if np.isfinite([gain, error]).all():
                low = paired.lower_bound(gain, error, 0.5 + CONFIDENCE / 2)
                found[name] = {"gain": gain, "low": low, "high": 2 * gain - low}
        return found

    def absolute(self, metric: str, limit: float, confidence: float, *, least: bool) -> Evidence:
        """The challenger's own metric held against a limit; one that is a ceiling is turned around."""
        value, turned = self.values[0][metric], 1.0 if least else -1.0
        if metric == "roc_auc":
            _, error = paired.auc_error(self._judged.truth, self._judged.challenger, self._judged.groups)
        else:
            error = bootstrap.error(self._drawn(metric)[0])
        edge = shares.error(count, confidence) if (count := self._counts[0].get(metric)) is not None else 0.0
        if metric in shares.DEGENERATE and confidence > 0.5 and error <= shares.NO_SPREAD:
            error = float("nan")
        # Near the edge a bootstrap sees too little, too: its bound must not be nearer than that of the edge itself.
        at_edge = not error > edge
        error = max(error, edge) if np.isfinite([error, edge]).all() else float("nan")
        return Evidence(turned * value, error, turned * limit, False, confidence, self._models[0].rows, at_edge)

    def against(self, metric: str, rule: ChampionRule) -> Evidence:
        """The challenger's gain over the champion, in the metric's units or, of a relative rule, as a share."""
        value, before = self.values[0][metric], self.values[1][metric]
        margin, scale, factor = rule.margin, 1.0, 1.0
        if rule.relative and before == 0:
            margin = 0.0
        elif rule.relative:
            # The champion's value and what it is multiplied with scatter together.
            factor, scale = 1.0 + sign(metric) * margin * np.sign(before), abs(before)
        gain = sign(metric) * (value - before) / scale
        error = self._error(metric, factor, rule.confidence) / scale
        return Evidence(gain, error, margin, rule.superior, rule.confidence, self._models[0].rows)

    def _error(self, metric: str, factor: float, confidence: float) -> float:
        """The standard error of the challenger's metric minus `factor` times the champion's.

        Where different predictions came out alike in every draw, it is what their share of rows could yet differ by, or
        NaN of what is no share.
        """
        found = self._spread(metric, factor)
        if not found <= shares.NO_SPREAD or confidence <= 0.5 or self._same:
            return found
        counts = [of[metric] for of in self._counts if metric in of]
        if counts:
            return max(shares.error(count, confidence) for count in counts)
        return float("nan") if metric in shares.DEGENERATE else found

    @cached_property
    def _same(self) -> bool:
        judged = self._judged
        return judged.champion is not None and np.array_equal(judged.challenger, judged.champion)

    def _spread(self, metric: str, factor: float) -> float:
        judged = self._judged
        if metric == "roc_auc" and judged.champion is not None:
            return paired.auc_difference(
                judged.truth, judged.challenger, judged.champion, factor=factor, groups=judged.groups
            )[1]
        own, before = self._drawn(metric)
        return bootstrap.error(own - factor * before)


def measures_of(loop: Loop) -> Measures:
    """What the loop's models are measured by."""
    model = loop.model
    if model.task == "regression":
        return Measures(model.task, quantile=model.quantile, poisson=model.objective == "poisson")
    if loop.several:
        return Measures(model.task, classes=len(loop.data.label.classes))
    if (costs := model.costs) is None:
        return Measures(model.task, model.decided_at)
    each = (costs.true_negative, costs.false_positive, costs.false_negative, costs.true_positive)
    return Measures(model.task, model.decided_at, each)


def sign(metric: str) -> float:
    """Of a loss that falls is a gain: by the sign, more is better for every metric."""
    return -1.0 if metric in LOWER_IS_BETTER else 1.0


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """What JSON can carry of metrics: one that is not defined, as R2 of a constant, is left out."""
    return {name: value for name, value in values.items() if np.isfinite(value)}
