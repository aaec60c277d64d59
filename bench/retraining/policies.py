"""One year under one policy: models are trained, predict until the next one, and runs are counted and judged.

The alarm-driven policy is the product's own: the profile of the newest rows, `Detector` and `Alarm` at every glance,
and the trigger's `decide` with the loop's rules on entries as the ledger has them. A run takes no time and its model is
promoted: gates, rollouts and their delays are left out, for every policy alike.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import lightgbm
import numpy as np
from bench.drift.detectors import Loopwright
from bench.retraining.streams import DAYS, Stream
from sklearn import metrics

from loopwright.durations import Clock
from loopwright.ledger import Entry
from loopwright.loop import Loop
from loopwright.monitor.drift import Rule
from loopwright.statistics.profile import Profile
from loopwright.trigger.decide import decide

TRAINED = 60.0
"""Days of labelled rows that a model is trained on."""
REFERENCE = 14.0
"""Days of the newest rows that the profile is made of."""
HELD_OUT = 5
"""Every so many rows one is held out of training: `data.holdout.share: 0.2`."""
JUDGED = 14.0
"""Days after a run over which its model is compared with the one before."""
WORTH = {"classification": 0.005, "regression": 0.005}
"""A run was needed if it raised the AUC or the R2 of those days by this much."""
ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)

LOOP = Loop.model_validate(
    {
        "apiVersion": "loopwright/v1",
        "kind": "Loop",
        "metadata": {"name": "bench"},
        "data": {
            "source": "x", "entity": "id", "label": {"column": "y"}, "contract": {"x0": {"type": "number"}},
        },
        "model": {"task": "classification", "estimator": "lightgbm", "features": "features.py"},
        "monitor": {"window": "7d", "false_alarms": "1 per 90d", "min_effect": 0.1, "min_events": 500},
        "retrain": {"on": ["drift"], "cooldown": "10d"},
    }
)  # fmt: skip


@dataclass
class Year:
    """What came of a policy: the days of its runs, the score of each week, and which runs were not needed."""

    runs: list[float]
    weeks: list[float]
    unneeded: int

    @property
    def score(self) -> float:
        """The mean of the weeks' AUC or R2."""
        return float(np.mean(self.weeks))


