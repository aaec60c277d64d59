"""The predicted class is counted and watched, of two classes and of more."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from loopwright.durations import Clock
from loopwright.monitor.cloudevents import Half
from loopwright.monitor.exposition import render
from loopwright.monitor.state import Monitor
from loopwright.statistics.profile import Profile

RNG = np.random.default_rng(8)
SHARES = [0.5, 0.3, 0.2]


def zoo(rows=5000):
    """A feature and scores that say nothing of which of three classes is predicted."""
    return Profile.build(
        "churn", "classification", ["cat", "dog", "cow"], {"x": RNG.normal(size=rows)}, {"x": "number"},
        0.34 + 0.66 * RNG.random(rows), decided=RNG.choice(3, rows, p=SHARES),
    )  # fmt: skip


class Zoo:
    """A monitor of three classes, fed by KServe's logger."""

    def __init__(self, loop):
        self.sent, self.number, self.at = [], 0, 0.0
        self.monitor = Monitor(loop, Clock(), self.sent.append)
        self.monitor.counters.put("1", zoo(), 0.0)

    def look(self, n=100, shares=SHARES):
        for place in RNG.choice(3, n, p=shares).tolist():
            self.number += 1
            probabilities = [0.0] * 3
            probabilities[place] = 0.34 + 0.66 * float(RNG.random())
            question, answer = {"instances": [[float(RNG.normal())]]}, {"predictions": [probabilities]}
            for request, content in ((True, question), (False, answer)):
                body = msgspec.json.encode(content)
                one = Half((f"e{self.number}", ("1",)), request, ("1",), self.at, body, len(body) + 800)
                assert self.monitor.intake.offer(one)
        while self.monitor.pair(self.at):
            pass
        self.at += self.monitor.rule.look
        self.monitor.look(self.at)


@pytest.fixture
def live(loop):
    return Zoo(loop)


def test_three_classes_are_counted_by_name(live):
    live.look(500)
    text = render(live.monitor.samples(Counter()))
    counts = {
        name: int(line.split()[-1])
        for name in ("cat", "dog", "cow")
        for line in text.splitlines()
        if line.startswith("loopwright_prediction_class_total{") and f'class="{name}"' in line
    }
    assert sum(counts.values()) == 500
    assert counts["cat"] > counts["dog"] > counts["cow"] > 50


def test_other_shares_of_three_classes_raise_an_alarm_that_names_them(live):
    for _ in range(15):
        live.look()
    assert live.sent == []
    for _ in range(8):
        live.look(shares=[0.2, 0.3, 0.5])
    assert {alert["labels"]["feature"] for one in live.sent for alert in one["alerts"]} == {"predicted_class"}
    assert live.monitor.drift()["features"]["predicted_class"]["drifted"]


def test_of_two_classes_the_score_decides(loop, profile, columns):
    monitor = Monitor(loop, Clock(), print)
    monitor.counters.put("1", profile, 0.0)
    scores = np.array([0.1, 0.49, 0.5, 0.9, np.nan])
    monitor.counters.add("1", columns(RNG, 5), scores, 0.0)
    assert monitor.counters.versions["1"].classes() == [2, 2]
    assert monitor.counters.versions["1"].totals().features["predicted_class"].tolist() == [1, 0, 2, 2]
