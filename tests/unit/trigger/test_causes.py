import json
from datetime import datetime

import pytest

from loopwright.durations import Clock
from loopwright.monitor.alerts import body as monitors_body
from loopwright.monitor.drift import Alert, Notice, Score
from loopwright.trigger.causes import MAX_BYTES, BodyError, Received, read


def change(body, **alert):
    content = json.loads(body)
    content["alerts"][0].update(alert)
    return json.dumps(content).encode()


def test_a_firing_group_is_one_cause_with_its_features(body):
    received = read(body("age", "income"), "churn")
    (cause,) = received.causes
    assert cause.source == "drift"
    assert cause.group == "g1"
    assert dict(cause.facts) == {
        "source": "drift",
        "group": "g1",
        "version": "1",
        "features": [
            {"name": "age", "distance": 0.31, "score": 4.5},
            {"name": "income", "distance": 0.31, "score": 4.5},
        ],
        "starts_at": "2025-03-01T11:00:00+00:00",
        "window_seconds": 3600.0,
        "summary": "age drifted",
    }
    assert received.resolved == received.ignored == ()


def test_repeats_of_one_episode_have_one_key(body):
    first = read(body("age"), "churn").causes[0].key
    grown = json.loads(body("age"))
    later = json.loads(body("income", starts="2025-03-01T11:30:00Z"))
    grown["alerts"] += later["alerts"]
    assert read(json.dumps(grown).encode(), "churn").causes[0].key == first
    assert read(body("age", starts="2025-03-01T12:00:00+01:00"), "churn").causes[0].key == first


def test_what_the_monitor_sends_is_read(loop):
    age, plan = Score(0.31, 4.5, drifted=True), Score(0.2, 2.0, drifted=True)

    def sent(ended):
        notice = Notice(800, {"age": Alert(1000.0, ended, age), "plan": Alert(900.0, ended, plan)})
        return json.dumps(monitors_body(loop(), Clock(), "3", notice, 3600.0)).encode()

    (cause,) = read(sent(None), "churn").causes
    assert (cause.source, cause.facts["version"], cause.facts["window_seconds"]) == ("drift", "3", 3600.0)
    assert cause.facts["starts_at"] == "1970-01-01T00:15:00+00:00"
    assert cause.facts["features"] == [
        {"name": "age", "distance": 0.31, "score": 4.5, "against": "training"},
        {"name": "plan", "distance": 0.2, "score": 2.0, "against": "training"},
    ]
    assert read(sent(2000.0), "churn").resolved == (("drift", cause.group),)


def test_another_start_or_group_or_source_is_another_episode(body):
    bodies = [
        body("age"),
        body("age", starts="2025-03-02T11:00:00Z"),
        body("age", group="g2"),
        body("age", alertname="LoopwrightPerformance"),
    ]
    assert len({read(each, "churn").causes[0].key for each in bodies}) == 4


def test_a_key_fits_the_ledger_however_long_the_group_is(body):
    assert len(read(body("age", group="g" * 4000), "churn").causes[0].key) < 100


def test_the_earliest_firing_alert_begins_the_episode(body):
    content = json.loads(body("age", "income", "tenure"))
    content["alerts"][0].update(status="resolved", startsAt="2025-01-01T00:00:00Z")
    content["alerts"][1].update(startsAt="2025-03-01T10:00:00Z")
    (cause,) = read(json.dumps(content).encode(), "churn").causes
    assert cause.facts["starts_at"] == "2025-03-01T10:00:00+00:00"
    assert [feature["name"] for feature in cause.facts["features"]] == ["income", "tenure"]


def test_nanoseconds_as_prometheus_writes_them_are_read(body):
    (cause,) = read(body("age", starts="2025-03-01T11:00:00.123456789Z"), "churn").causes
    assert datetime.fromisoformat(cause.facts["starts_at"]).microsecond == 123456


def test_resolved_alerts_are_no_cause_and_say_what_is_over(body):
    assert read(body("age", status="resolved"), "churn") == Received(resolved=(("drift", "g1"),))


def test_a_truncated_list_without_firing_alerts_does_not_say_that_the_group_is_over(body):
    content = json.loads(body("age", status="resolved", truncatedAlerts=3))
    content["status"] = "firing"
    assert read(json.dumps(content).encode(), "churn") == Received()
    content["status"] = "resolved"
    assert read(json.dumps(content).encode(), "churn").resolved == (("drift", "g1"),)


def test_alerts_of_other_loops_are_ignored_with_a_reason(body):
    content = json.loads(body("age", "income"))
    content["alerts"][1]["labels"]["loop"] = "fraud"
    received = read(json.dumps(content).encode(), "churn")
    assert [f["name"] for f in received.causes[0].facts["features"]] == ["age"]
    (ignored,) = received.ignored
    assert (ignored.loop, ignored.alerts) == ("fraud", 1)
    assert ignored.reason == "1 alert is of the loop 'fraud'; this trigger is for 'churn'"


