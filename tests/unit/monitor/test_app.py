"""Every endpoint's answers, for good and for bad input of every kind."""

import asyncio
import contextlib
import math

import httpx
import msgspec
import pytest

from loopwright.durations import Clock
from loopwright.monitor.app import GREATEST_BODY, build
from loopwright.monitor.state import Monitor


class Served:
    """The application, called without a network; its background jobs run only inside `running`."""

    def __init__(self, loop, token="", **options):
        self.monitor = Monitor(loop, Clock(), lambda content: None, **options)
        self.app = build(self.monitor, token=token, now=lambda: 1000.0)

    def call(self, method, path, background=False, until=None, **options):
        """One request; with `until`, the background jobs run until it holds."""

        async def run():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with contextlib.AsyncExitStack() as stack:
                if background or until:
                    await stack.enter_async_context(self.app.router.lifespan_context(self.app))
                    # The jobs begin, and find nothing to do yet.
                    await asyncio.sleep(0)
                client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://m"))
                answer = await client.request(method, path, **options)
                async with asyncio.timeout(10):
                    while until and not until():
                        await asyncio.sleep(0.005)
                return answer

        return asyncio.run(run())

    def put(self, profile, version="1"):
        return self.call("PUT", f"/v1/profiles/{version}", content=profile.to_json())

    def events(self, content, **options):
        body = content if isinstance(content, bytes) else msgspec.msgpack.encode(content)
        return self.call("POST", "/v1/events", content=body, **options)

    def rejected(self):
        return {reason: number for reason, number in self.monitor.rejected.items() if number}


@pytest.fixture
def served(loop, profile):
    made = Served(loop)
    assert made.put(profile).status_code == 201
    return made


def test_a_profile_is_new_once_and_refused_when_it_is_another(served, profile, loop):
    assert served.put(profile).status_code == 200
    changed = profile.to_json().replace('"rows":5000', '"rows":5001')
    again = served.call("PUT", "/v1/profiles/1", content=changed)
    assert again.status_code == 409
    assert "another profile" in again.json()["error"]
    assert served.call("PUT", "/v1/profiles/2", content=changed).status_code == 201


