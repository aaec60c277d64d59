"""What labels say of predictions, as sums that add up: of replicas, of versions' windows, of late and early labels.

A *tally* turns labelled predictions into one vector of sums; vectors are added and subtracted, and any of them is
measured: metrics with standard errors. Scores of a classification are counted by label in fine bins, so that the area
under the ROC curve is that of the binned scores; accuracy, F1, precision and recall are exact, as 0.5 is an edge, and
so are log loss and Brier score, which are sums. Errors of a regression are kept as moments: all metrics are exact.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.labelled_classes import Decisions
from loopwright.statistics.labelled_values import Values
from loopwright.statistics.measured import Measured, mean
from loopwright.statistics.profile import Profile

Floats = NDArray[np.float64]

THRESHOLD = 0.5
"""From this probability on a row is decided positive."""

EQUAL_BINS = 40
TAILS = (0.0003, 0.001, 0.003, 0.01)
"""Edges nearer to 0 and 1 than the equal bins have: the scores of rare classes are crowded there."""

_LEAST = 1e-15  # as `metrics` clips a probability for the log loss


class Tally(Protocol):
    """How labelled predictions become sums, and sums become metrics."""

    size: int
    """The length of a vector."""

    def of(self, truth: Floats, predicted: Floats) -> Floats:
        """The sums of (n,) labels (1 and 0, or values) and predictions; of more than two classes the places of both."""
        ...

    def count(self, sums: Floats) -> int:
        """How many labels there are."""
        ...

    def measure(self, sums: Floats) -> dict[str, Measured]:
        """The metrics that are defined for these sums."""
        ...

    def scored(self, predicted: Floats) -> Floats:
        """Counts of (n,) predictions without labels, by the tally's bins."""
        ...

    def estimate(self, reference: Floats, scored: Floats) -> dict[str, Measured]:
        """What the metrics of predictions without labels should be, if those of the reference hold for each bin."""
        ...


def tally(profile: Profile) -> Tally:
    """The tally of a version, the same in every replica: it follows from the profile."""
    if len(profile.classes) > 2:
        return Decisions(len(profile.classes))
    if profile.task == "classification":
        return Scores(profile.prediction.edges, profile.threshold)
    return Values(profile.prediction, profile.label_variance)


