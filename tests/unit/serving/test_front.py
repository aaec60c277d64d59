import asyncio

import pytest
from prometheus_client import CollectorRegistry

from loopwright.serving import front
from loopwright.serving.metrics import Metrics


class Client:
    """Calls an ASGI application with one request and keeps the answer."""

    def __init__(self, app):
        self.metrics = Metrics("churn", "3", CollectorRegistry())
        self.read = 0
        self.front = front.Front(self.inner, "churn", "3", self.metrics)
        self.app, self.bodies = app, []

    async def inner(self, scope, receive, send):
        message = await receive()
        self.bodies.append(message["body"])
        await self.app(scope, receive, send)

    def post(self, parts, headers=(), path="/v1/models/churn:predict"):
        """What the front sends for a body in these parts; a part may be a message, or nothing for ever."""
        sent = []

        async def receive():
            self.read += 1
            part = parts[self.read - 1]
            if part is None:
                await asyncio.Event().wait()
            return (
                part
                if isinstance(part, dict)
                else {"type": "http.request", "body": part, "more_body": self.read < len(parts)}
            )

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers)}

        async def run():
            sweeper = asyncio.create_task(self.front.sweep())
            await self.front(scope, receive, send)
            sweeper.cancel()

        asyncio.run(run())
        return sent


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_a_body_in_parts_reaches_the_application_whole():
    client = Client(answer)
    sent = client.post([b"ab", b"cd", b""])
    assert client.bodies == [b"abcd"]
    assert sent[0]["headers"] == [(b"x-model-version", b"3")]
    assert client.metrics.requests["v1", "ok"] == 1


def test_a_body_that_says_it_is_too_large_is_refused_unread():
    client = Client(answer)
    sent = client.post([b"x"], headers=[(b"content-length", str(front.MAX_BODY_BYTES + 1).encode())])
    assert sent[0]["status"] == 413
    assert b"larger than 16777216 bytes" in sent[1]["body"]
    assert client.read == 0
    assert client.metrics.requests["v1", "invalid"] == 1


def test_a_body_that_grows_too_large_is_refused_without_reading_on():
    client = Client(answer)
    sent = client.post([b"x" * 10_000_000] * 5)
    assert sent[0]["status"] == 413
    assert client.read == 2
    assert client.bodies == []


def test_a_client_that_goes_away_is_not_answered():
    client = Client(answer)
    assert client.post([b"ab", {"type": "http.disconnect"}]) == []
    assert client.bodies == []


def test_a_body_that_does_not_arrive_in_time_is_refused_and_its_connection_closed(monkeypatch):
    monkeypatch.setattr(front, "SWEEP_SECONDS", 0.01)
    client = Client(answer)
    client.front._seconds = 0.05
    sent = client.post([b"ab", None, b""])
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert b"did not arrive within 0.05 s" in sent[1]["body"]
    assert client.metrics.errors == {"slow_request": 1}
    assert client.front._reading == {}


def test_while_it_drains_every_answer_closes_its_connection():
    client = Client(answer)
    client.front.draining = True
    assert (b"connection", b"close") in client.post([b""])[0]["headers"]


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (400, "invalid"), (413, "invalid"), (500, "error"), (503, "refused")]
)
def test_outcomes_of_predictions_are_counted_by_status(status, outcome):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": []})

    client = Client(app)
    client.post([b""])
    assert {key: count for key, count in client.metrics.requests.items() if count} == {("v1", outcome): 1}
    assert sum(client.metrics.seconds["v1"].counts) == 1


def test_other_requests_are_not_counted_as_predictions():
    client = Client(answer)
    client.post([b""], path="/v2/repository/models/churn/load")
    assert not any(client.metrics.requests.values())
