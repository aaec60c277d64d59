"""Drift of attributions: do live predictions rest on other features than those of held-out rows in training did?

For each feature the mean size of its contributions in a window is held against the one that the version keeps. A
feature whose values drift without being looked at changes nothing here; one that the model leans on twice as much does,
even where its own distribution hardly moved. Welch's test (Welch 1947, Biometrika 34, 28-35) says what chance explains,
with the window's standard error taken from blocks of rows that came one after another: rows of one customer or of one
hour are alike, and independent rows would claim a certainty that is not there (batch means, as in Law & Kelton 1979,
Operations Research 27, 1011-1025).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from loopwright.durations import Budget
from loopwright.errors import DataError
from loopwright.models.attributions import Attributions
from loopwright.models.columns import Array, from_frame
from loopwright.models.explain import of_model, sizes
from loopwright.models.model import Model

if TYPE_CHECKING:
    import pandas as pd

BLOCKS = 20
LEAST_ROWS = 25 * BLOCKS
MOST_ROWS = 10_000
"""TreeSHAP of as many takes about 20 s of processor time for 300 trees of 31 leaves."""
MOST_LEVEL = 0.05
"""However rarely somebody looks, no look takes more than this for chance."""


@dataclass(frozen=True)
class Attribution:
    """A feature's mean size of contributions now and in the reference, both on the scale of the raw score."""

    feature: str
    now: float
    reference: float
    change: float
    """Now less reference, as a share of the reference's sum over all features."""

    p_value: float
    drifted: bool


@dataclass(frozen=True)
class Compared:
    """All features, those that drifted first, then by the size of the change."""

    features: tuple[Attribution, ...]
    rows: int
    reference_rows: int
    level: float
    """The chance that a look may take for drift, of all features together."""

    ndcg: float
    """How well the reference's ranking of the features still holds, 1 for as well as it was (see `ndcg`)."""


def matrix(model: Model, frame: "pd.DataFrame") -> Array:
    """What the estimator sees of archived inputs. Raises DataError for inputs that were not archived."""
    names = [spec.name for spec in model.inputs]
    if missing := [name for name in names if name not in frame.columns]:
        raise DataError(
            f"the events hold no {', '.join(missing)}, which the model needs",
            expected="all inputs of the version in the archive (`monitor.archive.redact`)",
            do="name one version with --version, or archive the input",
        )
    return model.matrix(from_frame(model.inputs, frame[names]))


def compare(
    model: Model, reference: Attributions, rows: Array, *, budget: Budget, span: timedelta, min_change: float
) -> Compared:
    """Hold a window's rows, (n, features) in the order in which they came, against the version's reference.

    `span` is how long the window is: of the budget it takes what belongs to that time, shared by the features
    (Bonferroni). Raises DataError for fewer than 500 rows, or for a model that cannot be explained.
    """
    from joblib import cpu_count

    contribute = of_model(model, threads=cpu_count())
    if contribute is None:
        raise DataError("this model cannot be explained: its bundle has no reference row", do="train it again")
    if reference.method is not None and reference.method != contribute.method:
        raise DataError(
            f"the version's contributions were computed otherwise: {reference.method}, now {contribute.method}",
            do="train it again with this release",
        )
    if len(rows) < LEAST_ROWS:
        raise DataError(f"there are {len(rows):,} predictions in the window", expected=f"at least {LEAST_ROWS:,}")
    most = contribute.affordable(MOST_ROWS, LEAST_ROWS)
    if len(rows) > most:
        # Evenly, and not at random: blocks stay what came together.
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    found = sizes(contribute(rows))
    now, level = found.mean(axis=0), min(MOST_LEVEL, budget.share(span))
    chances = _welch(found, reference)
    # A model without any contribution has nothing that could change.
    change = (now - reference.mean) / (reference.mean.sum() or 1.0)
    drifted = (chances <= level / len(now)) & (np.abs(change) >= min_change)
    columns = (array.tolist() for array in (now, reference.mean, change, chances, drifted))
    each = [Attribution(*one) for one in zip(reference.features, *columns, strict=True)]
    ranked = sorted(each, key=lambda one: (not one.drifted, -abs(one.change)))
    return Compared(tuple(ranked), len(rows), reference.rows, level, ndcg(reference.mean, now))


def ndcg(reference: Array, now: Array) -> float:
    """The normalised discounted cumulative gain of ranking (n,) features as they rank now, with the reference's gains.

    What Amazon's Clarify watches, and calls drift below 0.9
    (https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-model-monitor-feature-attribution-drift.html).
    """
    discounts = 1 / np.log2(np.arange(len(reference)) + 2)
    best = float(np.sort(reference)[::-1] @ discounts)
    return float(reference[np.argsort(-now, kind="stable")] @ discounts) / best if best else 1.0


def _welch(found: Array, reference: Attributions) -> Array:
    """The two-sided chance of each mean of (n, features) sizes, if the reference's means hold."""
    from scipy import stats

    means = np.stack([block.mean(axis=0) for block in np.array_split(found, BLOCKS)])
    # Few rows of skewed sizes miss their tail, and with it most of the variance: the window's holds where it is more.
    spread = np.maximum(reference.variance, found.var(axis=0, ddof=1))
    own, known = means.var(axis=0, ddof=1) / BLOCKS, spread / reference.rows
    variance = own + known
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / (own**2 / (BLOCKS - 1) + known**2 / (reference.rows - 1))
        away = np.abs(found.mean(axis=0) - reference.mean) / np.sqrt(variance)
        chances = 2 * stats.t.sf(away, freedom)
    # A feature that has no contributions on either side is as it was; one of which none is left cannot be by chance.
    constant = np.where(np.isclose(found.mean(axis=0), reference.mean), 1.0, 0.0)
    return np.asarray(np.where(variance > 0, chances, constant), dtype=np.float64)
