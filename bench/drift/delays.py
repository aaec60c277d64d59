"""Detection delay beside the peers, on the same rows, every rule at the same rate of false alarms.

Each rule's threshold is set on runs without drift: at most one run in ten of 30 windows has an alarm. Loopwright's is
not set: it is given the budget that says the same, one false alarm in 300 windows. Beside it stands what its detectors
find when their levels are set like the others' thresholds, and half the effect is declared to matter.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from bench.drift import streams
from bench.drift.detectors import Loopwright, benjamini_hochberg, conformal, counts_by, declared, first
from bench.drift.experiments import generator
from bench.drift.peers import Peers
from bench.drift.streams import Drift, Floats

from loopwright.monitor.drift import LOOKS_PER_WINDOW

SHARE = 0.1
CALM, BEFORE, AFTER = 30, 3, 20
"""Windows of a run without drift; before the onset; after it, when a rule has missed it."""
BUDGET = 300
FACTORS = (64.0, 16.0, 4.0, 1.0)
"""By which the levels of Loopwright's detectors are multiplied, when they are set like the others' thresholds."""
TUNED_EFFECT = 0.05
DELTAS = (0.1, 0.02, 0.005, 0.002, 0.0005, 0.0001)
WINDOWED = ("evidently", "nannyml")
RULES = ("loopwright", "tuned", "ks_bh", "evidently", "nannyml", "adwin", "conformal")


@dataclass(frozen=True)
class Case:
    """One comparison: windows of so many rows, so many features, and the drifts that are to be found."""

    window: int
    features: int
    drifts: tuple[Drift, ...]
    calm: int = 20
    """Runs without drift."""
    runs: int = 12
    """Runs of each drift."""
    reference: int = 5_000
    looks: int = 2
    """Looks a window of Evidently and NannyML, which take milliseconds a column."""

    @property
    def key(self) -> str:
        """Its name in the results."""
        return f"{self.window}-{self.features}"


MANY = Drift(0.5, 9)
CASES = (
    Case(1_000, 20, (Drift(0.25), Drift(0.5), Drift(1.0), MANY, Drift(1.0, 1, 10))),
    Case(1_000, 1, (Drift(0.25), Drift(0.5))),
    Case(100, 20, (Drift(0.5), Drift(1.0), MANY)),
    Case(10_000, 5, (Drift(0.25), Drift(0.5), Drift(1.0, 1, 10)), calm=10, runs=6, looks=1),
)


@dataclass
class Run:
    """One run's rows: a reference, and a stream whose drift begins at `onset`."""

    reference: Floats
    stream: Floats
    predictions: tuple[Floats, Floats]
    onset: int
    source: np.random.Generator = field(repr=False)


def draw(case: Case, drift: Drift | None, number: int) -> Run:
    """The rows of one run; features and prediction are independent, and the prediction does not drift."""
    source = generator("delay", case.key, drift, number)
    kinds = streams.kinds_of(case.features, streams.NUMBERS)
    windows = CALM if drift is None else BEFORE + AFTER
    onset = 0 if drift is None else BEFORE * case.window
    reference = np.column_stack(streams.rows(kinds, case.reference, np.zeros(case.features), source))
    step = case.window // LOOKS_PER_WINDOW
    parts = []
    for look in range(windows * LOOKS_PER_WINDOW):
        # The middle of the look's rows, for a gradual drift.
        after = (look + 0.5) / LOOKS_PER_WINDOW - BEFORE
        shifts = np.zeros(case.features) if drift is None else drift.at(after, case.features)
        parts.append(np.column_stack(streams.rows(kinds, step, shifts, source)))
    stream = np.concatenate(parts)
    predictions = (source.standard_normal(case.reference), source.standard_normal(len(stream)))
    return Run(reference, stream, predictions, onset, source)


def loopwright(case: Case, run: Run, factor: float | None = None) -> int | None:
    """The row at which the first alarm after the onset begins; tuned, where its levels are multiplied by a factor."""
    kinds = streams.kinds_of(case.features, streams.NUMBERS)
    profile = streams.profile(kinds, list(run.reference.T), run.predictions[0])
    rule = declared(BUDGET, min(500, case.window))
    if factor is not None:
        rule = replace(rule, level=rule.level * factor, sequential=rule.sequential * factor, min_effect=TUNED_EFFECT)
    detector = Loopwright(profile, rule)
    step = case.window // LOOKS_PER_WINDOW // rule.glances
    for glance, (features, prediction) in enumerate(counts_by(profile, run.stream, run.predictions[1], step)):
        begins = detector.step(step, features, prediction)
        end = (glance + 1) * step
        if begins and end > run.onset:
            return end
    return None


