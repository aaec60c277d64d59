"""From one sample a second to what a picture can hold: rates from cumulative counts, and thinned lines.

Counts are Envoy's since it started, so a lower count than before is a restart: what it shows came since then, as in
Prometheus' rate(). A long silence between two samples is a gap in the picture, not a slope.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

MOST_POINTS = 240
"""Points a line: about one for every four pixels of a wide screen."""
_GAP = 8.0
"""A silence this many times as long as the usual distance between samples is a gap."""


@dataclass(frozen=True)
class Span:
    """What happened between two moments: requests and errors a second, by version."""

    begin: float
    end: float
    rates: Mapping[str, float]
    errors: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin


@dataclass(frozen=True)
class Traffic:
    """Requests a second over time: runs of spans with no gap inside, and what was thinned."""

    runs: tuple[tuple[Span, ...], ...]
    versions: tuple[str, ...]
    requests: Mapping[str, int]
    errors: Mapping[str, int]
    seconds_a_point: float


@dataclass(frozen=True)
class Part:
    """An unbroken part of a line: (at, value) points, and whether the feature had drifted at any of its samples."""

    points: tuple[tuple[float, float], ...]
    drifted: bool

    @property
    def peak(self) -> float:
        """The greatest value."""
        return max(value for _, value in self.points)


@dataclass(frozen=True)
class Line:
    """One feature's distance or score over time."""

    name: str
    parts: tuple[Part, ...]

    @property
    def peak(self) -> float:
        """The greatest value of all parts."""
        return max(part.peak for part in self.parts)

    @property
    def drifted(self) -> bool:
        """Whether it had drifted at any time."""
        return any(part.drifted for part in self.parts)


@dataclass(frozen=True)
class Drift:
    """Every feature's distance and score over time."""

    distance: tuple[Line, ...]
    score: tuple[Line, ...]
    seconds_a_point: float
    switches: tuple[tuple[float, str], ...]
    """When the monitor began to look at which version."""


