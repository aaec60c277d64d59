"""Prometheus' own evaluation of the rules, by promtool, beside monitor.drift.evaluate on the same counts."""

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
import yaml

from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.monitor import criticals, exposition, odd
from loopwright.monitor.counters import Counters
from loopwright.monitor.drift import Alarm, Rule, Window, evaluate
from loopwright.monitor.growing import Growing
from loopwright.monitor.layout import Layout
from loopwright.observability import rules
from loopwright.statistics.distances import jensen_shannon
from loopwright.statistics.profile import Profile

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: prometheus)")

LOOK = 360


def draw(rng, n, shift=0.0, odd=0.0):
    """Columns of n rows: shifted numbers, and a share `odd` of values that the reference never had."""
    plan = rng.choice(["basic", "premium", "trial"], n, p=[0.5, 0.45, 0.05]).astype(object)
    plan[rng.random(n) < odd] = "unheard of"
    spend = rng.lognormal(3, 1, n)
    spend[rng.random(n) < odd] = np.nan
    columns = {
        "age": rng.normal(40 + 9 * shift, 9, n),
        "spend": spend,
        "plan": plan,
        "constant": np.full(n, "always", dtype=object),
        'odd "name" \\': rng.integers(0, 3, n).astype(float),
    }
    return columns, rng.beta(2 + shift, 5, n)


def profile(rng, rows, **changes):
    columns, predictions = draw(rng, rows, **changes)
    kinds = {name: "category" if values.dtype == object else "number" for name, values in columns.items()}
    return Profile.build("churn", "classification", ["No", "Yes"], columns, kinds, predictions)


class Replicas:
    """Monitors of one loop, scraped once a minute; what each exports at each scrape becomes promtool's input."""

    def __init__(self, loop):
        self.loop, self.rule = loop, Rule.of(loop, Clock())
        self.counters, self.series, self.minute = {}, {}, 0
        self.odd = {}

    def start(self, name, profiles):
        """A process begins, or begins again, in this minute."""
        self.counters[name] = Counters(self.rule.looks)
        for version, one in profiles.items():
            self.counters[name].put(version, one, self.minute * 60.0)

    def stop(self, name):
        del self.counters[name]

    def events(self, name, version, rows):
        columns, predictions = rows
        self.counters[name].add(version, columns, predictions, self.minute * 60.0)

    def scrape(self):
        for name, counters in self.counters.items():
            for version, counts in counters.versions.items():
                for metric, values, number in self._samples(version, counts):
                    labels = ",".join(
                        f"{key}={json.dumps(value)}" for key, value in zip(metric.labels, values, strict=True)
                    )
                    series = self.series.setdefault(f'{metric.name}{{{labels},instance="{name}"}}', {})
                    series[self.minute] = number
        self.minute += 1

    def _samples(self, version, counts):
        who, totals = ("churn", version), counts.totals()
        yield exposition.EVENTS, who, totals.events
        for name, bins in totals.features.items():
            for number, count in enumerate(bins.tolist()):
                yield exposition.FEATURE_BIN, (*who, name, str(number)), count
        for number, count in enumerate(totals.prediction.tolist()):
            yield exposition.PREDICTION_BIN, (*who, str(number)), count
        yield exposition.COUNTING_SINCE, who, counts.since
        yield from criticals.samples(who, counts.profile, self.rule)

    def look(self, version):
        """What evaluate says of the replicas' windows together."""
        windows = [one.versions[version].window() for one in self.counters.values()]
        together = Window(
            sum(window.events for window in windows),
            {name: sum(window.features[name] for window in windows) for name in windows[0].features},
            sum(window.prediction for window in windows),
        )
        profile = next(iter(self.counters.values())).versions[version].profile
        self.odd[self.minute - 1] = odd.of(profile, together, profile.features)
        found = evaluate(next(iter(self.counters.values())).versions[version].profile, together, self.rule)
        for one in self.counters.values():
            one.mark()
        return found

    def input_series(self):
        found = []
        for name, samples in self.series.items():
            values = [repr(samples[minute]) if minute in samples else "stale" for minute in range(self.minute)]
            found.append({"series": name, "values": " ".join(values)})
        return found


