import asyncio
import json
import logging

import httpx
import pytest

from loopwright.errors import StateError
from loopwright.ledger import Ledger
from loopwright.trigger import RunResult, make_app

TOKEN = "a secret"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Client:
    """Calls an application in the same process, between the start and the end of its lifespan."""

    def __init__(self, app, lifespan=True):
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app) if lifespan else None
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://trigger")
        if self._lifespan:
            self._runner.run(self._lifespan.__aenter__())

    def request(self, method, path, **options):
        return self._runner.run(self._http.request(method, path, **options))

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)

    def close(self):
        if self._lifespan:
            self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.run(self._http.aclose())
        self._runner.close()


@pytest.fixture
def serve(bench):
    """A client of the application of a started trigger."""
    clients = []

    def make(loop=None, *, lifespan=True, **options):
        clients.append(Client(make_app(bench.trigger(loop, **options)), lifespan))
        return clients[-1]

    yield make
    bench.engine.gate.set()
    for client in clients:
        client.close()


def test_an_alert_is_answered_with_the_decision_and_starts_a_run(serve, bench, body):
    client = serve()
    answer = client.post("/v1/alerts", content=body("age"))
    assert answer.status_code == 200
    (cause,) = answer.json()["causes"]
    assert (cause["action"], cause["rule"], cause["until"]) == ("start", "alarm", None)
    assert cause["run"] == bench.ended()[0].facts["run"]


def test_a_repeated_alert_is_answered_alike_and_starts_nothing_more(serve, bench, body):
    client = serve()
    first, second = (client.post("/v1/alerts", content=body("age")).json() for _ in range(2))
    assert first == second
    bench.ended()
    assert len(bench.engine.runs) == 1


def test_resolved_and_other_loops_are_answered_and_start_nothing(serve, bench, body):
    client = serve()
    assert client.post("/v1/alerts", content=body("age", status="resolved")).json() == {
        "causes": [],
        "resolved": 1,
        "ignored": [],
    }
    answer = client.post("/v1/alerts", content=body("age", loop="fraud")).json()
    assert answer["ignored"] == [{"alerts": 1, "reason": "1 alert is of the loop 'fraud'; this trigger is for 'churn'"}]
    assert bench.of("run") == []


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer a secrét".encode()}],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/alerts"), ("POST", "/v1/runs"), ("GET", "/v1/state")])
def test_a_wrong_or_missing_token_is_refused(serve, bench, method, path, headers):
    client = serve(token=TOKEN)
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "the bearer token is missing or wrong"}
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert bench.kinds() == []


def test_the_right_token_is_let_in(serve, bench, body):
    client = serve(token=TOKEN)
    assert client.post("/v1/alerts", content=body("age"), headers=BEARER).status_code == 200
    assert client.get("/v1/state", headers=BEARER).status_code == 200
    assert client.post("/v1/alerts", content=b"{", headers=BEARER).status_code == 400


def test_a_token_of_other_letters_works(serve):
    client = serve(token="gehëim")
    assert client.get("/v1/state", headers={"Authorization": "Bearer gehëim".encode()}).status_code == 200


def test_health_and_metrics_need_no_token(serve):
    client = serve(token=TOKEN)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/metrics").status_code == 200


def test_a_web_page_is_refused(serve, bench, body):
    client = serve()
    answer = client.post("/v1/alerts", content=body("age"), headers={"Origin": "https://example.com"})
    assert (answer.status_code, answer.json()) == (403, {"error": "requests from web pages are not taken"})
    assert bench.kinds() == []


@pytest.mark.parametrize("path", ["/v1/alerts", "/v1/runs"])
@pytest.mark.parametrize("sent", [b"{", b"", b"\xff", b"not json"])
def test_broken_json_is_400(serve, path, sent):
    answer = serve().post(path, content=sent)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the body is not JSON")


def test_a_thousand_alerts_are_refused_whole(serve, bench, body):
    answer = serve().post("/v1/alerts", content=body(*(f"f{number}" for number in range(1000))))
    assert answer.status_code == 413
    assert "the body has 1000 alerts; expected at most 200" in answer.json()["error"]
    assert bench.kinds() == []


def test_a_body_without_a_length_is_read_no_further_than_its_limit(serve):
    taken = []

    async def endless():
        for _ in range(64):
            taken.append(1)
            yield b" " * 65536

    answer = serve().post("/v1/alerts", content=endless())
    assert answer.status_code == 413
    assert "at most 1048576 bytes" in answer.json()["error"]
    assert len(taken) == 17