@pytest.mark.parametrize(
    ("version", "change", "text"),
    [
        ("1 2", None, "is no version"),
        ("9" * 65, None, "is no version"),
        ("3", ('"format":1', '"format":7'), "format 1: found 7"),
        ("3", ('"churn"', '"fraud"'), "classification of fraud; expected classification of churn"),
        ("3", ('"classification"', '"regression"'), "regression of churn; expected"),
        ("3", ("{", ""), "not a profile"),
        ("3", ('"counts":[', '"counts":[[],'), "not a profile"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused(served, profile, version, change, text):
    content = profile.to_json().replace(*change, 1) if change else profile.to_json()
    answer = served.call("PUT", f"/v1/profiles/{version}", content=content)
    assert answer.status_code == 400
    assert text in answer.json()["error"]


def test_events_are_acknowledged_before_they_are_counted_and_counted_at_the_latest_at_the_end(served, message):
    answer = served.events(message(40))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 40})
    assert served.monitor.counters.versions["1"].events == 0
    assert served.events(message(2), background=True).status_code == 202
    assert served.monitor.counters.versions["1"].events == 42
    served.events(message(3), until=lambda: served.monitor.counters.versions["1"].events == 45)


def test_numbers_that_are_none_or_infinite_are_counted_where_they_belong(served, message):
    content = message(4)
    content["columns"]["age"] = [math.nan, None, math.inf, -math.inf]
    content["predictions"][0] = math.nan
    assert served.events(content, background=True).status_code == 202
    totals = served.monitor.counters.versions["1"].totals()
    assert (totals.features["age"][0], totals.features["age"][1], totals.features["age"][-1]) == (2, 1, 1)
    assert totals.prediction[0] == 1


def test_unknown_columns_are_ignored_and_counted(served, message):
    content = message(2)
    content["columns"]["hat"] = ["a", "b"]
    assert served.events(content, background=True).status_code == 202
    text = served.call("GET", "/metrics").text
    assert 'loopwright_events_unknown_columns_total{loop="churn",version="1"} 1\n' in text
    assert 'feature="hat"' not in text


@pytest.mark.parametrize(
    ("change", "status", "text", "reason"),
    [
        (lambda c: b"\x93broken", 400, "not a message of events", "broken"),
        (lambda c: b"", 400, "not a message of events", "broken"),
        (lambda c: {**c, "columns": {"plan": c["columns"]["plan"]}}, 400, "the column age is missing", "columns"),
        (lambda c: {**c, "ids": ["x"]}, 400, "1 ids for 4 predictions", "columns"),
        (lambda c: {**c, "predictions": [0.5]}, 400, "4 ids for 1 predictions", "columns"),
        (lambda c: {**c, "version": "9"}, 409, "PUT /v1/profiles", "unknown_version"),
        (lambda c: b"\0" * (GREATEST_BODY + 1), 413, "larger than", "too_large"),
        (lambda c: b"\0" * 50_000_000, 413, "larger than", "too_large"),
    ],
)
def test_events_that_cannot_be_counted_are_refused_and_counted_by_reason(served, message, change, status, text, reason):
    answer = served.events(change(message()))
    assert answer.status_code == status
    assert text in answer.json()["error"]
    assert served.rejected() == {reason: 1}
    assert f'loopwright_events_rejected_total{{reason="{reason}"}} 1\n' in served.call("GET", "/metrics").text


def test_a_declared_length_beyond_all_bounds_is_refused_unread(served):
    answer = served.call("POST", "/v1/events", content=b"x", headers={"content-length": str(10**12)})
    assert answer.status_code == 413


def test_more_events_than_can_wait_are_answered_503_and_counted(loop, profile, message):
    served = Served(loop, waiting=10)
    served.put(profile)
    assert served.events(message(8)).status_code == 202
    answer = served.events(message(3))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert served.rejected() == {"overflow": 1}
    assert served.events(message(2)).status_code == 202
    assert served.events(message(1)).status_code == 503
    served.call("GET", "/healthz", until=lambda: served.monitor.counters.versions["1"].events == 10)
    assert served.events(message(10)).status_code == 202


def label(served, *labels, **options):
    content = {"labels": [{"id": name, "label": value} for name, value in labels]}
    return served.call("POST", "/v1/labels", json=content, **options)


def test_labels_find_predictions_that_were_only_acknowledged(served, message):
    served.events(message(3, predictions=[0.9, 0.2, 0.5]))
    first = label(served, ("p0", "Yes"), ("p1", "No"), ("q", "No")).json()
    assert first == {"joined": 2, "unknown": 1, "repeated": 0, "contradicting": 0}
    again = label(served, ("p0", "Yes"), ("p1", "Yes")).json()
    assert again == {"joined": 0, "unknown": 0, "repeated": 2, "contradicting": 1}
    text = served.call("GET", "/metrics").text
    assert 'loopwright_label_loss_count{loop="churn",version="1"} 2\n' in text
    assert 'loopwright_label_loss_sum{loop="churn",version="1"} 0.0' in text


def test_a_label_the_loop_does_not_have_is_refused(served, message):
    served.events(message(3))
    answer = label(served, ("p0", "Perhaps"))
    assert answer.status_code == 400
    assert answer.json()["error"] == "the label of p0 is 'Perhaps'; expected one of No, Yes"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"labels":[{"id":1,"label":"Yes"}]}', b'{"labels":[{"id":"a"}]}'])
def test_labels_that_cannot_be_read_are_refused(served, body):
    answer = served.call("POST", "/v1/labels", content=body)
    assert answer.status_code == 400
    assert "not a message of labels" in answer.json()["error"]


@pytest.mark.parametrize("header", [None, "Bearer wrong", "secret", "Bearer sécret"])
def test_labels_need_the_token_if_there_is_one(loop, profile, header):
    served = Served(loop, token="secret")
    headers = {} if header is None else {"Authorization": header.encode()}
    assert label(served, ("a", "Yes"), headers=headers).status_code == 401
    assert label(served, ("a", "Yes"), headers={"Authorization": "Bearer secret"}).status_code == 200


def writes(profile, message):
    """Each request that changes something: method, path, body and the status that it gets when it is taken."""
    return [
        ("PUT", "/v1/profiles/1", profile.to_json().encode(), 201),
        ("POST", "/v1/events", msgspec.msgpack.encode(message(2)), 202),
        ("POST", "/v1/labels", b'{"labels":[{"id":"p0","label":"Yes"}]}', 200),
    ]