def run(tmp_path, loop, replicas, tests, extra=()):
    content = {"groups": rules.groups(loop, Clock())}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(content))
    test = {"interval": "1m", "input_series": [*replicas.input_series(), *extra], **tests}
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": f"{LOOK}s", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(whole))
    answer = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[:4000]


def agree(looks, version="1"):
    """Series with Python's numbers, and queries that find none that differ from them by 1e-9."""
    names = {name for look in looks.values() if look for name in look.scores()}
    last = max(looks)
    extra, queries = [], []
    for what in ("distance", "score", "drifted"):
        for name in sorted(names):
            values = []
            for minute in range(last + 1):
                look = looks.get(minute)
                number = None if look is None else float(getattr(look.scores()[name], what))
                values.append("_" if number is None or math.isnan(number) else repr(number))
            labels = f'loop="churn",version="{version}",feature={json.dumps(name)}'
            extra.append({"series": f"python_{what}{{{labels}}}", "values": " ".join(values)})
        for minute, look in looks.items():
            if look is None:
                continue
            series = f'loopwright:drift:{what}{{version="{version}"}}'
            at = {"eval_time": f"{minute}m"}
            queries.append({"expr": f"abs({series} - python_{what}) >= 1e-9", **at, "exp_samples": []})
            queries.append(
                {
                    "expr": f"count({series} - python_{what})",
                    **at,
                    "exp_samples": [{"labels": "{}", "value": len(names)}],
                }
            )
    return extra, queries


def test_two_replicas_together_are_what_python_says_to_a_billionth(tmp_path, loop):
    rng = np.random.default_rng(1)
    replicas, reference, looks = Replicas(loop), profile(rng, 3000), {}
    for name in ("a", "b"):
        replicas.start(name, {"1": reference})
    for minute in range(91):
        drifting = minute > 50
        for name in ("a", "b"):
            # promtool looks at minute 0 too, where the monitor's first look has not ended.
            size = int(rng.integers(2, 40)) if minute else 0
            replicas.events(name, "1", draw(rng, size, shift=drifting, odd=0.2 * drifting))
        replicas.scrape()
        if minute and minute % 6 == 0:
            looks[minute] = replicas.look("1")
    assert sum(score.drifted for score in looks[90].scores().values()) >= 4
    assert not any(score.drifted for score in looks[48].scores().values())
    extra, queries = agree(looks)
    shares = replicas.odd[90]
    assert shares["spend"]["missing"] > 0.1
    assert shares["plan"]["new_values"] > 0.1
    for name, found in shares.items():
        for what, share in found.items():
            series = f'loopwright:drift:odd{{feature={json.dumps(name)},what="{what}"}}'
            one = {"labels": "{}", "value": 1}
            queries.append(
                {"expr": f"count(abs({series} - {share!r}) < 1e-9)", "eval_time": "90m", "exp_samples": [one]}
            )
    all_of_them = {"labels": "{}", "value": sum(map(len, shares.values()))}
    queries.append({"expr": "count(loopwright:drift:odd)", "eval_time": "90m", "exp_samples": [all_of_them]})
    run(tmp_path, loop, replicas, {"promql_expr_test": queries}, extra)


def test_a_process_that_begins_again_is_counted_on_from_zero(tmp_path, loop):
    rng = np.random.default_rng(3)
    replicas, reference, sizes = Replicas(loop), profile(rng, 500), []
    replicas.start("a", {"1": reference})
    for minute in range(67):
        if minute == 32:
            replicas.start("a", {"1": reference})
        # More at once after the restart than all that was counted before: increase() would not see a restart.
        sizes.append(3000 if minute == 33 else 10)
        replicas.events("a", "1", draw(rng, sizes[-1]))
        replicas.scrape()
    # What a process counted between its last look and its end is lost: here that of minute 31.
    counted = sum(sizes[7:67]) - sizes[31]
    expected = {"labels": 'loopwright:events:window{loop="churn",version="1"}', "value": counted}
    bins = {"labels": '{loop="churn",version="1"}', "value": counted}
    total = "sum by (loop, version) (loopwright:feature_bin:window{feature='plan'})"
    run(
        tmp_path,
        loop,
        replicas,
        {
            "promql_expr_test": [
                {"expr": "loopwright:events:window", "eval_time": "66m", "exp_samples": [expected]},
                {"expr": total, "eval_time": "66m", "exp_samples": [bins]},
            ]
        },
    )