def test_a_person_starts_a_run_and_a_second_one_is_409(serve, bench):
    bench.engine.gate.clear()
    client = serve()
    answer = client.post("/v1/runs", json={"reason": "new prices", "by": " Ada "})
    assert (answer.status_code, answer.json()["action"], answer.json()["rule"]) == (202, "start", "person")
    name = answer.json()["run"]
    refused = client.post("/v1/runs", json={"reason": "again", "by": "Bob"})
    assert refused.status_code == 409
    assert refused.json()["error"] == f"the run {name} is in flight"
    bench.engine.gate.set()
    bench.ended()
    assert [entry.facts["by"] for entry in bench.of("run")] == ["Ada"]


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({"reason": "new prices"}, "by: field required"),
        ({"reason": " ", "by": "Ada"}, "reason: "),
        ({"reason": "x" * 501, "by": "Ada"}, "reason: "),
        ({"reason": "x", "by": "Ada", "force": True}, "force: extra inputs are not permitted"),
        (["x"], "the body: "),
    ],
)
def test_a_wrong_request_is_400_with_its_place(serve, bench, sent, place):
    answer = serve().post("/v1/runs", json=sent)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(place)
    assert bench.kinds() == []


def test_the_state_shows_runs_and_what_waits_for_what(serve, bench, body, loop):
    bench.engine.result = RunResult("failed", error="no memory")
    client = serve(loop(cooldown="24h"))
    client.post("/v1/alerts", content=body("age", group="g1"))
    bench.ended()
    client.post("/v1/alerts", content=body("age", group="g2"))
    state = client.get("/v1/state").json()
    assert (state["loop"], state["in_flight"], state["failures"]) == ("churn", [], {"in_a_row": 1, "max": 3})
    (run,) = state["runs"]
    assert (run["state"], run["error"], run["by"], run["automatic"]) == ("failed", "no memory", "drift", True)
    (pending,) = state["pending"]
    assert (pending["rule"], pending["until"]) == ("cooldown", "2025-03-02T12:00:00+00:00")
    assert pending["summary"] == "age drifted"


def test_metrics_count_decisions_and_runs_over_restarts(serve, bench, body, loop, wait):
    bench.engine.result = RunResult("rejected")
    client = serve(loop(cooldown="24h"))
    for group in ("g1", "g2"):
        client.post("/v1/alerts", content=body("age", group=group))
        bench.ended()
    client.post("/v1/alerts", content=body("age", loop="fraud"))
    bench.ledger.append("churn", "decision", {"action": "no", "reason": "said by another program"})
    expected = """\
# HELP loopwright_trigger_decisions_total Decisions in the ledger, by action and the rule that decided.
# TYPE loopwright_trigger_decisions_total counter
loopwright_trigger_decisions_total{loop="churn",action="no",rule="cooldown"} 1
loopwright_trigger_decisions_total{loop="churn",action="no",rule="other"} 1
loopwright_trigger_decisions_total{loop="churn",action="no",rule="other_loop"} 1
loopwright_trigger_decisions_total{loop="churn",action="start",rule="alarm"} 1
# HELP loopwright_trigger_runs_total Ended runs in the ledger, by state.
# TYPE loopwright_trigger_runs_total counter
loopwright_trigger_runs_total{loop="churn",state="rejected"} 1
# HELP loopwright_trigger_runs_in_flight Runs in the ledger that have not ended.
# TYPE loopwright_trigger_runs_in_flight gauge
loopwright_trigger_runs_in_flight{loop="churn"} 0
# HELP loopwright_trigger_alarms_pending Alarms that fire and wait until a run may start.
# TYPE loopwright_trigger_alarms_pending gauge
loopwright_trigger_alarms_pending{loop="churn"} %d
"""
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text == expected % 1
    assert serve(loop(cooldown="24h")).get("/metrics").text == expected % 0


def test_a_ledger_that_cannot_be_used_is_503_so_that_the_alert_comes_again(serve, body, monkeypatch, caplog):
    client = serve()

    def locked(*_args, **_more):
        raise StateError("the ledger is locked")

    monkeypatch.setattr(Ledger, "append", locked)
    answer = client.post("/v1/alerts", content=body("age"))
    assert (answer.status_code, answer.json()) == (503, {"error": "the ledger is locked"})


def test_an_unexpected_error_is_500_and_tells_nothing_of_the_inside(serve, body, monkeypatch, caplog):
    client = serve()

    def broken(*_args, **_more):
        raise KeyError("an inner name")

    monkeypatch.setattr(Ledger, "append", broken)
    with caplog.at_level(logging.CRITICAL):
        answer = client.post("/v1/alerts", content=body("age"))
    assert answer.status_code == 500
    assert answer.json() == {"error": "an unexpected error; the trigger's log has it"}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v2", 404), ("GET", "/v1/alerts", 405)])
def test_an_unknown_address_is_answered_in_json(serve, method, path, status):
    answer = serve().request(method, path)
    assert answer.status_code == status
    assert list(json.loads(answer.text)) == ["error"]


def test_a_worker_that_does_not_run_is_not_healthy(serve):
    # Without its lifespan the application has not started the trigger.
    answer = serve(lifespan=False).get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"error": "the worker does not run"})