def test_alerts_without_a_loop_are_ignored_with_a_reason(body):
    content = json.loads(body("age", "income"))
    for alert in content["alerts"]:
        del alert["labels"]["loop"]
    received = read(json.dumps(content).encode(), "churn")
    assert received.causes == ()
    assert received.ignored[0].reason == "2 alerts are without the label `loop`; this trigger is for 'churn'"


def test_an_alert_of_another_name_is_its_own_source(body):
    assert read(body("age", alertname="DiskFull"), "churn").causes[0].source == "DiskFull"


@pytest.mark.parametrize("text", ["NaN", "+Inf", "n/a", ""])
def test_a_number_that_is_none_is_null(body, text):
    sent = change(body("age"), annotations={"distance": text, "score": text, "window": text})
    (cause,) = read(sent, "churn").causes
    assert cause.facts["features"] == [{"name": "age", "distance": None, "score": None}]
    assert cause.facts["window_seconds"] is None
    json.dumps(dict(cause.facts), allow_nan=False)


def test_long_texts_are_cut_for_the_ledger(body):
    (cause,) = read(change(body("age"), annotations={"summary": "s" * 4000}), "churn").causes
    assert len(cause.facts["summary"]) == 500


def test_two_thousand_alerts_are_read_and_one_more_is_refused(body):
    names = [f"f{number}" for number in range(2000)]
    assert read(body(*names), "churn").causes[0].facts["features_more"] == 1950
    with pytest.raises(BodyError, match=r"2001 alerts; expected at most 2000\. Set max_alerts") as refused:
        read(body(*names, "one more"), "churn")
    assert refused.value.status == 413


def test_of_many_features_the_odd_and_then_the_farthest_are_kept(body):
    content = json.loads(body(*(f"f{number}" for number in range(60))))
    for number, alert in enumerate(content["alerts"]):
        alert["annotations"]["distance"] = str(number / 100)
    content["alerts"][3]["annotations"]["missing"] = "0.4"
    facts = read(json.dumps(content).encode(), "churn").causes[0].facts
    assert [feature["name"] for feature in facts["features"][:3]] == ["f3", "f59", "f58"]
    assert facts["features"][0]["odd"] == {"missing": 0.4}
    assert facts["features_more"] == 10


def test_an_alarm_of_the_performance_is_a_source_of_its_own(body):
    (cause,) = read(body("", alertname="LoopwrightPerformance"), "churn").causes
    assert (cause.source, cause.facts["features"]) == ("performance", [])


def test_a_body_above_four_mebibytes_is_refused():
    with pytest.raises(BodyError, match="at most 4194304") as refused:
        read(b" " * (MAX_BYTES + 1), "churn")
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b'"\\ud800"', "the body is not JSON"),
        (b"[]", "the body: input should be an object"),
        (b"{}", "version: field required"),
    ],
)
def test_what_is_no_webhook_body_is_refused_with_its_place(sent, message):
    with pytest.raises(BodyError) as refused:
        read(sent, "churn")
    assert refused.value.status == 400
    assert str(refused.value).startswith(message)
    assert "expected a webhook body of Alertmanager, version 4" in str(refused.value)


@pytest.mark.parametrize(
    ("alert", "place"),
    [
        ({"startsAt": "yesterday"}, "alerts.0.startsAt"),
        ({"startsAt": "2025-03-01T11:00:00"}, "alerts.0.startsAt"),
        ({"status": "burning"}, "alerts.0.status"),
        ({"labels": {"loop": 7}}, "alerts.0.labels.loop"),
        ({"labels": {f"l{n}": "" for n in range(65)}}, "alerts.0.labels"),
        ({"annotations": {"summary": "s" * 5000}}, "alerts.0.annotations.summary"),
    ],
)
def test_a_wrong_alert_is_refused_with_its_place(body, alert, place):
    with pytest.raises(BodyError, match=f"^{place}: "):
        read(change(body("age"), **alert), "churn")


@pytest.mark.parametrize("top", [{"version": "3"}, {"groupKey": ""}, {"alerts": []}, {"truncatedAlerts": -1}])
def test_a_wrong_body_is_refused(body, top):
    content = {**json.loads(body("age")), **top}
    with pytest.raises(BodyError, match=f"^{next(iter(top))}: "):
        read(json.dumps(content).encode(), "churn")


def test_a_cause_says_what_each_feature_has_drifted_from(body):
    content = json.loads(body("age", "income", "tenure"))
    recent, training, _ = content["alerts"]
    # The rules' label and the monitor's annotation say the same; a rule of somebody's own says neither.
    recent["labels"]["against"] = "recent"
    training["annotations"]["against"] = "training"
    (cause,) = read(json.dumps(content).encode(), "churn").causes
    features = {feature["name"]: feature.get("against") for feature in cause.facts["features"]}
    assert features == {"age": "recent", "income": "training", "tenure": None}