class Models:
    """The model trained at a day, made once: the policies share them."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.held_out = np.arange(len(stream.days)) % HELD_OUT == 0
        self._made: dict[float, lightgbm.Booster] = {}

    def at(self, day: float) -> lightgbm.Booster:
        """The model of the labels that are known at a day."""
        if day not in self._made:
            s = self.stream
            known = (s.days >= day - s.delay - TRAINED) & (s.days < day - s.delay) & ~self.held_out
            options = {
                "objective": "binary" if s.task == "classification" else "regression", "num_leaves": 15,
                "learning_rate": 0.1, "verbose": -1, "num_threads": 1, "deterministic": True, "seed": 7,
            }  # fmt: skip
            data = lightgbm.Dataset(s.features[known], s.labels[known], free_raw_data=True)
            self._made[day] = lightgbm.train(options, data, num_boost_round=40)
        return self._made[day]

    def score(self, model: lightgbm.Booster, chosen: Any) -> float:
        """AUC or R2 of a model on rows."""
        s = self.stream
        predicted = np.asarray(model.predict(s.features[chosen]))
        measure = metrics.roc_auc_score if s.task == "classification" else metrics.r2_score
        return float(measure(s.labels[chosen], predicted))


def live(models: Models, runs: Sequence[float]) -> Year:
    """The year of the models that are trained at these days; the first one is trained at day 0."""
    s = models.stream
    starts = [0.0, *sorted(runs)]
    predicted = np.zeros(len(s.days))
    for start, end in zip(starts, [*starts[1:], float(DAYS)], strict=True):
        chosen = (s.days >= start) & (s.days < end)
        if chosen.any():
            predicted[chosen] = models.at(start).predict(s.features[chosen])
    measure = metrics.roc_auc_score if s.task == "classification" else metrics.r2_score
    weeks = [
        float(measure(s.labels[chosen], predicted[chosen]))
        for week in range(DAYS // 7)
        if (chosen := (s.days >= 7 * week) & (s.days < 7 * week + 7)).any()
    ]
    unneeded = 0
    for before, day in itertools.pairwise(starts):
        after = (s.days >= day) & (s.days < day + JUDGED)
        gain = models.score(models.at(day), after) - models.score(models.at(before), after)
        unneeded += gain < WORTH[s.task]
    return Year(starts[1:], weeks, unneeded)


def scheduled(every: float) -> list[float]:
    """A run every so many days."""
    return [float(day) for day in np.arange(every, DAYS - 1, every)]


def at_random(number: int, generator: np.random.Generator) -> list[float]:
    """As many runs at moments drawn at random."""
    return sorted(float(day) for day in generator.uniform(1, DAYS - 1, number))


def alarmed(models: Models) -> list[float]:
    """The days of the runs that the product starts."""
    rule, entries = Rule.of(LOOP, Clock()), list[Entry]()
    day, version, runs = 0.0, 1, list[float]()
    while day < DAYS - 1:
        profile = _profile(models, day)
        for end, firing in _watch(models, profile, rule, day):
            if firing and _starts(entries, version, end, firing):
                day, version = end, version + 1
                runs.append(end)
                break
        else:
            break
    return runs


def _profile(models: Models, day: float) -> Profile:
    """The profile of the newest training rows of the model that is trained at this day."""
    s = models.stream
    chosen = (s.days >= day - s.delay - REFERENCE) & (s.days < day - s.delay)
    columns = {f"x{i}": s.features[chosen, i] for i in range(s.features.shape[1])}
    # A model is surer of rows it was fitted to than of live ones, so it is asked about those that were held out.
    predictions = np.asarray(models.at(day).predict(s.features[chosen & models.held_out]))
    kinds: Any = dict.fromkeys(columns, "number")
    return Profile.build("bench", s.task, (), columns, kinds, predictions)


def _watch(models: Models, profile: Profile, rule: Rule, day: float) -> Iterator[tuple[float, list[str]]]:
    """(day, what fires) at every glance after a promotion."""
    s, detector, step = models.stream, Loopwright(profile, rule), rule.glance / 86400
    model = models.at(day)
    for number in range(1, int((DAYS - 1 - day) / step) + 1):
        end = day + number * step
        chosen = slice(*np.searchsorted(s.days, (end - step, end)))
        columns = {name: s.features[chosen, i] for i, name in enumerate(profile.features)}
        predictions = np.asarray(model.predict(s.features[chosen])) if chosen.start < chosen.stop else np.empty(0)
        detector.step(len(predictions), list(profile.count(columns).values()), profile.count_predictions(predictions))
        yield end, detector.firing


def _starts(entries: list[Entry], version: int, day: float, firing: list[str]) -> bool:
    """Ask the trigger's rules, and write what follows from a start as the ledger would have it."""
    now = ORIGIN + timedelta(days=day)

    def write(kind: str, facts: dict[str, Any], cause: Entry | None = None, key: str | None = None) -> Entry:
        number = len(entries) + 1
        entry = Entry(number, now, "bench", kind, cause.number if cause else None, key, facts, "")
        entries.append(entry)
        return entry

    alarm = write("alarm", {"source": "drift", "version": str(version), "summary": f"{', '.join(firing)} drifted"})
    decision = decide(LOOP.retrain, Clock(), entries, alarm, now, lambda: 1_000_000)
    if decision.action == "no":
        return False
    name = f"run-{version + 1}"
    start = write("decision", {"action": "start"}, alarm, f"bench/start/{version}")
    run = write("run", {"run": name}, start, f"bench/run/{name}")
    write("run_ended", {"run": name, "state": "succeeded", "version": str(version + 1)}, run)
    write("promoted", {"version": str(version + 1)}, run)
    return True


def compare(make: Callable[[int], Stream], seed: int, draws: int = 5) -> dict[str, Any]:
    """One stream under every policy; random-time is the mean of several draws with the alarm's number of runs."""
    stream = make(seed)
    models = Models(stream)
    days = alarmed(models)
    generator = np.random.default_rng([4, seed])
    years = {"none": [live(models, [])], "alarm": [live(models, days)]}
    years["monthly"] = [live(models, scheduled(30))]
    years["weekly"] = [live(models, scheduled(7))]
    years["even"] = [live(models, scheduled(DAYS / (len(days) + 1))[: len(days)])]
    years["random"] = [live(models, at_random(len(days), generator)) for _ in range(draws)]
    return {
        "seed": seed, "days": days, "matters": stream.matters, "idle": stream.idle,
        "policies": {
            name: {
                "score": float(np.mean([year.score for year in several])),
                "scores": [year.score for year in several],
                "worst": float(np.mean([min(year.weeks) for year in several])),
                "runs": len(several[0].runs),
                "unneeded": float(np.mean([year.unneeded for year in several])),
                "weeks": np.mean([year.weeks for year in several], axis=0).tolist(),
            }
            for name, several in years.items()
        },
    }  # fmt: skip