def firing(version="1"):
    return f'ALERTS{{alertname="LoopwrightDrift",alertstate="firing",version="{version}"}}'


def test_an_alarm_begins_and_ends_as_the_monitors_own_does(tmp_path, loop):
    rng = np.random.default_rng(4)
    replicas, reference, own, alarm = Replicas(loop), profile(rng, 3000), {}, Alarm(Rule.of(loop, Clock()))
    replicas.start("a", {"1": reference})
    for minute in range(199):
        # Drift in too few events to say so, none, drift for an hour, again too few to say anything, none.
        size = 1 if 100 < minute < 160 else 20 if minute <= 12 else 40
        replicas.events("a", "1", draw(rng, size, shift=1.5 * (minute <= 12 or 40 < minute < 100)))
        replicas.scrape()
        if minute and minute % 6 == 0:
            alarm.step(replicas.look("1"), minute * 60.0)
            own[minute] = len(alarm.firing)
    assert max(own.values()) >= 2
    assert own[198] == 0
    queries = []
    for minute, number in own.items():
        exp = [{"labels": "{}", "value": number}] if number else []
        queries.append({"expr": f"count({firing()})", "eval_time": f"{minute}m", "exp_samples": exp})
    run(tmp_path, loop, replicas, {"promql_expr_test": queries})


def test_the_version_with_most_events_is_watched_and_stays_until_another_has_twice_as_many(tmp_path, loop):
    rng = np.random.default_rng(5)
    replicas, reference = Replicas(loop), profile(rng, 3000)
    replicas.start("a", {"1": reference, "2": reference})
    for minute in range(199):
        share = 10 if minute <= 60 else 38 if minute <= 130 else 50
        replicas.events("a", "1", draw(rng, 60 - share))
        # The challenger differs, and is not what is watched before it has most of the traffic.
        replicas.events("a", "2", draw(rng, share, shift=1.5))
        replicas.scrape()
    watched, queries = "loopwright:version:watched", []
    for minute, version in ((60, "1"), (126, "1"), (198, "2")):
        exp = [{"labels": f'{watched}{{loop="churn",version="{version}"}}', "value": 1}]
        queries.append({"expr": watched, "eval_time": f"{minute}m", "exp_samples": exp})
    queries.append({"expr": "count(loopwright:drift:drifted{version='2'})", "eval_time": "126m", "exp_samples": []})
    queries.append({"expr": firing("2") + " offset 72m", "eval_time": "198m", "exp_samples": []})
    queries.append(
        {"expr": f"sum({firing('2')}) > bool 1", "eval_time": "198m", "exp_samples": [{"labels": "{}", "value": 1}]}
    )
    run(tmp_path, loop, replicas, {"promql_expr_test": queries})


def test_the_alert_says_what_drifted_by_how_much_how_sure_and_over_what(tmp_path, loop):
    rng = np.random.default_rng(6)
    replicas, reference = Replicas(loop), profile(rng, 3000)
    replicas.start("a", {"1": reference})
    for minute in range(73):
        columns, predictions = draw(rng, 20)
        columns["plan"][:] = "unheard of"
        replicas.events("a", "1", (columns, predictions))
        replicas.scrape()
        if minute and minute % 6 == 0:
            score = replicas.look("1").scores()["plan"]
    labels = {"severity": "warning", "loop": "churn", "version": "1", "feature": "plan"}
    alert = next(one for one in rules.groups(loop, Clock())[0]["rules"] if "alert" in one)
    annotations = {
        **alert["annotations"],
        "summary": f"plan of churn has drifted from the training data: distance {score.distance:.3f} over 1200 "
        "predictions in 1h.",
        "distance": f"{score.distance:.6f}",
        "score": f"{score.score:.6f}",
        "window": "1h",
        "missing": "0.000000",
        "new_values": "1.000000",
        "out_of_range": "",
        "advice": "Check the source first, no run starts by itself: 100% more of the predictions than of the "
        "training data have a value that it does not list. ",
        "report_url": "http://loopwright-trigger:8080/v1/reports/latest?version=1",
    }
    annotations["description"] = annotations["description"].replace("{{ $labels.loop }}", "churn")
    expected = {"eval_time": "72m", "alertname": "LoopwrightDrift"}
    expected["exp_alerts"] = [{"exp_labels": labels, "exp_annotations": annotations}]
    run(tmp_path, loop, replicas, {"alert_rule_test": [expected]})


