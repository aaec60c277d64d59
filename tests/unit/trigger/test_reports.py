import base64
import sys

import pytest

from loopwright.trigger.reports import Reporter, find


@pytest.fixture
def reported(bench):
    """Alarms of versions 1, 2, 1, and the pages of the first two."""

    def page(version, alarm):
        name = f"reports/alarm-{alarm}.html"
        (bench.folder / "reports").mkdir(exist_ok=True)
        (bench.folder / name).write_text(f"<p>alarm {alarm}</p>")
        bench.ledger.append("churn", "reported", {"report": name, "version": version}, cause=alarm)

    alarms = [bench.ledger.append("churn", "alarm", {}).number for _ in range(3)]
    page("1", alarms[0])
    page("2", alarms[1])
    return alarms


def test_a_report_is_found_by_its_alarm_or_as_the_newest(bench, reported):
    def name(alarm, version=None):
        path = find(bench.ledger.entries("churn"), bench.folder, alarm, version)
        return path.name if path else None

    assert name(str(reported[0])) == f"alarm-{reported[0]}.html"
    assert name(str(reported[2])) is None
    assert name("latest") == f"alarm-{reported[1]}.html"
    assert name("latest", "1") == f"alarm-{reported[0]}.html"
    assert name("latest", "9") is None
    (bench.folder / "reports" / f"alarm-{reported[0]}.html").unlink()
    assert name(str(reported[0])) is None


def test_a_new_alarm_is_reported_once_and_its_repeats_and_events_are_not(bench, body, loop):
    from loopwright.trigger.causes import read

    made = []
    trigger = bench.trigger(loop(), report=lambda entry: made.append(entry.number))
    for group in ("g1", "g1", "g2"):
        trigger.receive(read(body(group=group), "churn"))
    assert made == [entry.number for entry in bench.of("alarm")]


def test_each_report_is_made_by_a_command_and_one_that_fails_is_logged(bench, wait, tmp_path, caplog):
    code = "import os, sys; print('no rows', file=sys.stderr) or sys.exit(3) if sys.argv[1] == '1' else "
    code += "open(os.environ['WHERE'] + sys.argv[1], 'w').close()"
    environment = {"WHERE": str(tmp_path / "made-")}
    reporter = Reporter(lambda alarm: [sys.executable, "-c", code, str(alarm)], environment)
    for _ in range(2):
        reporter.offer(bench.ledger.append("churn", "alarm", {}))
    wait(lambda: (tmp_path / "made-2").exists())
    assert "the report of alarm 1 is not made: no rows" in caplog.text


def test_a_command_that_is_not_there_is_logged(bench, wait, caplog):
    reporter = Reporter(lambda alarm: ["/no/such/program"], {})
    reporter.offer(bench.ledger.append("churn", "alarm", {}))
    wait(lambda: "the report of alarm 1 is not made" in caplog.text)


def password(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (password("ada:wrong"), 401),
        ({"Authorization": "Basic !"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        (password("ada:a secret"), 200),
        ({"Authorization": "Bearer a secret"}, 200),
    ],
)
def test_a_page_is_given_to_a_browser_that_has_the_token_as_its_password(serve, reported, headers, status):
    client = serve(token="a secret")
    answer = client.get(f"/v1/reports/{reported[0]}", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Basic")
        return
    assert answer.text == f"<p>alarm {reported[0]}</p>"
    assert answer.headers["content-security-policy"] == "sandbox allow-scripts"
    assert client.get("/v1/reports/999", headers=headers).status_code == 404
    # A password opens pages, and nothing that writes.
    if "Basic" in headers["Authorization"]:
        assert client.post("/v1/runs", json={"reason": "x", "by": "y"}, headers=headers).status_code == 401
