"""KServe's events over HTTP: acknowledged, counted with ours, and refused when they are not to be trusted."""

import asyncio
import base64
import contextlib
import json

import httpx
import msgspec
import pytest

from loopwright.durations import Clock
from loopwright.monitor.app import GREATEST_BODY, build
from loopwright.monitor.cloudevents import REQUEST, RESPONSE
from loopwright.monitor.receiver import Receiver
from loopwright.monitor.state import Monitor

NOW = 1.8e9
TYPES = {"request": REQUEST, "response": RESPONSE}
REQUEST_BODY, RESPONSE_BODY = b'{"instances": [[40, "basic"]]}', b'{"predictions": [0.25]}'


class Served:
    """The application, called without a network; what was acknowledged is counted at its end."""

    def __init__(self, loop, profile, token="", password=""):
        self.monitor = Monitor(loop, Clock(), lambda content: None)
        self.monitor.counters.put("1", profile, NOW)
        receiver = Receiver(self.monitor, lambda: NOW, token=token, password=password)
        self.app = build(self.monitor, token=token, now=lambda: NOW, receiver=receiver)

    def call(self, *requests, until=None):
        async def run():
            transport = httpx.ASGITransport(self.app)
            async with contextlib.AsyncExitStack() as stack:
                client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://m"))
                if until:
                    await stack.enter_async_context(self.app.router.lifespan_context(self.app))
                answers = [await client.request(method, path, **more) for method, path, more in requests]
                async with asyncio.timeout(10):
                    while until and not until():
                        await asyncio.sleep(0.005)
                return answers

        return asyncio.run(run())

    def rejected(self):
        return {reason: number for reason, number in self.monitor.rejected.items() if number}

    def counted(self):
        return self.monitor.counters.versions["1"].events


@pytest.fixture
def served(loop, profile):
    return Served(loop, profile)


def event(half, body, name="a", path="/v1/cloudevents/1", **headers):
    attributes = {"ce-id": name, "ce-type": TYPES[half], "ce-specversion": "1.0", "content-type": "application/json"}
    return "POST", path, {"content": body, "headers": attributes | headers}


def pair(name="a", **more):
    return event("request", REQUEST_BODY, name, **more), event("response", RESPONSE_BODY, name, **more)


def test_events_are_acknowledged_and_counted_later_like_our_own(served):
    assert [answer.status_code for answer in served.call(*pair("a"), *pair("b"))] == [200] * 4
    assert served.counted() == 0
    served.call(*pair("c"), until=lambda: served.counted() == 3)
    totals = served.monitor.counters.versions["1"].totals()
    assert totals.features["plan"].sum() == totals.prediction.sum() == 3
    text = served.call(("GET", "/metrics", {}))[0].text
    assert 'loopwright_outcomes_total{loop="churn",version="1",outcome="answered"} 3\n' in text
    assert 'loopwright_cloudevents_total{half="response"} 3\n' in text
    assert "loopwright_cloudevents_pending{} 0\n" in text


def test_labels_find_predictions_of_events_that_were_only_acknowledged(served):
    labels = {"labels": [{"id": "a", "label": "Yes"}]}
    answer = served.call(*pair("a"), ("POST", "/v1/labels", {"json": labels}))[-1]
    assert answer.json() == {"joined": 1, "unknown": 0, "repeated": 0, "contradicting": 0}


def test_a_broker_may_send_them_together(served):
    content = [
        {"id": "a", "type": TYPES[half], "specversion": "1.0", "data": json.loads(body)}
        for half, body in (("request", REQUEST_BODY), ("response", RESPONSE_BODY))
    ]
    headers = {"content-type": "application/cloudevents-batch+json"}
    request = ("POST", "/v1/cloudevents/1", {"content": json.dumps(content), "headers": headers})
    served.call(request, until=lambda: served.counted() == 1)


def test_without_a_version_in_the_path_the_services_name_is_the_version(loop, profile):
    served = Served(loop, profile)
    served.call(*pair(path="/v1/cloudevents", **{"ce-inferenceservicename": "1"}), until=lambda: served.counted() == 1)


def test_a_broken_body_is_acknowledged_and_counted_as_broken(served):
    sent = (event("request", REQUEST_BODY), event("response", b"{broken"))
    answers = served.call(*sent, until=lambda: served.monitor.rejected["broken"] == 1)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert served.counted() == 0


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (event("request", b"\0" * (GREATEST_BODY + 1)), 413, "too_large"),
        (event("request", b"\0" * 50_000_000), 413, "too_large"),
        (event("request", b"{}", name=""), 400, "broken"),
        (event("request", b"{", **{"content-type": "application/cloudevents+json"}), 400, "broken"),
        (event("request", b"{}", path="/v1/cloudevents/../x y"), 404, None),
        (event("request", b"{}", origin="http://evil"), 403, "unauthorized"),
    ],
)
def test_what_is_no_event_is_refused_and_counted(served, request_, status, reason):
    assert served.call(request_)[0].status_code == status
    assert served.rejected() == ({reason: 1} if reason else {})


def test_a_flood_is_refused_beyond_what_can_wait_and_counted(served):
    served.monitor.intake.most = 3 * (len(REQUEST_BODY) + 800)
    answers = served.call(*(event("request", REQUEST_BODY, str(i)) for i in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 3 + [503] * 2
    assert served.rejected() == {"overflow": 2}


def basic(password):
    return "Basic " + base64.b64encode(f"kserve:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Basic %%%", 401),
        (basic("secret"), 401),
        (basic(""), 401),
        (basic("pass"), 200),
        ("Bearer secret", 200),
    ],
)
def test_events_need_the_token_or_the_password_for_events(loop, profile, header, status):
    served = Served(loop, profile, token="secret", password="pass")
    headers = {"authorization": header} if header else {}
    assert served.call(event("request", REQUEST_BODY, **headers))[0].status_code == status
    assert served.rejected() == ({"unauthorized": 1} if status == 401 else {})


def test_without_a_password_none_is_taken_and_it_is_good_for_nothing_else(loop, profile):
    closed = Served(loop, profile, token="secret")
    assert closed.call(event("request", REQUEST_BODY, authorization=basic("")))[0].status_code == 401
    served = Served(loop, profile, token="secret", password="pass")
    headers = {"authorization": basic("pass")}
    for method, path in (("POST", "/v1/events"), ("POST", "/v1/labels"), ("PUT", "/v1/profiles/2")):
        assert served.call((method, path, {"content": b"{}", "headers": headers}))[0].status_code == 401


def test_our_own_events_of_last_month_are_refused_and_clocks_that_are_ahead_counted(served, message):
    def sent(at):
        return "POST", "/v1/events", {"content": msgspec.msgpack.encode(message(4, at=at))}

    answers = served.call(sent(NOW - 30 * 86400), sent(NOW - 60), sent(NOW + 3600), until=lambda: served.counted() == 8)
    assert [answer.status_code for answer in answers] == [400, 202, 202]
    assert served.rejected() == {"late": 1}
    assert "loopwright_events_ahead_total{} 4\n" in served.call(("GET", "/metrics", {}))[0].text
