"""Routes and texts, as Alertmanager's own tool reads them."""

import json
import shutil
import subprocess

import pytest
import yaml

from loopwright.durations import Clock
from loopwright.observability import alertmanager
from loopwright.trigger.causes import MAX_ALERTS

URL = "http://loopwright-trigger.models.svc:8080/v1/alerts"
needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="amtool is not on PATH (Debian: prometheus-alertmanager)"
)


def amtool(folder, *arguments):
    answer = subprocess.run(["amtool", *arguments], cwd=folder, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture
def folder(tmp_path, loop):
    content = alertmanager.config(loop, Clock(), URL)
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(content))
    (tmp_path / alertmanager.TEMPLATES).write_text(alertmanager.TEXTS)
    return tmp_path


@needs_amtool
def test_alertmanager_takes_the_configuration_and_its_texts(folder):
    assert "1 templates" in amtool(folder, "check-config", "alertmanager.yml")


@needs_amtool
@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=LoopwrightDrift", "loop=churn"], "loopwright-trigger,loopwright-people"),
        (["alertname=LoopwrightMonitorBlind", "loop=churn"], "loopwright-people"),
        (["alertname=LoopwrightDrift", "loop=prices"], "nobody"),
        (["alertname=Watchdog", "loop=churn"], "nobody"),
    ],
)
def test_what_may_start_a_run_goes_to_the_trigger_too_and_what_is_another_s_to_nobody(folder, labels, receivers):
    found = amtool(folder, "config", "routes", "test", "--config.file=alertmanager.yml", *labels)
    assert found.strip() == receivers


def test_the_token_is_read_from_a_file_and_the_trigger_is_not_sent_more_than_it_takes(loop):
    content = alertmanager.config(loop, Clock(), URL, token_file="/run/secrets/token")
    (hook,) = content["receivers"][2]["webhook_configs"]
    assert hook["http_config"]["authorization"]["credentials_file"] == "/run/secrets/token"
    assert (hook["url"], hook["max_alerts"], hook["send_resolved"]) == (URL, MAX_ALERTS, True)


def test_the_operator_s_object_says_the_same_with_the_loop_s_secret(loop):
    plain, own = alertmanager.config(loop, Clock(), URL), alertmanager.resource(loop, Clock(), URL)["spec"]
    route = plain["route"]["routes"][0]
    assert [f'{one["name"]}{one["matchType"]}"{one["value"]}"' for one in own["route"]["matchers"]] == route["matchers"]
    assert own["route"]["groupBy"] == route["group_by"]
    assert own["route"]["repeatInterval"] == route["repeat_interval"]
    assert [one["receiver"] for one in own["route"]["routes"]] == [one["receiver"] for one in route["routes"]]
    (hook,) = own["receivers"][1]["webhookConfigs"]
    assert hook["httpConfig"]["authorization"]["credentials"] == {"name": loop.serving.secret, "key": "token"}
    assert (hook["url"], hook["maxAlerts"]) == (URL, MAX_ALERTS)


def said(folder, name, status="firing"):
    labels = {"alertname": "LoopwrightDrift", "loop": "churn", "version": "3", "severity": "warning"}
    alerts = []
    for feature, against, score in (("age", {}, 4.2), ("plan", {"against": "recent"}, 1.5)):
        alerts.append(
            {
                "status": status,
                "labels": {**labels, "feature": feature, **against},
                "annotations": {
                    "summary": f"{feature} of churn has drifted.",
                    "score": f"{score:.6f}",
                    "advice": "Check the source first." if feature == "plan" else "",
                },
                "startsAt": "2026-03-01T09:30:00Z",
                "endsAt": "2026-03-01T12:00:00Z",
            }
        )
    common = {"description": "What next.", "dashboard_url": "https://grafana.example/d/drift"}
    data = {"status": status, "alerts": alerts, "commonLabels": labels, "commonAnnotations": common}
    (folder / "data.json").write_text(json.dumps(data))
    return amtool(
        folder, "template", "render", "--template.glob=*.tmpl", "--template.data=data.json",
        f'--template.text={{{{ template "{name}" . }}}}',
    ).strip()  # fmt: skip


@needs_amtool
def test_people_read_what_drifted_by_how_much_how_sure_since_when_and_where_to_look(folder):
    assert said(folder, "loopwright.title") == "churn version 3: drift in age, plan (against recent traffic)"
    assert said(folder, "loopwright.text").splitlines() == [
        "- age of churn has drifted. 4.2 times what chance explains by the budget; since 2026-03-01 09:30 UTC.",
        "- plan of churn has drifted. 1.5 times what chance explains by the budget; since 2026-03-01 09:30 UTC. "
        "Check the source first.",
        "",
        "What next.",
        "dashboard_url: https://grafana.example/d/drift",
    ]


@needs_amtool
def test_people_read_when_it_is_over(folder):
    title = said(folder, "loopwright.title", "resolved")
    assert title == "Over: churn version 3: drift in age, plan (against recent traffic)"
    assert "since 2026-03-01 09:30 UTC, over since 2026-03-01 12:00 UTC." in said(folder, "loopwright.text", "resolved")
