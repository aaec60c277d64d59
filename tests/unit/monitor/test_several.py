"""More than two classes: what a predictor's events and late labels become, for metrics, rollouts and the archive."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from loopwright.archive.layout import CLASS
from loopwright.durations import Clock
from loopwright.monitor.archive_rows import pick
from loopwright.monitor.events import EventError, Message, check
from loopwright.monitor.exposition import render
from loopwright.monitor.state import Monitor
from loopwright.rollout.counts import read_answers
from loopwright.rollout.pairs import NONE, Joiner
from loopwright.statistics.labelled import tally
from loopwright.statistics.profile import Profile

CLASSES = ["1", "0", "2"]  # names that could be taken for places
RNG = np.random.default_rng(4)


def drawn(n, right=0.8):
    truth = RNG.choice(3, n, p=[0.6, 0.3, 0.1])
    decided = np.where(RNG.random(n) < right, truth, RNG.integers(0, 3, n))
    return truth, decided


@pytest.fixture
def profile(columns):
    truth, decided = drawn(2000)
    plain = Profile.build(
        "churn", "classification", CLASSES, columns(RNG, 2000), {"age": "number", "plan": "category"},
        0.4 + 0.6 * RNG.random(2000), decided=decided,
    )  # fmt: skip
    return replace(plain, labelled=tuple(tally(plain).of(truth.astype(float), decided.astype(float)).tolist()))


@pytest.fixture
def monitor(loop, profile):
    made = Monitor(loop, Clock(), [].append)
    made.counters.put("1", profile, 0.0)
    return made


def message(columns, decided, ids=None):
    n = len(decided)
    values = {name: column.tolist() for name, column in columns(RNG, n).items()}
    ids = ids or [f"p{at}" for at in range(n)]
    return Message("1", ids, 0.0, values, (0.4 + 0.6 * RNG.random(n)).tolist(), list(map(int, decided)))


def served(monitor, profile, columns, decided):
    assert monitor.queue.offer(check(message(columns, decided), profile))
    assert monitor.count_one(1.0)


def test_labels_give_the_metrics_of_decisions_beside_those_of_the_held_out_rows(monitor, profile, columns):
    truth, decided = drawn(600)
    served(monitor, profile, columns, decided)
    labels = [(f"p{at}", CLASSES[place]) for at, place in enumerate(truth)]
    assert monitor.labels.join(labels, {"1": profile}, 2.0).joined == 600
    report = monitor.performance.report()["versions"]["1"]
    assert report["labels"] == 600
    found = {name: one["value"] for name, one in report["metrics"].items()}
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, decided),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, decided),
            "f1_macro": metrics.f1_score(truth, decided, average="macro"),
        }
    )
    assert set(report["reference"]) == set(found)
    assert report["estimated"] == {}
    loss = monitor.labels.losses["1"]
    assert (loss.count, loss.total) == (600, float((truth != decided).sum()))


def test_labels_are_counted_by_the_names_of_the_classes(monitor, profile, columns):
    served(monitor, profile, columns, [0, 0, 1, 2])
    monitor.labels.join([("p0", "1"), ("p1", 0), ("p2", "0"), ("p3", 1.0)], {"1": profile}, 2.0)
    lines = [
        line.removeprefix("loopwright_label_classes_total")
        for line in render(monitor.samples(Counter())).splitlines()
        if line.startswith("loopwright_label_classes_total{")
    ]
    who = 'loop="churn",version="1"'
    assert sorted(lines) == sorted(
        f'{{{who},label="{label}",decided="{decided}"}} 1' for label, decided in ("11", "01", "00", "12")
    )


def test_a_rollout_compares_what_was_decided(monitor, profile, columns):
    served(monitor, profile, columns, [0, 0, 1, 2, -1])
    arm = read_answers(render(monitor.samples(Counter())), "churn")[1]
    assert arm.predictions == (2.0, 1.0, 1.0)
    answers, cursor = monitor.answers.read("1", "")
    assert dict(answers) == {"p0": 0.0, "p1": 0.0, "p2": 1.0, "p3": 2.0}
    other = [(name, 0.0) for name, _ in answers]
    pairs = Joiner(0.0).take(NONE, (answers, cursor), (other, ""))
    assert (pairs.total, pairs.differ) == (4, 2)


def test_archived_events_name_the_decided_class(monitor, profile, columns):
    batch = check(message(columns, [0, 1, -1]), profile)
    kept = pick(batch, np.array([True, True, True]), profile, frozenset(), Clock(), 1.0)
    assert kept.columns[CLASS].tolist() == ["1", "0", None]
    kept = pick(batch, np.array([False, True, False]), profile, frozenset(), Clock(), 1.0)
    assert kept.columns[CLASS].tolist() == ["0"]


@pytest.mark.parametrize("decided", [[0, 3], [0, -2], [0]])
def test_places_that_no_class_has_are_refused(profile, columns, decided):
    whole = message(columns, [0, 1])
    whole.decided = decided
    with pytest.raises(EventError, match="decided"):
        check(whole, profile)


def test_a_message_without_the_decided_class_counts_none(profile, columns):
    whole = message(columns, [0, 1])
    whole.decided = None
    assert np.isnan(check(whole, profile).told).all()
