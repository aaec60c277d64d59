"""What `loopwright render --prometheus` writes."""

import shutil
import subprocess

import pytest
import yaml

from loopwright.durations import Clock
from loopwright.observability import files


def test_the_operator_s_rules_are_those_of_the_file(loop):
    texts = files.files(loop, Clock(), "models")
    assert yaml.safe_load(texts[files.RULE_OBJECT])["spec"] == yaml.safe_load(texts[files.RULES])


def test_expressions_are_written_line_by_line(loop):
    text = files.files(loop, Clock(), "models")[files.RULES]
    assert '\n      loopwright:drift:distance{loop="churn"} and on (' in text


def test_a_prediction_beside_a_feature_of_that_name_has_another(loop):
    text = files.files(loop, Clock(), "models", prediction="prediction_")[files.RULES]
    assert ', "feature", "prediction_", "", ""))' in text


def test_links_are_annotations_of_every_alert(loop):
    links = {"dashboard_url": "https://grafana.example/d/drift"}
    groups = yaml.safe_load(files.files(loop, Clock(), "models", links=links)[files.RULES])["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert {rule["annotations"]["dashboard_url"] for rule in alerts} == {links["dashboard_url"]}


def test_one_agreeing_look_is_enough_where_that_is_declared(loop):
    once = loop.model_copy(update={"monitor": loop.monitor.model_copy(update={"persistence": 1})})
    (alert,) = [rule for rule in files.rules.groups(once, Clock())[0]["rules"] if "alert" in rule]
    assert "for" not in alert
    assert "keep_firing_for" not in alert


@pytest.mark.parametrize(
    ("declared", "url"),
    [
        ("http://loopwright-trigger:8080/v1/alerts", "http://loopwright-trigger.models.svc:8080/v1/alerts"),
        ("", "http://loopwright-trigger.models.svc:8080/v1/alerts"),
        ("https://trigger.example/v1/alerts", "https://trigger.example/v1/alerts"),
        ("http://[::1]:8080/v1/alerts", "http://[::1]:8080/v1/alerts"),
    ],
)
def test_alertmanager_reaches_the_trigger_from_its_own_namespace(loop, declared, url):
    serving = loop.serving.model_copy(update={"alerts": declared})
    assert files.trigger(loop.model_copy(update={"serving": serving}), "models") == url


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: prometheus)")
@pytest.mark.parametrize("speed", [1.0, 360.0, 86_400.0])
def test_prometheus_takes_the_rules_at_every_pace(loop, tmp_path, speed):
    (tmp_path / "rules.yml").write_text(files.files(loop, Clock(speed), "models")[files.RULES])
    answer = subprocess.run(["promtool", "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