def test_events_that_repeat_count_for_fewer(tmp_path, loop):
    rng = np.random.default_rng(8)
    replicas, reference = Replicas(loop), profile(rng, 3000)
    replicas.start("a", {"1": reference})
    for minute in range(61):
        replicas.events("a", "1", draw(rng, 15 if minute else 0, shift=1.5))
        replicas.scrape()
        look = replicas.look("1") if minute and minute % 6 == 0 else None
    assert look.scores()["age"].drifted
    window = replicas.counters["a"].versions["1"].totals()
    assert window.events == 900
    bins, counts = reference.features["age"].counts, window.features["age"]
    chance = (np.count_nonzero(bins + counts) - 1) * (1 / 900 + 1 / 3000) / (8 * math.log(2))
    distance = math.sqrt(jensen_shannon(bins, counts, corrected=False) ** 2 - 2 * chance)
    # Two replicas, which see half and some of the repeats each: 1 + 0.4 + 0.6.
    own = 'loop="churn",version="1",feature="age"'
    extra = [
        {"series": f"loopwright_drift_dispersion{{{own},instance='{name}'}}", "values": f"{factor}x61"}
        for name, factor in (("a", 1.4), ("b", 1.6))
    ]
    one = [{"labels": "{}", "value": 1}]
    expected = [
        ("score", look.scores()["age"].score / 2, "age"),
        ("distance", distance, "age"),
        # 900 events count for 450, which is not enough.
        ("drifted", 0, "age"),
        ("score", look.scores()["prediction"].score, "prediction"),
    ]
    queries = [
        {
            "expr": f"count(abs(loopwright:drift:{what}{{feature='{name}'}} - {number!r}) < 1e-9)",
            "eval_time": "60m",
            "exp_samples": one,
        }
        for what, number, name in expected
    ]
    run(tmp_path, loop, replicas, {"promql_expr_test": queries}, extra)


@pytest.mark.parametrize("budget", ["1 per 1d", "1 per 90d", "3 per 1000d"])
def test_no_monitor_asks_for_less_evidence_than_the_rules_take_for_the_least(churn_declaration, budget):
    """What more is asked of several replicas is a part of it."""
    rule = Rule.of(parse(f"{churn_declaration}monitor: {{window: 1h, false_alarms: {budget}}}"), Clock())
    columns, predictions = draw(np.random.default_rng(1), 500)
    # The class, which a classification has besides, takes a share of its own: a regression asks for the least.
    one = Profile.build("churn", "regression", (), {"age": columns["age"]}, {"age": "number"}, predictions)
    growing = Growing(Layout(one), rule)
    asked = [-math.log(growing.level(order)) for order in range(growing._greatest + 1)]
    assert rules._needed(rule) == pytest.approx(min(asked))


