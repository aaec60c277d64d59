"""False alarms by counts: traffic without drift, for windows and numbers of features of every size; repeated rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bench.drift import streams
from bench.drift.detectors import Detector, WithoutEffect, declared
from bench.drift.streams import ALL_KINDS
from scipy import stats

from loopwright.monitor.drift import LOOKS_PER_WINDOW
from loopwright.statistics.profile import Counts

SEED = 20_265
REFERENCE = 10_000
WINDOWS = 30
"""Windows a run; the budget of these experiments is one false alarm in as many."""
# Runs by the number of features: as many as take about the same time.
RUNS = {1: 50, 20: 12, 200: 2}
SIZES = (100, 1_000, 10_000, 100_000)
REPEATS = (1, 2, 5, 20)


def generator(*key: Any) -> np.random.Generator:
    """A stream of its own for every experiment and run."""
    return np.random.default_rng([SEED, *"-".join(map(str, key)).encode()])


def false_alarms(window: int, features: int, runs: int, *, repeats: int = 1) -> dict[str, Any]:
    """How many alarms begin without drift, with the declared `min_effect` and with none, of so many allowed."""
    rule = declared(WINDOWS, min(500, window))
    begun = {"declared": 0, "significance": 0}
    for run in range(runs):
        source = generator("none", window, features, repeats, run)
        kinds = streams.kinds_of(features, ALL_KINDS)
        columns = streams.rows(kinds, REFERENCE, np.zeros(features), source)
        profile = streams.profile(kinds, columns, source.standard_normal(REFERENCE))
        detector = WithoutEffect(profile, rule)
        chances = [
            streams.probabilities(kind, bins, 0.0) for kind, bins in zip(kinds, profile.features.values(), strict=True)
        ]
        chances.append(streams.probabilities("normal", profile.prediction, 0.0))
        glances = LOOKS_PER_WINDOW * rule.glances
        size = window // glances
        drawn = [streams.draw_counts(one, size, WINDOWS * glances, repeats, source) for one in chances]
        for i in range(WINDOWS * glances):
            begun["significance"] += _step(detector, size // repeats * repeats, [one[i] for one in drawn])
            begun["declared"] += detector.declared_begins
    return {
        "window": window,
        "features": features,
        "repeats": repeats,
        "runs": runs,
        "allowed": runs,
        **begun,
        # The rate is an expectation, and alarms of one run come together: the interval is that of a Poisson number.
        "interval": poisson_interval(begun["significance"]),
    }


def _step(detector: Detector, events: int, counts: Sequence[Counts]) -> bool:
    return detector.step(events, counts[:-1], counts[-1])


def poisson_interval(count: int) -> list[float]:
    """The exact 95 % interval of a Poisson number's mean."""
    low = float(stats.chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return [low, float(stats.chi2.ppf(0.975, 2 * count + 2)) / 2]


def ranking(window: int, runs: int) -> dict[str, Any]:
    """How rightly features are ranked: 10 of 20 move by 0.1 to 1.0 sigma, which is the right order for every kind."""
    from bench.drift.detectors import Loopwright

    shifts = np.concatenate((np.arange(1, 11) / 10, np.zeros(10)))
    kinds = [streams.NUMBERS[i % 3] for i in range(20)]
    found: dict[str, list[list[float]]] = {"loopwright": [], "wasserstein": []}
    for run in range(runs):
        source = generator("ranking", window, run)
        order = source.permutation(20)
        columns = streams.rows(kinds, 5_000, np.zeros(20), source)
        current = streams.rows(kinds, window, shifts[order], source)
        profile = streams.profile(kinds, columns, source.standard_normal(5_000))
        detector = Loopwright(profile, replace(declared(300, min(500, window)), glances=1))
        counts = [bins.count(column) for bins, column in zip(profile.features.values(), current, strict=True)]
        detector.step(window, counts, profile.count_predictions(source.standard_normal(window)))
        assert detector.last is not None
        distances = [score.distance for score in detector.last.features.values()]
        normed = [stats.wasserstein_distance(one, two) / one.std() for one, two in zip(columns, current, strict=True)]
        for name, values in (("loopwright", distances), ("wasserstein", normed)):
            found[name].append(_ranked(np.asarray(values), shifts[order]))
    return {
        "window": window,
        "runs": runs,
        **{
            name: dict(zip(("first", "spearman", "top"), np.mean(rows, axis=0).tolist(), strict=True))
            for name, rows in found.items()
        },
    }


def _ranked(values: streams.Floats, shifts: streams.Floats) -> list[float]:
    """Whether the greatest is first, the rank correlation among the moved, the share of the moved in the first ten."""
    moved = shifts > 0
    top = np.argsort(-values, kind="stable")[:10]
    correlation = float(stats.spearmanr(values[moved], shifts[moved]).statistic)
    return [float(shifts[top[0]] == shifts.max()), correlation, float(moved[top].mean())]
