"""From events to alerts without HTTP: drift becomes one alarm that names its feature, and ends with it."""

import json
from collections import Counter
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from loopwright.durations import Clock
from loopwright.monitor import exposition
from loopwright.monitor.events import Message, check
from loopwright.monitor.state import Monitor
from loopwright.statistics.profile import Profile

RNG = np.random.default_rng(6)


class Live:
    """A monitor with version 1, the alerts it sent, and traffic."""

    def __init__(self, loop, profile, columns, **options):
        self.sent, self.columns, self.at = [], columns, 0.0
        self.monitor = Monitor(loop, Clock(), self.sent.append, **options)
        self.profiles = {"1": profile}
        self.monitor.counters.put("1", profile, 0.0)
        self.number = 0

    def send(self, n, version="1", **drift):
        ids = [f"p{self.number + i}" for i in range(n)]
        self.number += n
        columns = {name: values.tolist() for name, values in self.columns(RNG, n, **drift).items()}
        message = Message(version, ids, 0.0, columns, RNG.beta(2, 5, n).tolist())
        assert self.monitor.queue.offer(check(message, self.profiles[version]))

    def looks(self, number, n=100, version="1", **drift):
        for _ in range(number):
            if n:
                self.send(n, version, **drift)
            while self.monitor.count_one(self.at):
                pass
            self.at += self.monitor.rule.look
            self.monitor.look(self.at)

    def told(self):
        """(status, features that fire) of each alert sent."""
        return [
            (c["status"], *(a["labels"]["feature"] for a in c["alerts"] if a["status"] == "firing")) for c in self.sent
        ]


@pytest.fixture
def live(loop, profile, columns):
    return Live(loop, profile, columns)


def test_what_only_growing_evidence_says_is_a_metric_of_its_own_while_it_says_so(live):
    def growing():
        return {
            values: number
            for metric, values, number in live.monitor.samples(Counter())
            if metric is exposition.DRIFT_GROWING
        }

    live.looks(30, 500)
    assert growing() == {}
    for _ in range(60):
        live.looks(1, 500, shift=0.3)
        if growing():
            break
    ((who, score),) = growing().items()
    assert who == ("churn", "1", "age")
    assert score == live.monitor.drift()["features"]["age"]["score"] >= 1
    live.looks(1, 500, shift=0.3)
    (alert,) = live.sent[0]["alerts"]
    assert "by evidence from longer than 1h." in alert["annotations"]["summary"]
    live.looks(20, 500, shift=3)
    assert growing() == {}
    assert live.monitor.drift()["features"]["age"]["drifted"]


def test_ten_windows_without_drift_raise_no_alarm(live):
    live.looks(100)
    assert live.sent == []
    state = live.monitor.drift()
    assert (state["version"], state["events"], state["alarm"], state["enough"]) == ("1", 1000, False, True)


def test_a_shifted_feature_is_told_once_a_window_and_resolved_once(loop, profile, columns):
    short = loop.monitor.model_copy(update={"window": timedelta(minutes=5)})
    live = Live(loop.model_copy(update={"monitor": short}), profile, columns)
    live.looks(20)
    live.looks(25, shift=1.0)
    assert set(live.told()) == {("firing", "age")}
    assert live.monitor.drift()["firing"].keys() == {"age"}
    assert live.monitor.drift()["alarm"]
    assert 2 <= len(live.sent) <= 3
    live.looks(40)
    assert live.told()[-1] == ("resolved",)
    assert Counter(status for status, *_ in live.told())["resolved"] == 1
    assert not live.monitor.drift()["alarm"]


def test_what_fires_is_told_again_every_five_minutes_between_the_looks_of_a_long_window(live):
    live.looks(15, shift=1.0)
    before, start = len(live.sent), live.at
    for second in range(1200):
        live.monitor.repeat(start + second)
    assert 3 <= len(live.sent) - before <= 5
    assert set(live.told()) == {("firing", "age")}


def test_traffic_that_stops_ends_no_alarm_and_begins_none(live):
    live.looks(15, shift=1.0)
    live.looks(6, n=0)
    assert not live.monitor.drift()["enough"]
    before = len(live.sent)
    live.looks(30, n=0)
    assert len(live.sent) == before
    assert live.monitor.drift()["alarm"]
    assert live.monitor.drift()["features"] == {}
    assert live.monitor.drift()["prediction"] is None


def test_the_alarm_of_a_version_is_resolved_when_another_takes_over(live, columns):
    live.looks(15, shift=1.0)
    fresh = np.random.default_rng(2)
    live.profiles["2"] = Profile.build(
        "churn",
        "classification",
        ["No", "Yes"],
        columns(fresh, 5000, shift=1.0),
        {"age": "number", "plan": "category"},
        fresh.beta(2, 5, 5000),
    )
    live.monitor.counters.put("2", live.profiles["2"], live.at)
    live.looks(30, version="2", shift=1.0)
    assert live.told()[-1] == ("resolved",)
    assert live.sent[-1]["groupLabels"]["version"] == "1"
    assert live.monitor.drift()["version"] == "2"
    assert not live.monitor.drift()["alarm"]


def test_drift_is_plain_json_before_during_and_after_traffic(live):
    for looks, n in ((0, 0), (1, 0), (1, 3), (12, 100)):
        live.looks(looks, n)
        state = json.loads(json.dumps(live.monitor.drift(), allow_nan=False))
        assert state["events"] == 0 or set(state["features"]) == {"age", "plan", "predicted_class"}
    assert state["window_seconds"] == 3600
    assert set(state["features"]["age"]) == set(state["prediction"]) == {"distance", "score", "drifted", "by"}


def test_the_exposition_adds_up_to_the_events(live, profile):
    live.looks(7)
    live.monitor.labels.join([("p1", "Yes")], {"1": profile})
    sums = Counter()
    for metric, values, number in live.monitor.samples(Counter({"sent": 0})):
        sums[metric.name, *(values[:3] if metric is exposition.FEATURE_BIN else values[:2])] += number
    who = ("churn", "1")
    assert sums["loopwright_events_total", *who] == 700
    assert sums["loopwright_feature_bin_total", *who, "age"] == 700
    assert sums["loopwright_feature_bin_total", *who, "plan"] == 700
    assert sums["loopwright_prediction_bin_total", *who] == 700
    assert sums["loopwright_prediction_bucket_total", *who] == 700
    assert sums["loopwright_label_loss_count", *who] == 1
    assert sums["loopwright_drift_window_events", *who] == 700


def test_a_batch_of_a_version_that_was_forgotten_meanwhile_is_counted_as_refused(live):
    live.send(5)
    del live.monitor.counters.versions["1"]
    assert live.monitor.count_one(0.0)
    assert live.monitor.rejected["unknown_version"] == 1
    live.monitor.look(1.0)
    assert live.monitor.drift()["version"] is None


def test_the_metrics_of_a_version_that_was_just_forgotten_are_no_error(live):
    live.looks(12)
    del live.monitor.counters.versions["1"]
    live.monitor.glance(live.at)
    assert not any(name for metric, name, _ in live.monitor.samples(Counter()) if metric.name.endswith("dispersion"))


def test_messages_are_compact(message):
    assert len(msgspec.msgpack.encode(message(500))) < 40_000
