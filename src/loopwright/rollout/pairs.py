"""Two answers to one request: pairs are joined by prediction id, and counted by whether they differ.

In a shadow rollout both versions predict every mirrored request. Their answers are read from the monitors at every
look; one waits here for the other, in bounded memory that need not survive: an id whose other answer came while
nobody joined is lost, whatever the answers were. The sums and the cursors are saved with the rollout's state.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from loopwright.statistics.sequential import log_e_rate, rate_upper_bound

MOST_WAITING = 50_000
"""Ids that wait for their other answer; beyond, the oldest is given up. 100 bytes each."""
THRESHOLD = 0.5
"""From this probability on a prediction is the positive class, where the loop names no other."""


@dataclass(frozen=True)
class Pairs:
    """The sums so far: pairs and those that differ, and how far the answers of both versions were read."""

    total: int = 0
    differ: int = 0
    champion: str = ""
    challenger: str = ""


NONE = Pairs()


class Joiner:
    """Joins the answers of two versions. `tolerance` is None for classes: then answers are probabilities."""

    def __init__(self, tolerance: float | None, most_waiting: int = MOST_WAITING, threshold: float = THRESHOLD) -> None:
        self._tolerance, self._most, self._threshold = tolerance, most_waiting, threshold
        self._waiting: tuple[OrderedDict[str, float], OrderedDict[str, float]] = (OrderedDict(), OrderedDict())

    def take(
        self, pairs: Pairs, champion: tuple[Sequence[tuple[str, float]], str],
        challenger: tuple[Sequence[tuple[str, float]], str],
    ) -> Pairs:  # fmt: skip
        """The sums with these answers and cursors, as `Gateway.answers` gave them for each version."""
        total, differ = pairs.total, pairs.differ
        for side, (answers, _) in enumerate((champion, challenger)):
            own, other = self._waiting[side], self._waiting[1 - side]
            for identifier, prediction in answers:
                known = other.pop(identifier, None)
                if known is None:
                    own[identifier] = prediction
                    continue
                total += 1
                differ += self._differ(prediction, known)
            while len(own) > self._most:
                own.popitem(last=False)
        return replace(pairs, total=total, differ=differ, champion=champion[1], challenger=challenger[1])

    def _differ(self, one: float, other: float) -> bool:
        if self._tolerance is None:
            return (one >= self._threshold) != (other >= self._threshold)
        # Written so that an answer that is not a number differs from one that is.
        return not abs(one - other) <= self._tolerance and not (one != one and other != other)


def disagreement(pairs: Pairs, limit: float, alpha: float) -> dict[str, Any]:
    """The evidence that more than `limit` of the requests are answered differently; see evidence.py.

    `e_value` and the two bounds hold at all looks at once; each bound alone is wrong with a chance of `alpha`.
    """
    facts: dict[str, Any] = {"limit": limit, "pairs": pairs.total, "worse": False, "known": False}
    if not pairs.total:
        return facts | {"detail": "no request has an answer of both versions that can be read"}
    log_e = log_e_rate(pairs.differ, pairs.total, limit)
    share = pairs.differ / pairs.total
    lower = 1 - rate_upper_bound(pairs.total - pairs.differ, pairs.total, alpha)
    return facts | {
        "share": round(share, 6),
        "bound": round(lower, 6),
        "upper": round(rate_upper_bound(pairs.differ, pairs.total, alpha), 6),
        "e_value": float(f"{math.exp(min(log_e, 27.0)):.4g}"),
        "needed": round(1 / alpha, 1),
        "known": True,
        "worse": log_e >= -math.log(alpha),
        "detail": f"{pairs.differ} of {pairs.total} requests were answered differently ({share:.2%}, surely at least "
        f"{lower:.2%}; limit {limit:.2%})",
    }
