"""From predictions and late labels to live metrics, by version and slice, and to one alarm when a metric is down."""

import json
from dataclasses import replace

import numpy as np
import pytest

from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.monitor import exposition
from loopwright.monitor.events import Message, check
from loopwright.monitor.labelled import values
from loopwright.monitor.state import Monitor
from loopwright.statistics.labelled import tally
from loopwright.statistics.profile import Profile
from loopwright.trigger import causes

DECLARED = """
monitor:
  performance: {metric: roc_auc, max_drop: 0.05, over: 7d, min_labels: 300, slices: [plan]}
"""
HOUR = 3600.0


class Labelled:
    """A monitor whose version 1 knows its held-out rows, traffic, and labels that come two hours late."""

    def __init__(self, loop, profile, columns):
        self.rng = np.random.default_rng(7)
        self.columns, self.sent, self.at, self.number = columns, [], 0.0, 0
        truth, probability = self.draw(2000)
        plain = Profile.build(
            "churn", "classification", ["No", "Yes"], columns(self.rng, 2000),
            {"age": "number", "plan": "category"}, probability,
        )  # fmt: skip
        self.profile = replace(plain, labelled=tuple(tally(plain).of(truth, probability).tolist()))
        self.monitor = Monitor(loop, Clock(), self.sent.append)
        self.monitor.counters.put("1", self.profile, 0.0)

    def draw(self, n, blurred=0.0):
        """Labels and the scores that a model gives, some of them blurred: drawn anew whatever the label."""
        probability = self.rng.beta(1.5, 3, n)
        truth = (self.rng.random(n) < probability).astype(float)
        return truth, np.where(self.rng.random(n) < blurred, self.rng.beta(1.5, 3, n), probability)

    def serve(self, n, blurred=0.0):
        """Predictions of n rows; their labels, to be sent whenever."""
        truth, predicted = self.draw(n, blurred)
        ids = [f"p{self.number + i}" for i in range(n)]
        self.number += n
        columns = {name: column.tolist() for name, column in self.columns(self.rng, n).items()}
        assert self.monitor.queue.offer(check(Message("1", ids, 0.0, columns, predicted.tolist()), self.profile))
        while self.monitor.count_one(self.at):
            pass
        return [(name, "Yes" if one else "No") for name, one in zip(ids, truth, strict=True)]

    def label(self, labels):
        return self.monitor.labels.join(labels, {"1": self.profile}, self.at)

    def days(self, number, a_day=120, blurred=0.0):
        for _ in range(round(number * 24 / 2)):
            labels = self.serve(a_day // 12, blurred)
            self.at += 2 * HOUR
            self.label(labels)
            self.monitor.look(self.at)

    def told(self):
        return [content["status"] for content in self.sent if content["commonLabels"]["metric"] == "roc_auc"]


@pytest.fixture
def live(churn_declaration, profile, columns):
    return Labelled(parse(churn_declaration + DECLARED), profile, columns)


def test_a_model_that_stays_as_good_raises_no_alarm(live):
    live.days(30)
    assert live.sent == []
    report = live.monitor.performance.report()
    now = report["versions"]["1"]
    assert (report["alarm"], report["metric"], report["over"], report["enough"]) == (False, "roc_auc", "7d", True)
    assert 700 < now["labels"] < 1000
    low, high = now["metrics"]["roc_auc"]["low"], now["metrics"]["roc_auc"]["high"]
    assert low < 0.756 < high  # the area of a million such rows
    assert now["delay_seconds"] == pytest.approx(2 * HOUR)
    newest = [value for metric, _, value in live.monitor.performance.samples() if metric is exposition.LABEL_NEWEST]
    assert newest == [live.at]


def test_a_model_that_got_worse_raises_one_alarm_that_the_trigger_reads_and_it_ends(live, loop):
    live.days(10)
    live.days(10, blurred=0.6)
    assert live.told()[0] == "firing"
    first = live.sent[0]
    assert first["commonLabels"]["alertname"] == "LoopwrightPerformance"
    assert "roc_auc of churn version 1 is 0." in first["commonAnnotations"]["summary"]
    assert float(first["commonAnnotations"]["drop"]) > 0.05
    (cause,) = causes.read(json.dumps(first).encode(), "churn").causes
    assert (cause.source, cause.facts["version"]) == ("performance", "1")
    assert cause.facts["window_seconds"] == 7 * 24 * HOUR
    live.days(20)
    assert live.told()[-1] == "resolved"
    assert live.told().count("resolved") == 1


def test_everything_is_measured_by_slice_too(live):
    live.days(7)
    slices = live.monitor.performance.report()["versions"]["1"]["slices"]["plan"]
    whole = live.monitor.performance.report()["versions"]["1"]["labels"]
    assert slices.keys() == {"basic", "premium"}
    assert slices["basic"]["labels"] + slices["premium"]["labels"] == whole
    assert "roc_auc" in slices["basic"]["metrics"]
    apart = live.monitor.performance.report()["versions"]["1"]["fairness"]["plan"]
    assert 0 <= apart["demographic_parity_difference"] < 0.2


def test_labels_in_any_order_and_twice_are_measured_once(live):
    labels = live.serve(400)
    live.label(labels[200:][::-1])
    live.label(labels)
    assert live.monitor.labels.outcomes == {"joined": 400, "unknown": 0, "repeated": 200, "contradicting": 0}
    assert live.monitor.performance.report()["versions"]["1"]["labels"] == 400


def test_a_contradicting_label_is_counted_and_the_first_stands(live):
    labels = live.serve(100)
    live.label(labels)
    before = live.monitor.performance.report()["versions"]["1"]["metrics"]
    joined = live.label([(name, "No" if label == "Yes" else "Yes") for name, label in labels])
    assert (joined.repeated, joined.contradicting) == (100, 100)
    assert live.monitor.performance.report()["versions"]["1"]["metrics"] == before


def test_performance_is_estimated_without_any_label(live):
    live.serve(2000)
    now = live.monitor.performance.report()["versions"]["1"]
    assert (now["labels"], now["predictions"]) == (0, 2000)
    assert now["estimated"]["roc_auc"] == pytest.approx(now["reference"]["roc_auc"], abs=0.03)


def test_without_labels_in_the_time_nothing_is_said(live):
    live.days(5)
    for _ in range(200):
        live.at += 2 * HOUR
        live.monitor.look(live.at)
    now = live.monitor.performance.report()["versions"]["1"]
    assert (now["labels"], now["metrics"], live.sent) == (0, {}, [])


def test_counters_of_replicas_add_up_and_give_what_is_shown(live):
    live.days(7)
    text = exposition.render(live.monitor.samples({}))
    read = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}
    cells = {
        (truth, decided): read[
            'loopwright_label_decisions_total{loop="churn",version="1",slice="",value="",'
            f'label="{truth}",decided="{decided}"}}'
        ]
        for truth in "01"
        for decided in "01"
    }
    assert sum(cells.values()) == read['loopwright_labels_total{loop="churn",outcome="joined"}'] == live.number
    f1 = 2 * cells["1", "1"] / (2 * cells["1", "1"] + cells["0", "1"] + cells["1", "0"])
    totals = live.monitor.performance.versions["1"]
    assert f1 == pytest.approx(totals.tally.measure(totals.totals.labels[0])["f1"].value)
    scores = [value for name, value in read.items() if name.startswith("loopwright_label_scores_total")]
    assert sum(scores) == live.number
    assert 'loopwright_performance_reference{loop="churn",version="1",metric="roc_auc"}' in read


