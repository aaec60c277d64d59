"""Counters of processes that come, go and restart, added up to what each version did since one moment.

A counter begins at zero with its process. What it grew by between two samples is their difference, or the later one's
value where it is smaller: then the process was started again. Nothing is extrapolated, so the sum is a whole number
of requests where every sample of every process was seen.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from loopwright.rollout.counts import UNKNOWN, ZERO, Arm, read_answers

Labels = tuple[tuple[str, str], ...]
Samples = Iterable[tuple[float, float]]
"""Times in seconds since the epoch, and values."""

REQUESTS, DURATION = "loopwright_predictions_total", "loopwright_prediction_duration_seconds_bucket"
BUCKETS, EVENTS = "loopwright_prediction_bucket_total", "loopwright_events_total"
LOSSES = ("loopwright_label_loss_count", "loopwright_label_loss_sum", "loopwright_label_loss_squares")

# Added by whoever scrapes. Two that scrape one process see the same counter, which is counted once.
_SCRAPERS = ("job", "endpoint", "container", "prometheus", "prometheus_replica", "replica", "service")
_OWN = ("loop", "version", "outcome", "le", "bucket")


class Increases:
    """What each counter grew by since the origin."""

    def __init__(self, origin: float) -> None:
        self._origin = origin
        self._last: dict[Labels, tuple[float, float]] = {}
        self._grown: dict[Labels, float] = defaultdict(float)
        self._broken: set[str] = set()

    def feed(self, labels: Mapping[str, str], samples: Samples) -> None:
        """Take in samples of one counter; those that were seen before are passed over."""
        key = tuple(sorted((name, value) for name, value in labels.items() if name not in _SCRAPERS))
        for at, value in sorted(samples):
            last = self._last.get(key)
            if last is not None and at <= last[0]:
                continue
            if not math.isfinite(value):
                self._broken.add(labels.get("version", ""))
                continue
            before = 0.0 if last is None else last[1]
            # Of a counter that is older than the origin, only what came after it.
            self._grown[key] += (value - before if value >= before else value) if at > self._origin else 0.0
            self._last[key] = at, value

    def arms(self, versions: Iterable[int], loop: str, slow_s: float, newest: float) -> dict[int, Arm]:
        """One arm a version; a group of counts without a sample since `newest` is unknown, as is a NaN among them."""
        broken, self._broken = self._broken, set()
        fresh: dict[str, set[str]] = defaultdict(set)
        for key, (at, _) in self._last.items():
            labels = dict(key)
            if at >= newest:
                fresh[labels.get("version", "")].add(labels["__name__"])
        answers = read_answers(self._exposition(), loop)
        arms = {}
        for version in versions:
            text = str(version)
            arm = UNKNOWN if text in broken or REQUESTS not in fresh[text] else self._traffic(text, slow_s)
            if text not in broken and ({BUCKETS, EVENTS} & fresh[text] or arm.requests == 0):
                seen = answers.get(version, ZERO)
                arm = replace(
                    arm,
                    predictions=seen.predictions,
                    labels=seen.labels,
                    loss_sum=seen.loss_sum,
                    loss_squares=seen.loss_squares,
                )
            arms[version] = arm
        return arms

    def _traffic(self, version: str, slow_s: float) -> Arm:
        outcomes: dict[str, float] = defaultdict(float)
        buckets: dict[float, float] = defaultdict(float)
        for key, grown in self._grown.items():
            labels = dict(key)
            if labels.get("version") != version:
                continue
            if labels["__name__"] == REQUESTS:
                outcomes[labels.get("outcome", "")] += grown
            elif labels["__name__"] == DURATION:
                buckets[float(labels["le"])] += grown
        timed = buckets.get(math.inf, 0.0)
        # A bound that differs from the limit by the rounding of its digits is the limit.
        bounds = [bound for bound in buckets if bound >= slow_s * (1 - 1e-6)]
        return replace(
            UNKNOWN,
            requests=sum(outcomes.values()),
            # What was refused for being too much was not served.
            errors=outcomes["error"] + outcomes["refused"],
            rejected=outcomes["invalid"],
            timed=timed if buckets else math.nan,
            slow=timed - buckets[min(bounds)] if bounds else math.nan,
        )

    def _exposition(self) -> str:
        """The monitor's counters as it would give them, for the one reader that there is of them."""
        lines = []
        for key, grown in self._grown.items():
            labels = dict(key)
            if labels["__name__"] in (BUCKETS, EVENTS, *LOSSES):
                own = ",".join(f'{name}="{labels[name]}"' for name in _OWN if name in labels)
                lines.append(f"{labels['__name__']}{{{own}}} {grown!r}")
        return "\n".join(lines)
