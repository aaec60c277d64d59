"""Rules of a loop with seasons and recent traffic: a real monitor's metrics, evaluated by promtool."""

import json
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
import yaml

from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.monitor.state import Monitor
from loopwright.observability import own, promql, rules
from loopwright.statistics.profile import Profile
from loopwright.statistics.seasons import Seasonality

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: prometheus)"
)
MONITOR = "monitor: {seasonality: hour, recent: 4h}\n"
LOOK = 360.0
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC).timestamp()


@pytest.fixture
def seasonal(churn_declaration):
    return parse(churn_declaration.replace("\ndata:", "\ndata:\n  timestamp: seen") + MONITOR)


class Scraped:
    """One monitor under a daily cycle, scraped after every look."""

    def __init__(self, loop):
        self.rng, self.series, self.looks, self.sent = np.random.default_rng(5), {}, 0, []
        hours = np.arange(24_000) % 24
        self.monitor = Monitor(loop, Clock(), self.sent.append)
        profile = Profile.build(
            "churn",
            "classification",
            ["No", "Yes"],
            self.columns(hours),
            {"age": "number", "plan": "category"},
            self.rng.beta(2, 5, len(hours)),
            seasonality=Seasonality("hour"),
            seasons=(hours, hours),
        )
        self.monitor.counters.put("1", profile, MIDNIGHT)

    def columns(self, hours, shift=0.0):
        plan = np.where(self.rng.random(len(hours)) < 0.4, "premium", "basic").astype(object)
        return {"age": self.rng.normal(40 + 20 * np.sin(hours / 24 * 6.283) + 9 * shift, 9), "plan": plan}

    def look(self, number, **drift):
        for _ in range(number):
            at = MIDNIGHT + LOOK * (self.looks + 1)
            season = self.monitor.counters.versions["1"].season(datetime.fromtimestamp(at, UTC))
            columns = self.columns(np.full(200, season), **drift)
            self.monitor.counters.add("1", columns, self.rng.beta(2, 5, 200), at, None, season)
            self.monitor.look(at)
            for metric, values, value in self.monitor.samples(Counter()):
                pairs = zip(metric.labels, values, strict=True)
                labels = "".join(f"{key}={json.dumps(text)}," for key, text in pairs)
                self.series.setdefault(f'{metric.name}{{{labels}instance="a"}}', {})[self.looks] = value
            self.looks += 1

    def input_series(self):
        return [
            {"series": name, "values": " ".join(repr(float(at[i])) if i in at else "_" for i in range(self.looks))}
            for name, at in self.series.items()
        ]


@needs_promtool
def test_the_alarm_by_rules_is_the_monitors_own_and_names_what_it_is_against(tmp_path, seasonal):
    scraped = Scraped(seasonal)
    scraped.look(70)
    assert scraped.monitor.drift()["recent"]
    scraped.look(10, shift=1.0)
    state = scraped.monitor.drift()
    assert (set(state["firing"]), set(state["firing_recent"])) == ({"age"}, {"age"})
    fires = 'count by (feature, against) (ALERTS{alertname="LoopwrightDrift", alertstate="firing"})'
    labels = [{"labels": f'{{feature="age"{more}}}', "value": 1} for more in (', against="recent"', "")]
    differs = 'loopwright:drift:distance - on (feature) loopwright_drift_distance{instance="a"} != 0'
    end = f"{(scraped.looks - 1) * 6}m"
    tests = [
        {"expr": fires, "eval_time": f"{69 * 6}m", "exp_samples": []},
        {"expr": fires, "eval_time": end, "exp_samples": labels},
        {"expr": differs, "eval_time": end, "exp_samples": []},
        {"expr": "count(loopwright:drift:distance)", "eval_time": end, "exp_samples": [{"labels": "{}", "value": 4}]},
    ]
    groups = rules.groups(seasonal, Clock())
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    written = next(one for one in groups[0]["rules"] if "alert" in one)["annotations"]
    said = {one["labels"].get("against", ""): one for one in scraped.sent[-1]["alerts"]}
    assert "age of churn has drifted from the traffic of the 4h before: " in said["recent"]["annotations"]["summary"]
    assert "age of churn has drifted from the training data of the same hour: " in said[""]["annotations"]["summary"]
    alerts = [
        {
            "exp_labels": {name: text for name, text in one["labels"].items() if name != "alertname"},
            # What the monitor itself says of it, and what only the rules say.
            "exp_annotations": {
                **written,
                "description": written["description"].replace("{{ $labels.loop }}", "churn"),
                "report_url": written["report_url"].replace("{{ $labels.version | urlquery }}", "1"),
                "advice": "",
                "new_values": "",
                **one["annotations"],
            },
        }
        for one in said.values()
    ]
    told = [{"eval_time": end, "alertname": "LoopwrightDrift", "exp_alerts": alerts}]
    series = scraped.input_series()
    test = {"interval": "6m", "input_series": series, "promql_expr_test": tests, "alert_rule_test": told}
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": "6m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(whole))
    answer = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[:4000]


def test_without_seasons_and_recent_traffic_the_rules_are_those_computed_from_counts(churn_declaration):
    plain = parse(churn_declaration)
    assert own.records(plain) == promql.RECORDS
    assert own.drifted(plain) == promql.DRIFTED
    assert own.against(plain) == "training"
    assert own.reference(plain) == "the training data"


def test_with_seasons_no_series_is_left_that_nothing_records(seasonal):
    names = own.records(seasonal)
    used = {f"loopwright:{name}" for text in names.values() for name in promql._SERIES.findall(text)}
    assert used <= names.keys()