def statistics(
    rule: str, case: Case, run: Run, peers: Peers, stop: float | None
) -> tuple[list[int], list[float], bool]:
    """(rows at which looks end, the statistic at each: more is drift, whether the rule as it comes alarms)."""
    ordered = np.sort(run.reference, axis=0)
    if rule == "ks_bh":
        every = case.window // LOOKS_PER_WINDOW
        ends, found = [], []
        for end in range(max(case.window, run.onset + every), len(run.stream) + 1, every):
            rate = benjamini_hochberg(ordered, run.stream[end - case.window : end])
            ends.append(end)
            found.append(-math.log(max(rate, 1e-300)))
            if stop is not None and found[-1] > stop:
                break
        return ends, found, any(one > -math.log(0.05) for one in found)
    if rule == "conformal":
        values = conformal(ordered, run.stream, run.source)[run.onset :]
        return list(range(run.onset + 1, len(run.stream) + 1)), values.tolist(), False
    answer = peers.ask(rule, window=case.window, every=case.window // case.looks, start=run.onset, stop=stop)
    return answer["ends"], answer["statistic"], any(answer["default"])


def calibrate(case: Case, peers: Peers, runs: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Thresholds at which at most a tenth of runs without drift alarm, and what the rules do as they come."""
    greatest: dict[str, list[float]] = {rule: [] for rule in RULES if rule not in ("loopwright", "tuned", "adwin")}
    default = {rule: 0 for rule in RULES if rule != "tuned"}
    # How many runs alarm at each setting, from the keenest to the calmest.
    settings = {"adwin": dict.fromkeys(DELTAS, 0), "tuned": dict.fromkeys(FACTORS, 0)}
    for number in range(runs):
        tell(f"{case.key} without drift {number + 1}/{runs}")
        run = draw(case, None, number)
        peers.hand_over(run.reference, run.stream)
        default["loopwright"] += loopwright(case, run) is not None
        for rule, values in greatest.items():
            _, found, alarms = statistics(rule, case, run, peers, None)
            values.append(max(found))
            default[rule] += alarms
        for delta, row in zip(DELTAS, peers.ask("river", deltas=list(DELTAS), start=0)["first"], strict=True):
            settings["adwin"][delta] += row is not None
        for factor in FACTORS:
            settings["tuned"][factor] += loopwright(case, run, factor) is not None
    allowed = int(SHARE * runs)
    default["adwin"] = settings["adwin"][0.002]
    thresholds: dict[str, float] = {rule: sorted(values)[-1 - allowed] for rule, values in greatest.items()}
    for rule, alarms_at in settings.items():
        thresholds[rule] = next((one for one, number in alarms_at.items() if number <= allowed), list(alarms_at)[-1])
    return {
        "runs": runs, "thresholds": thresholds, "default": default,
        "tuned": dict.fromkeys(greatest, allowed)
        | {rule: alarms_at[thresholds[rule]] for rule, alarms_at in settings.items()},
    }  # fmt: skip


def measure(
    case: Case, drift: Drift, thresholds: dict[str, float], peers: Peers, runs: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Rows from the onset to the alarm for each rule; None is a miss within 20 windows."""
    delays: dict[str, list[int | None]] = {rule: [] for rule in RULES}
    for number in range(runs):
        tell(f"{case.key} {describe(drift)} {number + 1}/{runs}")
        run = draw(case, drift, number)
        peers.hand_over(run.reference, run.stream)
        for rule in RULES:
            row = _alarm(rule, case, run, peers, thresholds)
            delays[rule].append(None if row is None else row - run.onset)
    return {
        "drift": describe(drift), "shift": drift.shift, "moved": drift.features, "ramp": drift.ramp, "runs": runs,
        "rules": {rule: summary(values) for rule, values in delays.items()},
    }  # fmt: skip


def _alarm(rule: str, case: Case, run: Run, peers: Peers, thresholds: dict[str, float]) -> int | None:
    if rule == "loopwright":
        return loopwright(case, run)
    if rule == "tuned":
        return loopwright(case, run, thresholds[rule])
    if rule == "adwin":
        first_row: int | None = peers.ask("river", deltas=[thresholds[rule]], start=run.onset)["first"][0]
        return first_row
    ends, found, _ = statistics(rule, case, run, peers, thresholds[rule])
    at = first(np.asarray(found) > thresholds[rule])
    return None if at is None else ends[at]


def summary(delays: list[int | None]) -> dict[str, Any]:
    """Median and 90 % quantile, a miss counted as never; and the share missed."""
    ordered = sorted(math.inf if value is None else float(value) for value in delays)
    quantiles = [ordered[min(math.ceil(q * len(ordered)) - 1, len(ordered) - 1)] for q in (0.5, 0.9)]
    median, late = (None if math.isinf(value) else value for value in quantiles)
    return {"median": median, "late": late, "missed": sum(value is None for value in delays) / len(delays)}


def describe(drift: Drift) -> str:
    """A drift in words."""
    what = "one feature" if drift.features == 1 else f"{drift.features} features"
    return f"{what} {drift.shift:+g} sigma" + (f" over {drift.ramp} windows" if drift.ramp else "")
