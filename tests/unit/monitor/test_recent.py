"""The recent reference: finds what is sudden, lets it become usual, keeps its budget, and survives a restart."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from loopwright.durations import Clock
from loopwright.monitor.alerts import body
from loopwright.monitor.counters import VersionCounts
from loopwright.monitor.detector import Detector
from loopwright.monitor.drift import Alarm, Rule, Window
from loopwright.monitor.looks import told
from loopwright.monitor.memory import Memory
from loopwright.monitor.recent import BUCKETS, Recent
from loopwright.monitor.state import Monitor
from loopwright.statistics.profile import Profile

LOOK = 360.0
DAY = 240
LEVEL = 1 / 64800
RULE = Rule(
    look=LOOK, looks=10, level=LEVEL, min_effect=0.1, min_events=500, persistence=2, sequential=LEVEL, recent=LEVEL,
    span=DAY * LOOK,
)  # fmt: skip


class Stream:
    """A version's traffic, look by look."""

    def __init__(self, seed, rows=2000):
        self.rng = np.random.default_rng(seed)
        self.profile = Profile.build(
            "churn",
            "classification",
            ["No", "Yes"],
            self.columns(rows, 0.0),
            {"age": "number", "plan": "category"},
            self.rng.beta(2, 5, rows),
        )
        self.start()

    def start(self, at=0.0, rule=RULE):
        """A monitor that begins to count."""
        self.counts, self.at = VersionCounts(self.profile, 10), at
        self.detector = Detector(self.profile, rule)

    def columns(self, n, shift):
        plan = np.where(self.rng.random(n) < 0.4, "premium", "basic").astype(object)
        return {"age": self.rng.normal(40 + 9 * shift, 9, n), "plan": plan}

    def look(self, n=100, shift=0.0):
        self.at += LOOK
        if n:
            self.counts.add(self.columns(n, shift), self.rng.beta(2, 5, n))
        self.detector.glance(self.counts.totals())
        found = self.detector.look(self.counts.window(), self.at)
        self.counts.mark()
        return found


def drifted(look):
    return [name for name, score in look.recent.items() if score.drifted]


def first(stream):
    """Looks until either reference shows the jump, 20 where none does."""
    for number in range(1, 20):
        look = stream.look(600, shift=0.28)
        if look.features["age"].drifted or drifted(look):
            return number
    return 20


def test_it_says_nothing_before_a_whole_span_has_been_counted():
    stream = Stream(1)
    assert not any(stream.look().recent for _ in range(DAY))
    assert set(stream.look().recent) == {"age", "plan", "predicted_class", "prediction"}


def test_a_sudden_change_is_found_beside_a_slow_one_that_fires_already():
    stream = Stream(2)
    for number in range(2 * DAY):
        look = stream.look(shift=0.8 * number / (2 * DAY))
    assert look.features["age"].drifted
    for _ in range(5):
        look = stream.look(shift=1.8)
    assert drifted(look) == ["age"]


def test_a_sudden_change_back_across_the_training_data_is_found_earlier():
    """Ages have come to be 0.2 standard deviations lower, too little to matter here, and jump by 0.5."""
    both = replace(RULE, min_effect=0.15)
    alone = replace(both, level=1 / 43200, sequential=1 / 43200, recent=0.0)
    delays = {"recent": [], "training": []}
    for seed in range(3):
        for name, rule in (("recent", both), ("training", alone)):
            stream = Stream(10 + seed, rows=5000)
            stream.start(rule=rule)
            for _ in range(DAY + 25):
                look = stream.look(600, shift=-0.2)
                assert {key: s for key, s in look.alarms().items() if s.drifted} == {}
            delays[name].append(first(stream))
    assert max(delays["recent"]) <= 10
    assert min(delays["training"]) == 20


