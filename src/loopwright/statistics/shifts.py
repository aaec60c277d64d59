"""Evidence that grows: an e-value for "these counts do not come from the reference's distribution".

A test of one window is blind to a shift that is too small for the rows of a window. The e-value here may be looked at
after every row: the chance that it ever reaches 1 / alpha is at most alpha while nothing has changed.

How the finite reference is taken into account. Nobody knows the true shares p of the bins, only m reference rows.
Given these, p has a Dirichlet distribution, and what the live counts are under "no drift" is a Dirichlet-multinomial
distribution with the reference's counts as parameters. That is the denominator. As rows come in it learns from them
too, so that an unlucky reference is explained by itself: the evidence is bounded by what m rows can say. The
numerators are Dirichlet-multinomial distributions as well, of what drift looks like. A ratio of two predictive
distributions is a martingale under the denominator, and so is a mean of such ratios (method of mixtures; Ramdas,
Gruenwald, Vovk & Shafer 2023, "Game-theoretic statistics and safe anytime-valid inference", section 5). The
guarantee is thus an average over the references that could have been drawn, as that of the windowed test is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwright.statistics.distances import LEAST_EXPECTED, pool

# Half a row in each group: Jeffreys' prior, under which a Bayesian's coverage is nearly everybody's.
_PRIOR = 0.5
# The sizes of drift that are looked for, in least effects, and the smallest least effect that is meant by them.
_SIZES = (1.0, 2.0, 4.0)
_SMALLEST, _GREATEST = 0.02, 0.8
# A shift of the mean is what drifts most often; half of the evidence is staked on it.
_LOCATION, _SCALE, _ANY = 0.5, 0.2, 0.3

Floats = NDArray[np.float64]
Kind = tuple[str, int, int]
"""A kind of drift: in which direction, which of the sizes, and the sign."""


@dataclass(frozen=True)
class Shifts:
    """What is looked for in one feature: its reference counts, whether its bins are in order, and the least effect."""

    reference: tuple[float, ...]
    ordered: bool
    effect: float

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """The group of each bin; a group has at least LEAST_EXPECTED reference rows."""
        return pool(self.reference, int(sum(self.reference)), LEAST_EXPECTED)

    @cached_property
    def _null(self) -> Floats:
        return np.bincount(self.groups, self.reference).astype(np.float64) + _PRIOR

    @cached_property
    def _alternatives(self) -> tuple[tuple[Kind, float, Floats], ...]:
        """(kind, weight, parameters) of every drift that is looked for; the weights add up to 1."""
        null = self._null
        p, rows = null / null.sum(), float(null.sum())
        sizes = [min(max(self.effect, _SMALLEST) * size, _GREATEST) for size in _SIZES]
        directions = self._directions(p) if self.ordered else []
        any_weight = _ANY if directions else 1.0
        found = []
        for step, size in enumerate(sizes):
            # A Dirichlet distribution around p with this concentration is at about this distance (Jensen-Shannon, to
            # second order: chi-square / (8 ln 2), and its mean is (groups - 1) / (concentration + 1)).
            spread = max((len(p) - 1) / (8 * math.log(2) * size**2) - 1, 0.5)
            found.append((("any", step, 0), any_weight / len(sizes), p * min(spread, rows)))
            for what, weight, u in directions:
                theta = size * math.sqrt(8 * math.log(2))
                for sign in (-1, 1):
                    tilted = p * np.exp(sign * theta * u)
                    found.append(((what, step, sign), weight / len(sizes) / 2, rows * tilted / tilted.sum()))
        return tuple(found)

    def _directions(self, p: Floats) -> list[tuple[str, float, Floats]]:
        """(name, weight, standardised scores of the groups) of a shift of the mean and of the spread."""
        normal = NormalDist()
        # Missing values have no place in the order, where they are enough for a group of their own.
        placed = np.arange(len(p)) > 0 if self.groups[1] else np.ones(len(p), dtype=np.bool_)
        if placed.sum() < 2:
            return []
        ranks = (np.cumsum(p * placed) - p / 2) / (p * placed).sum()
        scores = [normal.inv_cdf(rank) if there else 0.0 for rank, there in zip(ranks, placed, strict=True)]
        location = _standardised(np.array(scores) * placed, p)
        scale = _standardised(location**2, p)
        if not scale.any():
            return [("location", _LOCATION + _SCALE, location)]
        return [("location", _LOCATION, location), ("scale", _SCALE, scale)]

    def log_e(self, observed: ArrayLike, dispersion: float = 1.0) -> float:
        """log of the e-value of live counts, shape as the reference's.

        `dispersion` >= 1 is how much more the counts vary than those of independent rows would; both samples count for
        so much less. 0 without rows, or where the reference is too small to be grouped.
        """
        ratios = self.ratios(observed, dispersion)
        weights = {kind: weight for kind, weight, _ in self._alternatives} if ratios else {}
        return mixed({kind: (weights[kind], ratio) for kind, ratio in ratios.items()})

    def ratios(self, observed: ArrayLike, dispersion: float = 1.0) -> dict[Kind, float]:
        """log of the ratio of each kind of drift to none; empty where the reference is too small to be grouped."""
        null = self._null
        if len(null) < 2:
            return {}
        counts = np.bincount(self.groups, np.asarray(observed, dtype=np.float64)) / dispersion
        base = _log_dirichlet_multinomial(counts, (null - _PRIOR) / dispersion + _PRIOR)
        rows, found = float(null.sum()) / dispersion, {}
        for kind, _, parameters in self._alternatives:
            # A concentration that stands for the reference's rows shrinks with them; that of an effect does not.
            scaled = parameters * min(rows / float(parameters.sum()), 1.0)
            found[kind] = _log_dirichlet_multinomial(counts, scaled) - base
        return found


class StratifiedShifts:
    """Shifts of one feature whose reference has strata (seasons): the same kind of drift in all of them.

    Within a stratum the ratio of a kind of drift to none is a martingale, and so is the product of the strata's, as
    each is held against reference rows of its own. The mean of these products over the kinds is the e-value. A sum of
    evidence over strata that each look for themselves would pay for every guess in each of them.
    """

    def __init__(self, reference: Floats, ordered: bool, effect: float) -> None:
        """`reference` (strata, bins) are counts; `effect` is the least that matters."""
        self._parts = [Shifts(tuple(counts.tolist()), ordered, effect) for counts in reference]
        self._kinds = {"location": _LOCATION, "scale": _SCALE, "any": _ANY} if ordered else {"any": 1.0}

    def log_e(self, observed: ArrayLike, dispersion: float = 1.0) -> float:
        """log of the e-value of live counts (strata, bins); otherwise as `Shifts.log_e`."""
        kinds = [
            ((what, step, sign), weight / len(_SIZES) / (1 if what == "any" else 2))
            for what, weight in self._kinds.items()
            for step in range(len(_SIZES))
            for sign in ((0,) if what == "any" else (-1, 1))
        ]
        totals = dict.fromkeys((kind for kind, _ in kinds), 0.0)
        for part, counts in zip(self._parts, np.asarray(observed, dtype=np.float64), strict=True):
            if counts.any():
                for kind, ratio in part.ratios(counts, dispersion).items():
                    totals[kind] += ratio
        return mixed({kind: (weight, totals[kind]) for kind, weight in kinds})


def mixed(ratios: Mapping[Kind, tuple[float, float]]) -> float:
    """log of the mean of (weight, log of a ratio); 0 of none."""
    return (
        float(np.logaddexp.reduce([math.log(weight) + ratio for weight, ratio in ratios.values()])) if ratios else 0.0
    )


def _standardised(scores: Floats, p: Floats) -> Floats:
    centred = scores - (p * scores).sum()
    spread = math.sqrt(float((p * centred**2).sum()))
    return centred / spread if spread > 1e-9 else np.zeros_like(centred)


def _log_dirichlet_multinomial(counts: Floats, parameters: Floats) -> float:
    """log of the probability of a sequence with these counts; the sequences' number cancels in every ratio."""
    a, n = float(parameters.sum()), float(counts.sum())
    value = math.lgamma(a) - math.lgamma(a + n)
    return value + sum(
        math.lgamma(c + q) - math.lgamma(q) for c, q in zip(counts.tolist(), parameters.tolist(), strict=True)
    )
