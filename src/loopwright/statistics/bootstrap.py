"""The bootstrap over rows: how metrics of the same rows scatter together, and the intervals that follow.

Two models are resampled by the same weights, so what they share cancels in their difference. Rows of one entity (a
customer seen twice) are no two pieces of evidence: where entities are given, it is they that are drawn (the cluster
bootstrap; Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 3.8).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.weighted import Weighing

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

REPEATS = 500
"""Replicates: the standard error they give is itself known to 3 %."""
_AT_ONCE = 2_000_000
"""Weights that are held at a time: 16 MB a copy."""


def codes(entities: Sequence[object] | NDArray[np.generic] | None) -> Codes | None:
    """Each row's entity as a number from 0; None where there are none, or no entity has two rows."""
    if entities is None:
        return None
    values, found = np.unique(np.asarray(entities).astype(str), return_inverse=True)
    return None if len(values) == len(found) else found.reshape(-1).astype(np.intp)


def replicates(
    models: Sequence[Weighing], groups: Codes | None, seed: int, repeats: int = REPEATS, *, ordered: bool = True
) -> list[dict[str, Floats]]:
    """Each model's metrics in every replicate, (repeats,), all models by the same weights; see `Weighted.values`."""
    found: list[list[dict[str, Floats]]] = [[] for _ in models]
    for drawn in weights(models[0].rows, groups, seed, repeats):
        for model, parts in zip(models, found, strict=True):
            parts.append(model.values(drawn, ordered=ordered))
    return [{name: np.concatenate([part[name] for part in parts]) for name in parts[0]} for parts in found]


def interval(draws: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided percentile interval of what was drawn; NaN where fewer than half of the draws are numbers."""
    finite = draws[np.isfinite(draws)]
    if len(finite) < max(len(draws) / 2, 2):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def error(draws: Floats) -> float:
    """The standard error: the standard deviation of what was drawn; NaN where fewer than half are numbers."""
    finite = draws[np.isfinite(draws)]
    return float(finite.std(ddof=1)) if len(finite) >= max(len(draws) / 2, 2) else float("nan")


def weights(rows: int, groups: Codes | None, seed: int, repeats: int) -> Iterator[Floats]:
    """How often each of the rows was drawn in each of `repeats` replicates, (some, rows) at a time."""
    random = np.random.default_rng(seed)
    units = rows if groups is None else int(groups.max()) + 1
    some = max(1, _AT_ONCE // rows)
    for begin in range(0, repeats, some):
        count = min(some, repeats - begin)
        drawn = np.stack([np.bincount(random.integers(0, units, units), minlength=units) for _ in range(count)])
        yield (drawn if groups is None else drawn[:, groups]).astype(np.float64)