def test_what_stays_becomes_usual_and_its_alarm_ends():
    stream, alarm, keys = Stream(3), Alarm(RULE), []
    for _ in range(DAY + 15):
        alarm.step(stream.look(), stream.at)
    for _ in range(DAY + 15):
        alarm.step(stream.look(shift=1.0), stream.at)
        keys.append({told(key) for key in alarm.firing})
    assert ("age", "recent") in keys[5]
    assert keys[-1] == {("age", "training")}


@pytest.mark.long
def test_the_budget_holds_of_all_three_parts_together():
    """Spans of 40 looks; 8 streams of 460 looks at a level of 0.009 each: 33 are allowed; any distance counts."""
    rule = replace(RULE, level=0.003, sequential=0.003, recent=0.003, min_effect=0.0, min_events=100, span=40 * LOOK)
    begun = looks = 0
    for seed in range(8):
        stream, before = Stream(40 + seed), False
        stream.start(rule=rule)
        for _ in range(460):
            now = any(score.drifted for score in stream.look().alarms().values())
            begun, looks, before = begun + (now and not before), looks + now, now
    assert begun <= 33
    assert looks <= 5 * 33


def test_it_goes_on_after_a_restart_where_it_was():
    stream = Stream(4)
    for _ in range(DAY + 15):
        before = stream.look()
    content = json.loads(json.dumps(stream.detector.recent.to_dict()))
    at = stream.at
    stream.start(at)
    stream.detector.recent.restore(content, at)
    assert stream.look().recent
    for _ in range(9):
        after = stream.look()
    for name, score in before.recent.items():
        assert after.recent[name].distance == pytest.approx(score.distance, abs=0.08)
    found = stream.detector.recent.reference(stream.counts.window(), stream.at)
    assert found.prediction.counts.sum() == pytest.approx(DAY * 100, rel=0.1)


def test_a_monitor_that_was_away_for_longer_than_the_span_begins_anew():
    stream = Stream(5)
    for _ in range(DAY + 15):
        stream.look()
    content = stream.detector.recent.to_dict()
    at = stream.at + 2 * DAY * LOOK
    stream.start(at)
    stream.detector.recent.restore(content, at)
    assert not stream.look().recent


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"since": 0.0, "buckets": 3},
        {"since": 0.0, "buckets": [[1.0, {"0": [1, 2]}]]},
        {"since": 0.0, "buckets": [[1.0, {"7": []}]]},
        {"since": 0.0, "buckets": [[1.0, {"x": [1]}]]},
    ],
)
def test_what_is_not_its_own_is_refused(content):
    with pytest.raises(ValueError, match=r"recent traffic|invalid literal"):
        Stream(6).detector.recent.restore(content, 2.0)


def test_memory_is_bounded_by_the_span():
    stream = Stream(7, rows=200)
    recent = Recent(stream.profile, 100 * LOOK, 10)
    zero = stream.counts.totals()
    for number in range(1000):
        recent.step(Window(number, {k: v + number for k, v in zero.features.items()}, zero.prediction + number), number)
    for number in range(1000):
        recent.step(Window(0, {k: v + 1000 for k, v in zero.features.items()}, zero.prediction), 1000 + number * LOOK)
    assert len(recent._buckets) <= BUCKETS + 2


@pytest.fixture
def watched(loop):
    monitor = loop.monitor.model_copy(update={"recent": timedelta(hours=24)})
    return loop.model_copy(update={"monitor": monitor})