@pytest.mark.parametrize("header", [None, b"Bearer wrong", b"gehe\xc3\xabim", b"Bearer gehe\xc3\xabim2"])
def test_nobody_writes_without_the_token_and_who_has_it_does(loop, profile, message, header):
    served = Served(loop, token="gehëim")
    headers = {} if header is None else {"Authorization": header}
    for method, path, body, _ in writes(profile, message):
        answer = served.call(method, path, content=body, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="loopwright"'), path
        assert answer.json() == {"error": "the bearer token is missing or wrong"}
    assert served.monitor.counters.versions == {}
    assert served.rejected() == {"unauthorized": 1}
    for method, path, body, status in writes(profile, message):
        answer = served.call(method, path, content=body, headers={"Authorization": "Bearer gehëim".encode()})
        assert answer.status_code == status, path


def test_strangers_neither_take_a_versions_place_nor_push_it_out(loop, profile):
    served = Served(loop, token="secret")
    other = profile.to_json().replace('"rows":5000', '"rows":5001')
    assert served.call("PUT", "/v1/profiles/1", content=other).status_code == 401
    own = {"Authorization": "Bearer secret"}
    assert served.call("PUT", "/v1/profiles/1", content=profile.to_json(), headers=own).status_code == 201
    for version in range(2, 40):
        assert served.call("PUT", f"/v1/profiles/{version}", content=other).status_code == 401
    assert list(served.monitor.counters.versions) == ["1"]


@pytest.mark.parametrize("token", ["", "secret"])
def test_a_web_page_writes_nothing_whatever_it_knows(loop, profile, message, token):
    served = Served(loop, token=token)
    own = {"Authorization": f"Bearer {token}"} if token else {}
    for method, path, body, _ in writes(profile, message):
        headers = {**own, "Origin": "https://example.com", "Content-Type": "text/plain"}
        answer = served.call(method, path, content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (403, {"error": "requests from web pages are not taken"}), path
    assert served.monitor.counters.versions == {}
    for method, path, body, status in writes(profile, message):
        assert served.call(method, path, content=body, headers=own).status_code == status, path


def test_reading_needs_no_token(loop):
    served = Served(loop, token="secret")
    assert {served.call("GET", path).status_code for path in ("/healthz", "/metrics", "/v1/drift")} == {200}


def test_health_and_drift_answer_before_there_is_anything(loop):
    served = Served(loop)
    assert served.call("GET", "/healthz").status_code == 200
    state = served.call("GET", "/v1/drift").json()
    assert (state["version"], state["events"], state["alarm"], state["features"]) == (None, 0, False, {})
    assert "loopwright_events_rejected_total" in served.call("GET", "/metrics").text


def test_metrics_are_prometheus_text(served):
    answer = served.call("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")


def test_other_methods_and_paths_are_refused(served):
    assert served.call("GET", "/v1/events").status_code == 405
    assert served.call("GET", "/nowhere").status_code == 404
    assert served.rejected() == {}


def test_a_background_job_that_fails_is_logged_and_goes_on(served, message, monkeypatch, caplog):
    count_one, failures = served.monitor.count_one, iter([RuntimeError("once")])

    def fail_once(at):
        for error in failures:
            raise error
        return count_one(at)

    monkeypatch.setattr(served.monitor, "count_one", fail_once)
    served.events(message(2), until=lambda: served.monitor.counters.versions["1"].events == 2)
    assert "a background job of the monitor failed" in caplog.text


def test_between_looks_it_is_asked_again_and_again_whether_an_alarm_is_to_be_repeated(served, monkeypatch):
    asked = []
    monkeypatch.setattr("loopwright.monitor.app.REPEAT_CHECK", 0.001)
    monkeypatch.setattr(served.monitor, "repeat", asked.append)
    served.call("GET", "/healthz", until=lambda: len(asked) >= 3)
    assert set(asked) == {1000.0}


def test_predictions_by_id_are_for_whoever_has_the_token(loop, profile, message):
    served = Served(loop, token="secret")
    bearer = {"authorization": "Bearer secret"}
    served.call("PUT", "/v1/profiles/1", content=profile.to_json(), headers=bearer)
    sent = message()
    served.call(
        "POST", "/v1/events", content=msgspec.msgpack.encode(sent), headers=bearer,
        until=lambda: not served.monitor.queue.batches,
    )  # fmt: skip
    assert served.call("GET", "/v1/answers/1").status_code == 401
    found = served.call("GET", "/v1/answers/1", headers=bearer).json()
    assert found["answers"] == [[name, value] for name, value in zip(sent["ids"], sent["predictions"], strict=True)]
    again = served.call("GET", "/v1/answers/1", params={"after": found["cursor"]}, headers=bearer).json()
    assert again == {"version": "1", "answers": [], "cursor": found["cursor"]}
    assert served.call("GET", "/v1/answers/other", headers=bearer).json()["answers"] == []
