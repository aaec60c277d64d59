"""Alerts on declared limits, as Prometheus itself evaluates them (promtool)."""

import shutil
import subprocess

import pytest
import yaml

from loopwright.declaration import parse
from loopwright.durations import Clock
from loopwright.errors import DeclarationError
from loopwright.observability import files, limits

MONITOR = """
monitor:
  persistence: 1
  business:
    conversion:
      query: >
        sum by (version) (increase(orders_total{loop="churn"}[$over]))
        / sum by (version) (increase(loopwright_predicted_rows_total{loop="churn"}[$over]))
      over: 1h
      min: 0.05
      max_drop: 0.2
    refunds: {query: 'sum(increase(refunds_total[$over]))', over: 2h, max: 100, max_rise: 1}
  freshness: {events: 10m, labels: 30m}
"""
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: prometheus)"
)
LABELS = 'loop="churn", version="3"'


@pytest.fixture
def loop(churn_declaration):
    delayed = churn_declaration.replace("label: {column: churned}", "label: {column: churned, delay: 1h}")
    return parse(delayed + MONITOR)


@pytest.fixture
def fires(loop, tmp_path):
    """Which alerts fire at a minute, for series that are scraped once a minute; promtool's own words otherwise."""

    def ask(series, at, expected):
        told = [
            {"eval_time": f"{at}m", "alertname": name, "exp_alerts": [{"exp_labels": labels} for labels in alerts]}
            for name, alerts in expected.items()
        ]
        tests = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "alert_rule_test": told,
                }
            ],
        }
        group = limits.group(loop, Clock(), {})
        # Annotations are compared too, so they are taken away: what they say is another test's.
        for rule in group["rules"]:
            rule.pop("annotations", None)
        (tmp_path / "rules.yml").write_text(files.text({"groups": [group]}))
        (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
        answer = subprocess.run(
            ["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr

    return ask


def business(name, limit, **more):
    return {"severity": "warning", "loop": "churn", "business": name, "limit": limit, **more}


def served(version, orders):
    """100 predictions a minute of a version, and so many orders."""
    return {
        f'loopwright_predicted_rows_total{{loop="churn", version="{version}"}}': "0+100x400",
        f'orders_total{{loop="churn", version="{version}"}}': orders,
    }


@needs_promtool
def test_a_metric_below_its_least_value_is_told_for_its_version(fires):
    series = served(3, "0+8x400") | served(4, "0+4x400")
    # In the first hour there is no past to have dropped from.
    fires(series, 45, {"LoopwrightBusiness": [business("conversion", "min", version="4")]})


@needs_promtool
def test_a_drop_is_told_beside_what_there_was_before(fires):
    # From 10 orders a minute to 7 after 200 minutes: 30 % below an hour before, once the hour is over.
    series = served(3, "0+10x200 2007+7x200")
    fires(series, 190, {"LoopwrightBusiness": []})
    fires(series, 261, {"LoopwrightBusiness": [business("conversion", "max_drop", version="3")]})
    fires(series, 380, {"LoopwrightBusiness": []})


@needs_promtool
def test_a_version_that_has_just_come_is_held_against_those_before_it(fires):
    new = {name: f"_x200 {values}" for name, values in served(4, "0+7x200").items()}
    series = served(3, "0+10x400") | new
    fires(series, 260, {"LoopwrightBusiness": [business("conversion", "max_drop", version="4")]})


@needs_promtool
def test_a_query_without_versions_is_one_value(fires):
    fires({"refunds_total": "0+2x400"}, 200, {"LoopwrightBusiness": [business("refunds", "max")]})
    rising = {"refunds_total": "0+0.1x200 21+0.3x200"}
    fires(rising, 325, {"LoopwrightBusiness": [business("refunds", "max_rise")]})


@needs_promtool
def test_events_that_stay_away_are_told_and_so_is_a_monitor_that_is_gone(fires):
    silent = {"severity": "warning", "loop": "churn"}
    events = f"loopwright_events_total{{{LABELS}}}"
    fires({events: "0+10x30 300x30"}, 35, {"LoopwrightNoEvents": []})
    fires({events: "0+10x30 300x30"}, 45, {"LoopwrightNoEvents": [silent]})
    fires({events: "0+10x30 _x60"}, 60, {"LoopwrightNoEvents": [silent]})


@needs_promtool
def test_labels_that_stay_away_are_told_once_they_are_late(fires):
    counted = {
        f"loopwright_events_total{{{LABELS}}}": "0+10x300",
        f"loopwright_counting_since_seconds{{{LABELS}}}": "0x300",
    }
    labels = f"loopwright_label_delay_seconds_count{{{LABELS}}}"
    # They may take an hour, and then stay away for half of one.
    fires(counted | {labels: "0x300"}, 80, {"LoopwrightNoLabels": []})
    fires(counted | {labels: "0x300"}, 95, {"LoopwrightNoLabels": [{"severity": "warning", "loop": "churn"}]})
    fires(counted | {labels: "0+1x300"}, 95, {"LoopwrightNoLabels": []})
    asleep = {**counted, f"loopwright_events_total{{{LABELS}}}": "500x300"}
    fires(asleep | {labels: "0x300"}, 95, {"LoopwrightNoLabels": []})


@needs_promtool
def test_what_jobs_have_pushed_is_told(fires):
    job = 'job="loopwright_skew", loop="churn"'
    series = {
        f'loopwright_skew_share{{{job}, feature="age"}}': "0.25x10",
        f'loopwright_skew_beyond{{{job}, feature="age"}}': "1x10",
        f'loopwright_skew_share{{{job}, feature="plan"}}': "0.001x10",
        f'loopwright_skew_beyond{{{job}, feature="plan"}}': "0x10",
        f'loopwright_attribution_mean{{{LABELS}, feature="age"}}': "1x10",
        f'loopwright_attribution_drifted{{{LABELS}, feature="age"}}': "1x10",
    }
    who = {"severity": "warning", "loop": "churn", "feature": "age"}
    fires(
        series,
        5,
        {
            "LoopwrightSkew": [{**who, "job": "loopwright_skew"}],
            "LoopwrightAttributionDrift": [{**who, "version": "3"}],
        },
    )


def test_the_time_of_a_query_is_the_loop_s_at_its_pace(loop):
    rules = limits.group(loop, Clock(3600.0), {})["rules"]
    record = next(rule for rule in rules if rule.get("labels", {}).get("business") == "refunds")
    assert record == {
        "record": "loopwright:business:value",
        "expr": "sum(increase(refunds_total[2s]))",
        "labels": {"loop": "churn", "business": "refunds"},
    }
    drop = next(rule for rule in rules if rule.get("labels", {}).get("limit") == "max_drop")
    assert drop["expr"] == (
        'loopwright:business:value{loop="churn", business="conversion"}\n'
        "  < on (namespace, loop, business) group_left ()\n"
        '0.8 * avg by (namespace, loop, business) (loopwright:business:value{loop="churn", business="conversion"} '
        "offset 1s)"
    )
    assert "more than 0.2 of it below what it was 1h ago" in drop["annotations"]["summary"]


def test_an_alert_waits_for_as_many_looks_as_are_declared(loop):
    monitor = loop.monitor.model_copy(update={"persistence": 3})
    rules = limits.group(loop.model_copy(update={"monitor": monitor}), Clock(), {})["rules"]
    assert {
        rule["for"] for rule in rules if rule.get("labels", {}).get("business") == "conversion" and "for" in rule
    } | {rule["for"] for rule in rules if rule.get("alert") == "LoopwrightBusiness"} == {"6m", "12m"}


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("{a-b: {query: up}}", "a-b"),
        ("{a: {query: ''}}", "query"),
        ("{a: {query: up, min: 2, max: 1}}", "min 2 is above max 1"),
        ("{a: {query: up, over: 0s}}", "longer than nothing"),
        ("{a: {query: up, max_drop: 5}}", "max_drop"),
    ],
)
def test_a_metric_that_cannot_be_is_refused(churn_declaration, declared, text):
    with pytest.raises(DeclarationError, match=text):
        parse(f"{churn_declaration}monitor: {{business: {declared}}}\n")