class TestMonitor:
    def run(self, loop, profile, columns, path, looks, at=0.0, **drift):
        sent, rng = [], np.random.default_rng(9)
        monitor = Monitor(loop, Clock(), sent.append, memory=Memory(path))
        monitor.counters.put("1", profile, at)
        for _ in range(looks):
            at += monitor.rule.look
            monitor.counters.add("1", columns(rng, 100, **drift), rng.beta(2, 5, 100), at)
            monitor.look(at)
        monitor.remember(at, now=True)
        return monitor, sent, at

    def test_a_sudden_change_after_a_restart_is_told_with_what_it_is_against(self, watched, profile, columns, tmp_path):
        path = tmp_path / "recent" / "churn.json"
        _, sent, at = self.run(watched, profile, columns, path, DAY + 15)
        assert sent == []
        monitor, sent, _ = self.run(watched, profile, columns, path, 12, at, shift=1.0)
        against = {(a["labels"]["feature"], a["annotations"]["against"]) for one in sent for a in one["alerts"]}
        assert against == {("age", "training"), ("age", "recent")}
        assert len({one["groupKey"] for one in sent}) == 1
        state = json.loads(json.dumps(monitor.drift(), allow_nan=False))
        assert set(state["firing_recent"]) == {"age"}
        assert state["recent"]["age"]["drifted"]

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format":1,"versions":{"1":{"profile":"x"}}}', '{"format":9}'])
    def test_a_file_that_cannot_be_used_costs_the_past_only(self, watched, profile, columns, tmp_path, text):
        (tmp_path / "recent.json").write_text(text)
        monitor, _, _ = self.run(watched, profile, columns, tmp_path / "recent.json", 3)
        assert monitor.drift()["recent"] == {}
        assert json.loads((tmp_path / "recent.json").read_text())["format"] == 1


def test_an_alert_names_what_it_is_against_and_keeps_the_labels_of_the_one_against_training(loop):
    stream, alarm = Stream(8), Alarm(RULE)
    for _ in range(DAY + 15):
        alarm.step(stream.look(), stream.at)
    notices = [alarm.step(stream.look(shift=1.0), stream.at) for _ in range(9)]
    loop = loop.model_copy(update={"monitor": loop.monitor.model_copy(update={"recent": timedelta(days=7)})})
    content = body(loop, Clock(), "1", [one for one in notices if one][-1], 3600.0)
    alerts = {one["annotations"]["against"]: one for one in content["alerts"]}
    assert "against" not in alerts["training"]["labels"]
    assert alerts["recent"]["labels"]["against"] == "recent"
    assert alerts["recent"]["fingerprint"] != alerts["training"]["fingerprint"]
    assert "age of churn has drifted from the traffic of the 7d before: " in alerts["recent"]["annotations"]["summary"]
    assert "age of churn has drifted from the training data: " in alerts["training"]["annotations"]["summary"]
    assert "age (against recent traffic)" in content["commonAnnotations"]["description"]


def test_a_quiet_night_ends_no_alarm_against_recent_traffic():
    """What grows makes a look enough; the window against recent traffic has too few events to say that it is over."""
    stream, alarm = Stream(21), Alarm(RULE)
    for _ in range(DAY + 15):
        alarm.step(stream.look(), stream.at)
    for _ in range(12):
        alarm.step(stream.look(shift=1.0), stream.at)
    assert ("age", "recent") in {told(key) for key in alarm.firing}
    for _ in range(12):
        alarm.step(stream.look(20), stream.at)
    assert ("age", "recent") in {told(key) for key in alarm.firing}


def test_a_version_whose_profile_has_not_come_again_is_not_forgotten(tmp_path):
    stream, recent = Stream(22), Recent(Stream(22).profile, RULE.span, RULE.looks)
    for _ in range(20):
        stream.look()
        recent.step(stream.counts.totals(), stream.at)
    path = tmp_path / "churn.json"
    Memory(path).keep({"1": (stream.profile, recent)}, stream.at, now=True)
    kept = path.read_text()
    Memory(path).keep({}, stream.at, now=True)
    assert json.loads(path.read_text()) == json.loads(kept)


def test_what_was_not_counted_does_not_belong_to_the_span():
    stream = Stream(23)
    before, after = (Recent(stream.profile, RULE.span, RULE.looks) for _ in range(2))
    for _ in range(20):
        stream.look()
        before.step(stream.counts.totals(), stream.at)
    away = stream.at + RULE.span * 0.8
    after.restore(json.loads(json.dumps(before.to_dict())), away)
    assert after.reference(stream.counts.window(), away + RULE.span * 0.5) is None
