"""Alerts look as Alertmanager's and are delivered in order, whatever the receiver does for a while."""

import asyncio
import contextlib
import json
import time

import httpx
import pytest

from loopwright.durations import Clock
from loopwright.monitor.alerts import MOST_PENDING, Poster, body, fingerprint
from loopwright.monitor.drift import Alert, Notice, Score


def notice():
    age, plan = Alert(1.7e9, None, Score(0.31, 5.5, True)), Alert(1.7e9, 1.7e9 + 60, Score(0.1, 1, True))
    return Notice(1200, {"age": age, "plan": plan})


def test_the_body_is_that_of_alertmanager_version_4(loop):
    content = body(loop, Clock(), "3", notice(), 3600.0)
    assert json.loads(json.dumps(content)) == content
    labels = {"alertname": "LoopwrightDrift", "loop": "churn", "version": "3", "severity": "warning"}
    alerts = content.pop("alerts")
    assert content == {
        "version": "4",
        "groupKey": '{}:{alertname="LoopwrightDrift", loop="churn", version="3"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "loopwright",
        "groupLabels": {"alertname": "LoopwrightDrift", "loop": "churn", "version": "3"},
        "commonLabels": labels,
        "commonAnnotations": {"window": "1h", "description": "churn version 3: drift in age, plan."},
        "externalURL": "",
    }
    assert alerts[0] == {
        "status": "firing",
        "labels": {**labels, "feature": "age"},
        "annotations": {
            "summary": "age of churn has drifted from the training data: distance 0.310 over 1200 predictions in 1h.",
            "distance": "0.310000",
            "score": "5.500000",
            "window": "1h",
            "against": "training",
        },
        "startsAt": "2023-11-14T22:13:20+00:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": fingerprint({**labels, "feature": "age"}),
    }
    assert (alerts[1]["status"], alerts[1]["endsAt"]) == ("resolved", "2023-11-14T22:14:20+00:00")


def test_it_is_resolved_when_nothing_fires(loop):
    over = Notice(9, {"age": Alert(1.0, 2.0, Score(0.0, 0.0, False))})
    assert body(loop, Clock(), "3", over, 3600.0)["status"] == "resolved"


def test_on_a_fast_clock_times_and_window_are_the_loops(loop):
    content = body(loop, Clock(speed=3600.0, origin=1.7e9 - 1), "3", notice(), 1.0)
    assert content["alerts"][0]["startsAt"] == "2023-11-14T23:13:19+00:00"
    assert content["commonAnnotations"]["window"] == "1h"


def test_the_fingerprint_is_fnv_1a_over_sorted_labels():
    # FNV-1a, 64 bits, of b"a\xffb\xff", computed by hand from the definition.
    value = 14695981039346656037
    for byte in b"a\xffb\xff":
        value = ((value ^ byte) * 1099511628211) % 2**64
    assert fingerprint({"a": "b"}) == f"{value:016x}"
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"}) != fingerprint({"a": "2", "b": "1"})


def content(status="firing", key="g", text=""):
    return {"status": status, "groupKey": key, "commonAnnotations": {"description": text}}


def deliver(answers, *offered, token="", until=None):
    """Offer contents to a poster whose receiver answers in turn; the requests that were delivered, and outcomes."""
    requests = []

    def receiver(request):
        answer = answers.pop(0) if answers else 200
        requests.append((answer, json.loads(request.content)["commonAnnotations"]["description"], request.headers))
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    async def run():
        async with httpx.AsyncClient(transport=httpx.MockTransport(receiver)) as client:
            poster = Poster(client, "http://receiver/v1/alerts", token, first_wait=0.001)
            task = asyncio.create_task(poster.run())
            for item in offered:
                poster.offer(item)
            deadline = time.monotonic() + 5
            while poster.outcomes["sent"] + poster.outcomes["refused"] < (until or len(offered)):
                assert time.monotonic() < deadline, poster.outcomes
                await asyncio.sleep(0.002)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return poster.outcomes

    outcomes = asyncio.run(run())
    return requests, outcomes


def test_alerts_carry_the_bearer_token():
    requests, outcomes = deliver([], content(text="one"), token="secret")
    assert requests[0][2]["authorization"] == "Bearer secret"
    assert outcomes["sent"] == 1
    assert "authorization" not in deliver([], content())[0][0][2]
    (other,) = deliver([], content(), token="gehëim")[0]
    assert (b"Authorization", "Bearer gehëim".encode()) in other[2].raw


@pytest.mark.parametrize("problem", [500, 503, 429, httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
def test_a_receiver_that_fails_for_a_while_gets_everything_in_order(problem):
    requests, outcomes = deliver([problem, problem, 200], content(text="a"), content("resolved", text="b"))
    assert [text for _, text, _ in requests] == ["a", "a", "a", "b"]
    assert (outcomes["sent"], outcomes["retried"]) == (2, 2)


def test_a_receiver_that_refuses_is_not_asked_again():
    requests, outcomes = deliver([401], content(text="a"), content("resolved", text="b"))
    assert [text for _, text, _ in requests] == ["a", "b"]
    assert (outcomes["sent"], outcomes["refused"], outcomes["retried"]) == (1, 1, 0)


def test_a_repeat_replaces_the_one_that_still_waits():
    requests, _ = deliver([], content(text="old"), content(text="new"), content("resolved", text="end"), until=2)
    assert [text for _, text, _ in requests] == ["new", "end"]


def test_what_waits_is_bounded_and_the_oldest_is_dropped():
    many = [content(key=str(i), text=str(i)) for i in range(MOST_PENDING + 3)]
    requests, outcomes = deliver([], *many, until=MOST_PENDING)
    assert outcomes["dropped"] == 3
    assert [text for _, text, _ in requests] == [str(i) for i in range(3, MOST_PENDING + 3)]


def test_an_alert_for_our_trigger_says_where_its_report_will_be():
    def offered(url):
        content = {"status": "firing", "groupKey": "g", "groupLabels": {"version": "7"}, "commonAnnotations": {}}
        Poster(httpx.AsyncClient(), url).offer(content)
        return content["commonAnnotations"].get("report_url")

    assert offered("http://trigger:8080/v1/alerts") == "http://trigger:8080/v1/reports/latest?version=7"
    assert offered("http://pager/hook") is None