def extent(samples: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The moments of the first and the last usable sample; (0, 0) where there is none."""
    samples = _ordered(samples)
    return (samples[0]["at"], samples[-1]["at"]) if samples else (0.0, 0.0)


def traffic(samples: Sequence[Mapping[str, Any]]) -> Traffic:
    """Rates between neighbouring samples, averaged over equal times so that at most MOST_POINTS remain."""
    samples = _ordered(samples)
    runs: list[list[Span]] = []
    longest = _longest(samples)
    for before, after in pairwise(samples):
        seconds = after["at"] - before["at"]
        if seconds > longest:
            runs.append([])
            continue
        span = Span(
            before["at"],
            after["at"],
            _growth(before, after, "requests", seconds),
            _growth(before, after, "errors", seconds),
        )
        if not runs or (runs[-1] and runs[-1][-1].end != span.begin):
            runs.append([])
        runs[-1].append(span)
    spans = [span for run in runs for span in run]
    totals = {what: _totals([(span.seconds, getattr(span, what)) for span in spans]) for what in ("rates", "errors")}
    width = _width(samples)
    thinned = tuple(_averaged(run, width) for run in runs if run)
    versions = tuple(totals["rates"])
    return Traffic(thinned, versions, totals["rates"], totals["errors"], width)


def drift(samples: Sequence[Mapping[str, Any]], min_effect: float) -> Drift:
    """Each feature's line, with the greatest of what a point stands for; broken where the version changes."""
    samples = [sample for sample in _ordered(samples) if sample.get("drift")]
    width, longest = _width(samples), _longest(samples)
    parts: list[list[Mapping[str, Any]]] = []
    switches: list[tuple[float, str]] = []
    for index, sample in enumerate(samples):
        version = str(sample.get("drift_version"))
        changed = not switches or switches[-1][1] != version
        if changed:
            switches.append((sample["at"], version))
        if changed or sample["at"] - samples[index - 1]["at"] > longest:
            parts.append([])
        parts[-1].append(sample)
    names = sorted({name for sample in samples for name in sample["drift"]})

    def lines(what: str) -> tuple[Line, ...]:
        found = (_line(name, what, parts, width, min_effect) for name in names)
        return tuple(sorted((line for line in found if line.parts), key=lambda line: -line.peak))

    return Drift(lines("distance"), lines("score"), width, tuple(switches))


def _over(found: Any, min_effect: float) -> bool:
    distance, score = _number(found, "distance"), _number(found, "score")
    return distance is not None and score is not None and distance >= min_effect and score >= 1


def _line(name: str, what: str, parts: Sequence[Sequence[Mapping[str, Any]]], width: float, effect: float) -> Line:
    thinned = []
    for part in parts:
        points = [(s["at"], value) for s in part if (value := _number(s["drift"].get(name), what)) is not None]
        if points:
            drifted = any(_over(sample["drift"].get(name), effect) for sample in part)
            thinned.append(Part(_greatest(points, width), drifted))
    return Line(name, tuple(thinned))


def _greatest(points: Sequence[tuple[float, float]], width: float) -> tuple[tuple[float, float], ...]:
    """The greatest value of every `width` seconds: an alarm is about peaks, so thinning must not lower them."""
    chosen: list[tuple[float, float]] = []
    edge = -math.inf
    for point in points:
        if point[0] >= edge:
            chosen.append(point)
            edge = point[0] + width * 0.999
        elif point[1] > chosen[-1][1]:
            chosen[-1] = point
    return tuple(chosen)


def _averaged(run: Sequence[Span], width: float) -> tuple[Span, ...]:
    """Spans joined until each is `width` seconds long, with the mean rates of what was joined."""
    joined: list[Span] = []
    waiting: list[Span] = []
    for span in run:
        waiting.append(span)
        if span.end - waiting[0].begin >= width * 0.999:
            joined.append(_join(waiting))
            waiting = []
    return tuple([*joined, _join(waiting)] if waiting else joined)


def _join(spans: Sequence[Span]) -> Span:
    seconds = spans[-1].end - spans[0].begin
    rates, errors = (
        {
            version: sum(getattr(span, what).get(version, 0.0) * span.seconds for span in spans) / seconds
            for version in dict.fromkeys(name for span in spans for name in getattr(span, what))
        }
        for what in ("rates", "errors")
    )
    return Span(spans[0].begin, spans[-1].end, rates, errors)


def _growth(before: Mapping[str, Any], after: Mapping[str, Any], what: str, seconds: float) -> dict[str, float]:
    """Events a second by version. A version that was not there before, or has fewer now, began at zero."""
    old, rates = before.get(what) or {}, {}
    for version, count in (after.get(what) or {}).items():
        start = old.get(version, 0)
        rates[str(version)] = (count - start if count >= start else count) / seconds
    return rates


def _totals(spans: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, int]:
    totals: dict[str, float] = {}
    for seconds, rates in spans:
        for version, rate in rates.items():
            totals[version] = totals.get(version, 0.0) + rate * seconds
    return {version: round(total) for version, total in totals.items()}


def _ordered(samples: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The samples whose clock goes forward; one from before the last, as after a clock was set, has no rate."""
    kept: list[Mapping[str, Any]] = []
    for sample in samples:
        moment = _number(sample, "at")
        if moment is not None and (not kept or moment > kept[-1]["at"]):
            kept.append(sample)
    return kept


def _longest(samples: Sequence[Mapping[str, Any]]) -> float:
    """The longest time between two samples that is not a gap, in seconds."""
    steps = [after["at"] - before["at"] for before, after in pairwise(samples)]
    return _GAP * median(steps) if steps else 0.0


def _width(samples: Sequence[Mapping[str, Any]]) -> float:
    """How many seconds one point stands for; 0 where every sample is one."""
    if len(samples) <= MOST_POINTS:
        return 0.0
    whole: float = samples[-1]["at"] - samples[0]["at"]
    return whole / MOST_POINTS


def _number(found: Any, name: str) -> float | None:
    value = found.get(name) if isinstance(found, Mapping) else None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
