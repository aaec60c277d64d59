"""Pairs of models whose true areas under the ROC curve are known, as their predictions of one holdout.

Of both models the score of a row is normal, with a mean that is higher for positives (the binormal model; Green & Swets
1966, "Signal Detection Theory and Psychophysics"), so that the area is Phi(d / sqrt(2)) for means d apart. The two
models' scores are correlated within each class, as those of models of the same data are. Probabilities are the true
ones given the score.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from loopwright.steps.evidence import Judged

Floats = NDArray[np.float64]
POSITIVES, CORRELATION, AUC = 0.26, 0.9, 0.85
A_CUSTOMER = 4
"""Rows of each customer, where customers come several times."""


def pair(rows: int, gain: float, seed: int, *, customers: bool = False) -> Judged:
    """A holdout with a champion of AUC 0.85 and a challenger that is better by `gain`.

    With `customers` four rows are of one customer each: they share the label and most of both models' errors.
    """
    random = np.random.default_rng([seed, rows, round(gain * 1e6) + 10**6, customers])
    units = rows // A_CUSTOMER if customers else rows
    truth = random.random(units) < POSITIVES
    errors = random.multivariate_normal([0, 0], [[1, CORRELATION], [CORRELATION, 1]], units)
    groups = None
    if customers:
        groups = np.repeat(np.arange(units), A_CUSTOMER)
        own = random.multivariate_normal([0, 0], [[1, CORRELATION], [CORRELATION, 1]], units * A_CUSTOMER)
        truth, errors = truth[groups], np.sqrt(0.8) * errors[groups] + np.sqrt(0.2) * own
    challenger, champion = (_probability(truth, errors[:, at], area) for at, area in enumerate((AUC + gain, AUC)))
    return Judged(truth, challenger, champion, groups=groups)


def _probability(truth: NDArray[np.bool_], errors: Floats, area: float) -> Floats:
    apart = np.sqrt(2) * norm.ppf(area)
    score = truth * apart + errors
    return np.asarray(expit(logit(POSITIVES) + apart * score - apart**2 / 2), dtype=np.float64)
