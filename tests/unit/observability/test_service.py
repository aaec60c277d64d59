"""Alerts about the monitoring itself, as promtool evaluates them: each fires where something is wrong, not without."""

import json
import shutil
import subprocess

import pytest
import yaml

from loopwright.durations import Clock
from loopwright.observability import rules, service

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: prometheus)")

VERSION, POD = 'loop="churn",version="1"', 'job="models",instance="a:9090"'
CALM = {
    f'loopwright_monitor_info{{loop="churn",{POD}}}': "1x90",
    f"up{{{POD}}}": "1x90",
    f"loopwright_predicted_rows_total{{{VERSION}}}": "0+100x90",
    f'loopwright_events_dropped_total{{{VERSION},reason="full"}}': "0x90",
    f"loopwright_events_total{{{VERSION},{POD}}}": "0+100x90",
    f'loopwright_events_rejected_total{{reason="broken",{POD}}}': "0+0.5x90",
    f'loopwright_cloudevents_total{{half="request",{POD}}}': "0+50x90",
    f'loopwright_cloudevents_total{{half="response",{POD}}}': "0+50x90",
    f'loopwright_cloudevents_unpaired_total{{half="request",{POD}}}': "0+0.5x90",
    f'loopwright_archive_rows_total{{loop="churn",outcome="stored",{POD}}}': "0+100x90",
    f'loopwright_archive_rows_total{{loop="churn",outcome="spool_full",{POD}}}': "0x90",
    f'loopwright_archive_failed_puts_total{{loop="churn",{POD}}}': "0x20 1x70",
    f'loopwright_archive_spool_bytes{{loop="churn",{POD}}}': "0x90",
    f'loopwright_alerts_total{{outcome="sent",{POD}}}': "0+1x90",
    f'loopwright_alerts_total{{outcome="refused",{POD}}}': "0x90",
    # Another loop's monitor, of which everything is wrong.
    'loopwright_monitor_info{loop="prices",job="models",instance="b:9090"}': "1x90",
    'up{job="models",instance="b:9090"}': "0x90",
    'loopwright_events_rejected_total{reason="broken",job="models",instance="b:9090"}': "0+90x90",
    'loopwright_alerts_total{outcome="refused",job="models",instance="b:9090"}': "0+90x90",
}
# What is wrong from minute 60 on, and the labels of what is said of it beside the loop's.
WRONG = {
    "LoopwrightEventsDropped": (
        {f'loopwright_events_dropped_total{{{VERSION},reason="full"}}': "0x60 0+10x30"},
        {"version": "1"},
    ),
    "LoopwrightMonitorBlind": (
        {
            f"loopwright_events_total{{{VERSION},{POD}}}": "0+100x20 2000x70",
            f'loopwright_events_rejected_total{{reason="broken",{POD}}}': "0x90",
        },
        {"version": "1"},
    ),
    "LoopwrightEventsRejected": (
        {f'loopwright_events_rejected_total{{reason="late",{POD}}}': "0x60 0+10x30"},
        {"reason": "late"},
    ),
    "LoopwrightEventsUnpaired": (
        {f'loopwright_cloudevents_unpaired_total{{half="response",{POD}}}': "0x60 0+9x30"},
        {},
    ),
    "LoopwrightArchiveLost": (
        {f'loopwright_archive_rows_total{{loop="churn",outcome="spool_full",{POD}}}': "0x60 0+10x30"},
        {"outcome": "spool_full"},
    ),
    "LoopwrightArchiveWaiting": (
        {
            f'loopwright_archive_spool_bytes{{loop="churn",{POD}}}': "0x60 5000x30",
            f'loopwright_archive_failed_puts_total{{loop="churn",{POD}}}': "1x60 1+1x30",
        },
        {},
    ),
    "LoopwrightAlertsUndelivered": ({f'loopwright_alerts_total{{outcome="refused",{POD}}}': "0x60 0+1x30"}, {}),
    "LoopwrightMonitorDown": ({f"up{{{POD}}}": "1x60 0x30"}, {}),
}


def firing(tmp_path, loop, series, expected, minute):
    """That these alerts of the churn loop fire at a minute, each with its labels, and no other."""
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": rules.groups(loop, Clock())[1:2]}))
    samples = [
        {"labels": f"{{{','.join(f'{key}={json.dumps(value)}' for key, value in one.items())}}}", "value": 1}
        for one in expected
    ]
    kept = "alertname, loop, version, reason, outcome, severity"
    query = f'sum by ({kept}) (ALERTS{{alertstate="firing",alertname=~"Loopwright.*"}})'
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": f"{minute}m", "exp_samples": samples}],
    }
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "3m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(content))
    answer = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[:4000]


def test_nothing_is_said_of_a_loop_that_is_well_whatever_another_s_monitor_says(tmp_path, loop):
    firing(tmp_path, loop, CALM, [], 90)


@pytest.mark.parametrize("name", service.ALERTS)
def test_what_is_wrong_is_said_and_nothing_else(tmp_path, loop, name):
    changed, labels = WRONG[name]
    told = {"alertname": name, "loop": "churn", "severity": "warning", **labels}
    firing(tmp_path, loop, CALM | changed, [told], 90)


def test_a_monitor_that_knows_no_version_is_heard_of_as_well(tmp_path, loop):
    unknown = {f'loopwright_events_rejected_total{{reason="unknown_version",{POD}}}': "0+10x90"}
    series = {name: values for name, values in CALM.items() if "loopwright_events_total" not in name}
    series = {name: values for name, values in series.items() if "predicted_rows" not in name}
    told = {"alertname": "LoopwrightEventsRejected", "loop": "churn", "severity": "warning"}
    broken = told | {"reason": "broken"}
    firing(tmp_path, loop, series | unknown, [broken, told | {"reason": "unknown_version"}], 90)