def test_a_profile_without_held_out_rows_has_no_reference_unless_one_is_declared(churn_declaration, profile, columns):
    for more, known in (("", False), (", reference: 0.8", True)):
        text = DECLARED.replace("metric: roc_auc", f"metric: roc_auc{more}")
        live = Labelled(parse(churn_declaration + text), profile, columns)
        live.profile = replace(live.profile, labelled=None)
        live.monitor.counters.versions["1"].profile = live.profile
        live.days(8)
        report = live.monitor.performance.report()
        assert report["versions"]["1"]["reference"] == ({"roc_auc": 0.8} if known else {})
        assert (report["score"] is not None) == known


def test_sums_of_another_tally_are_no_reference(live):
    live.profile = replace(live.profile, labelled=(1.0, 2.0))
    live.monitor.counters.versions["1"].profile = live.profile
    live.days(2)
    assert live.monitor.performance.report()["versions"]["1"]["reference"] == {}


def test_a_regression_is_measured_in_its_own_units(churn_declaration, profile, columns):
    text = churn_declaration.replace("classification", "regression").replace(
        "churned: {type: boolean}", "churned: {type: number}"
    )
    loop = parse(text + "monitor: {performance: {metric: rmse, min_labels: 100, slices: [plan]}}")
    rng = np.random.default_rng(2)
    predicted = rng.normal(100, 10, 1000)
    plain = Profile.build(
        "churn", "regression", [], columns(rng, 1000), {"age": "number", "plan": "category"}, predicted,
        label_variance=104.0,
    )  # fmt: skip
    known = replace(plain, labelled=tuple(tally(plain).of(predicted + rng.normal(0, 2, 1000), predicted).tolist()))
    sent = []
    monitor = Monitor(loop, Clock(), sent.append)
    monitor.counters.put("1", known, 0.0)
    for look in range(6):
        ids = [f"{look}-{i}" for i in range(100)]
        rows = {name: column.tolist() for name, column in columns(rng, 100).items()}
        values_now = rng.normal(100, 10, 100)
        monitor.queue.offer(check(Message("1", ids, 0.0, rows, values_now.tolist()), known))
        monitor.count_one(0.0)
        truth = values_now + rng.normal(0, 4, 100)
        monitor.labels.join(zip(ids, truth.tolist(), strict=True), {"1": known}, 60.0)
        monitor.look(8.5 * HOUR * look)
    now = monitor.performance.report()["versions"]["1"]
    assert now["metrics"]["rmse"]["value"] == pytest.approx(4, rel=0.15)
    assert now["reference"]["rmse"] == pytest.approx(2, rel=0.1)
    assert "rmse of churn version 1 is" in sent[0]["commonAnnotations"]["summary"]
    assert "up" in sent[0]["commonAnnotations"]["summary"]
    text = exposition.render(monitor.samples({}))
    assert 'loopwright_label_error_count{loop="churn",version="1",slice="",value=""} 600\n' in text
    assert 'loopwright_label_error_sum{loop="churn",version="1",slice="plan",value="premium"}' in text


def test_the_values_of_a_slice_have_names_of_their_own(profile):
    assert values(profile.features["plan"]) == ["(missing)", "(other)", "basic", "premium"]
    names = values(profile.features["age"])
    assert len(names) == len(set(names)) == len(profile.features["age"].counts)


def test_a_version_that_was_forgotten_takes_its_sums_along(live):
    live.days(1)
    del live.monitor.counters.versions["1"]
    live.monitor.look(live.at + HOUR)
    assert live.monitor.performance.versions == {}
    assert live.monitor.performance.report()["versions"] == {}
