"""How differently a classification treats the groups of a slice, from counts of what it decided.

Definitions are Fairlearn's (https://fairlearn.org/main/user_guide/assessment/common_fairness_metrics.html): the
greatest difference between two groups. Groups with few predictions or labels are left out, as their rates are noise.
"""

from collections.abc import Mapping

from loopwright.monitor.labelled import EVERYTHING, Group

LEAST = 50
"""Labels of a class, or of a group, below which its rates are not compared."""

Confusion = tuple[float, float, float, float]


def differences(confusions: Mapping[Group, Confusion]) -> dict[str, dict[str, float]]:
    """By slice: `demographic_parity_difference` and `equalized_odds_difference`, of groups with labels enough.

    The first is of the share that is decided positive, the second the greater of those of the true positive rate and
    of the false positive rate. Without two groups to compare there is none.
    """
    found: dict[str, dict[str, float]] = {}
    for name in sorted({group[0] for group in confusions if group != EVERYTHING}):
        groups = [counts for group, counts in confusions.items() if group[0] == name]
        selected = [(fp + tp) / n for tn, fp, fn, tp in groups if (n := tn + fp + fn + tp) >= LEAST]
        hits = [tp / (fn + tp) for _, _, fn, tp in groups if fn + tp >= LEAST]
        alarms = [fp / (tn + fp) for tn, fp, _, _ in groups if tn + fp >= LEAST]
        apart = {}
        if len(selected) > 1:
            apart["demographic_parity_difference"] = max(selected) - min(selected)
        if len(hits) > 1 and len(alarms) > 1:
            apart["equalized_odds_difference"] = max(max(hits) - min(hits), max(alarms) - min(alarms))
        if apart:
            found[name] = apart
    return found