def test_evidence_that_grew_is_the_same_alert_as_the_window_s(tmp_path, loop):
    rng = np.random.default_rng(9)
    replicas, reference = Replicas(loop), profile(rng, 3000)
    replicas.start("a", {"1": reference})
    for minute in range(145):
        # The window says it of the age, from the second hour on.
        replicas.events("a", "1", draw(rng, 20, shift=1.5 * (minute > 72)))
        replicas.scrape()
    own = 'loop="churn",version="1"'
    given = [
        (f"loopwright_drift_growing{{{own},feature='spend',instance='a'}}", "_x19 1.25x40 stale"),
        (f"loopwright_drift_distance{{{own},feature='spend',instance='a'}}", "0.11x144"),
        # Another replica is further from the reference, and not by what its evidence says.
        (f"loopwright_drift_distance{{{own},feature='spend',instance='b'}}", "0.4x144"),
        (f"loopwright_drift_growing{{{own},feature='age',instance='b'}}", "_x79 1.5x65"),
        (f"loopwright_drift_distance{{{own},feature='age',instance='b'}}", "0.12x144"),
        # Enough for one replica, and not for the better of two.
        (f"loopwright_drift_growing{{{own},feature='plan',instance='a'}}", "1.1x144"),
        (f"loopwright_drift_distance{{{own},feature='plan',instance='a'}}", "0.2x144"),
        (f"loopwright_drift_window_events{{{own},instance='a'}}", "1200x144"),
        (f"loopwright_drift_window_events{{{own},instance='b'}}", "1200x144"),
        # A version that is not watched tells nobody.
        ("loopwright_drift_window_events{loop='churn',version='2',instance='a'}", "10x144"),
        ("loopwright_drift_growing{loop='churn',version='2',feature='spend',instance='a'}", "1.25x144"),
        ("loopwright_drift_distance{loop='churn',version='2',feature='spend',instance='a'}", "0.3x144"),
    ]
    labels = {"severity": "warning", "loop": "churn", "version": "1", "feature": "spend"}
    alert = next(one for one in rules.groups(loop, Clock())[0]["rules"] if "alert" in one)
    annotations = {
        **alert["annotations"],
        "summary": "spend of churn has drifted from the training data: distance 0.110 by evidence from longer than 1h.",
        "description": alert["annotations"]["description"].replace("{{ $labels.loop }}", "churn"),
        "distance": "0.110000",
        "score": "1.250000",
        "missing": "0.000000",
        "new_values": "",
        "out_of_range": "0.000000",
        "advice": "",
        "report_url": "http://loopwright-trigger:8080/v1/reports/latest?version=1",
    }
    told = {"exp_labels": labels, "exp_annotations": annotations}
    # As many looks in a row as an alarm needs, two of six minutes, begin and end it.
    tests = [
        {"eval_time": f"{minute}m", "alertname": "LoopwrightDrift", "exp_alerts": [told] * fires}
        for minute, fires in ((24, 0), (36, 1), (72, 0))
    ]
    age = 'count(ALERTS{alertname="LoopwrightDrift",alertstate="firing",feature="age"})'
    queries = [
        {"expr": age, "eval_time": "144m", "exp_samples": [{"labels": "{}", "value": 1}]},
        # The window of all replicas comes first.
        {"expr": "loopwright:drift:growing", "eval_time": "144m", "exp_samples": []},
    ]
    extra = [{"series": name, "values": values} for name, values in given]
    run(tmp_path, loop, replicas, {"alert_rule_test": tests, "promql_expr_test": queries}, extra)


def test_a_monitor_s_alarm_of_a_metric_is_sent_on_with_its_numbers(tmp_path, loop):
    own, of = 'loop="churn",version="1"', 'metric="roc_auc"'
    series = [
        (f"loopwright_performance_alarm{{{own},instance='a'}}", "0x30"),
        (f"loopwright_performance_alarm{{{own},instance='b'}}", "0x10 1x19"),
        (f"loopwright_performance_score{{{own},{of},instance='b'}}", "0.5x10 1.7x19"),
        (f"loopwright_performance{{{own},{of},instance='b'}}", "0.75x30"),
        (f"loopwright_performance{{{own},{of},slice='plan',value='basic',instance='b'}}", "0.25x30"),
        (f"loopwright_performance_reference{{{own},{of},instance='b'}}", "0.82x30"),
    ]
    told = {
        "exp_labels": {"severity": "warning", "loop": "churn", "version": "1", "metric": "roc_auc"},
        "exp_annotations": {
            "summary": "roc_auc of churn version 1 is down: 0.75 now, 0.82 in the reference.",
            "score": "1.700000",
        },
    }
    tests = [
        {"eval_time": "6m", "alertname": "LoopwrightPerformance", "exp_alerts": []},
        {"eval_time": "24m", "alertname": "LoopwrightPerformance", "exp_alerts": [told]},
    ]
    given = [{"series": name, "values": values} for name, values in series]
    run(tmp_path, loop, Replicas(loop), {"alert_rule_test": tests}, given)