class Scores:
    """Probabilities, counted by label. Sums: negatives and positives a bin, then losses and their squares."""

    def __init__(self, edges: Floats, threshold: float = THRESHOLD) -> None:
        """`edges` of the reference's scores are added to fixed ones, so that crowded scores are told apart too."""
        tails = [*TAILS, *(1 - edge for edge in TAILS)]
        equal = np.arange(1, EQUAL_BINS) / EQUAL_BINS
        cuts = np.unique(np.concatenate([equal, tails, edges, [threshold]]))
        self.cuts: Floats = cuts[(cuts > 0) & (cuts < 1)]
        self.bins = len(self.cuts) + 1
        self.size = 2 * self.bins + 4
        self._decided = int(np.searchsorted(self.cuts, threshold, side="right"))

    def of(self, truth: Floats, predicted: Floats) -> Floats:
        """The sums of (n,) labels, 1 for the positive class and 0 for the other, and probabilities."""
        scores = np.clip(predicted, 0.0, 1.0)
        bins = np.searchsorted(self.cuts, scores, side="right") + self.bins * (truth > 0.5)
        square = (scores - truth) ** 2
        right = np.clip(np.where(truth > 0.5, scores, 1 - scores), _LEAST, 1 - _LEAST)
        log = -np.log(right)
        losses = [square.sum(), (square**2).sum(), log.sum(), (log**2).sum()]
        return np.concatenate([np.bincount(bins, minlength=2 * self.bins), losses])

    def count(self, sums: Floats) -> int:
        """How many labels there are."""
        return round(float(sums[: 2 * self.bins].sum()))

    def confusion(self, sums: Floats) -> tuple[float, float, float, float]:
        """True negatives, false positives, false negatives, true positives at the threshold."""
        negative, positive = self._classes(sums)
        at = self._decided
        parts = (negative[:at], negative[at:], positive[:at], positive[at:])
        tn, fp, fn, tp = (float(part.sum()) for part in parts)
        return tn, fp, fn, tp

    def tied(self, sums: Floats) -> float:
        """How far the area under the ROC curve may be from that of the scores themselves, as bins make ties."""
        negative, positive = self._classes(sums)
        pairs = negative.sum() * positive.sum()
        return float((negative * positive).sum() / pairs / 2) if pairs else math.nan

    def measure(self, sums: Floats) -> dict[str, Measured]:
        """roc_auc, accuracy, f1, precision, recall, log_loss and brier, as far as they are defined.

        The error of roc_auc is DeLong's for the binned scores (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44,
        837-845); of f1 by the delta method for the multinomial counts of the confusion matrix.
        """
        n = float(sums[: 2 * self.bins].sum())
        if n == 0:
            return {}
        found = _decisions(*self.confusion(sums))
        if (area := _area(*self._classes(sums))) is not None:
            found["roc_auc"] = area
        found["brier"] = mean(n, float(sums[-4]), float(sums[-3]))
        found["log_loss"] = mean(n, float(sums[-2]), float(sums[-1]))
        return found

    def scored(self, predicted: Floats) -> Floats:
        """Counts of (n,) probabilities a bin."""
        bins = np.searchsorted(self.cuts, np.clip(predicted, 0.0, 1.0), side="right")
        return np.bincount(bins, minlength=self.bins).astype(np.float64)

    def rates(self, reference: Floats) -> Floats:
        """The calibrated share of positives a bin: the reference's, made to rise with the score.

        Isotonic regression by pooling adjacent violators (Zadrozny & Elkan 2002, "Transforming classifier scores into
        accurate multiclass probability estimates", KDD); bins that the reference does not have are interpolated.
        """
        negative, positive = self._classes(reference)
        weights = negative + positive
        known = np.flatnonzero(weights)
        if not len(known):
            return np.full(self.bins, math.nan)
        blocks: list[list[float]] = []
        for bin in known.tolist():
            blocks.append([positive[bin], weights[bin], 1])
            while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
                last = blocks.pop()
                blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
        fitted = np.concatenate([np.full(int(length), hits / rows) for hits, rows, length in blocks])
        return np.asarray(np.interp(np.arange(self.bins), known, fitted), dtype=np.float64)

    def estimate(self, reference: Floats, scored: Floats) -> dict[str, Measured]:
        """roc_auc, accuracy, f1, precision and recall, if every bin keeps the reference's calibrated share.

        The idea of confidence-based performance estimation (NannyML's CBPE), from counts. It sees what comes of other
        scores; it cannot see that labels have changed for the same scores. The errors are of sampling alone.
        """
        rates = self.rates(reference)
        if not scored.sum() or not np.isfinite(rates).all():
            return {}
        sums = np.concatenate([scored * (1 - rates), scored * rates, np.zeros(4)])
        return {name: found for name, found in self.measure(sums).items() if found.share and name != "brier"}

    def _classes(self, sums: Floats) -> tuple[Floats, Floats]:
        return sums[: self.bins], sums[self.bins : 2 * self.bins]


def _decisions(tn: float, fp: float, fn: float, tp: float) -> dict[str, Measured]:
    found = {"accuracy": _share(tn + tp, tn + fp + fn + tp)}
    if tp + fp > 0:
        found["precision"] = _share(tp, tp + fp)
    if tp + fn > 0:
        found["recall"] = _share(tp, tp + fn)
    whole = 2 * tp + fp + fn
    if whole > 0:
        value = 2 * tp / whole
        error = math.sqrt(tp * (2 - 2 * value) ** 2 + (fp + fn) * value**2) / whole
        found["f1"] = Measured(value, error, whole / 2, share=True)
    return found


def _share(hits: float, of: float) -> Measured:
    value = hits / of
    return Measured(value, math.sqrt(value * (1 - value) / of), of, share=True)


def _area(negative: Floats, positive: Floats) -> Measured | None:
    n, p = float(negative.sum()), float(positive.sum())
    if n == 0 or p == 0:
        return None
    # The share of the other class on the right side of each bin, ties counted half.
    below = (np.cumsum(negative) - negative / 2) / n
    above = (p - np.cumsum(positive) + positive / 2) / p
    value = float(positive @ below) / p
    if n <= 1 or p <= 1:
        return Measured(value, math.nan, min(n, p), share=True)
    variance = positive @ (below - value) ** 2 / (p - 1) / p + negative @ (above - value) ** 2 / (n - 1) / n
    return Measured(value, math.sqrt(float(variance)), min(n, p), share=True)
