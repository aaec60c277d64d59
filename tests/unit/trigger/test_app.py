import json
import logging
from datetime import timedelta

import pytest

from loopwright.errors import StateError
from loopwright.ledger import Ledger
from loopwright.trigger import RunResult

TOKEN = "a secret"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


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
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/alerts"), ("POST", "/v1/runs"), ("POST", "/v1/data"), ("GET", "/v1/state")]
)
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


@pytest.mark.parametrize("path", ["/v1/alerts", "/v1/runs", "/v1/data"])
@pytest.mark.parametrize("sent", [b"{", b"", b"\xff", b"not json"])
def test_broken_json_is_400(serve, path, sent):
    answer = serve().post(path, content=sent)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the body is not JSON")


def test_a_thousand_alerts_are_one_cause_of_which_the_worst_features_are_kept(serve, bench, body):
    answer = serve().post("/v1/alerts", content=body(*(f"f{number}" for number in range(1000))))
    assert answer.status_code == 200
    assert answer.json()["causes"][0]["action"] == "start"
    bench.ended()
    (alarm,) = bench.of("alarm")
    assert len(alarm.facts["features"]) == 50
    assert alarm.facts["features_more"] == 950
    assert len(bench.engine.runs) == 1


def test_a_body_without_a_length_is_read_no_further_than_its_limit(serve):
    taken = []

    async def endless():
        for _ in range(128):
            taken.append(1)
            yield b" " * 65536

    answer = serve().post("/v1/alerts", content=endless())
    assert answer.status_code == 413
    assert "at most 4194304 bytes" in answer.json()["error"]
    assert len(taken) == 65


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


def test_a_webhook_that_is_replayed_after_its_run_starts_nothing_more(serve, bench, body):
    client = serve(token=TOKEN)
    sent = body("age")
    first = client.post("/v1/alerts", content=sent, headers=BEARER).json()
    bench.ended()
    bench.clock.advance(timedelta(days=30))
    for _ in range(10):
        assert client.post("/v1/alerts", content=sent, headers=BEARER).json() == first
    assert len(bench.of("alarm")) == len(bench.of("run")) == 1


def test_rows_that_a_job_delivered_are_one_event_by_their_id(serve, bench, loop):
    client = serve(loop(on=["new_data"]), token=TOKEN)
    sent = {"id": "2025-03-01", "summary": "the day's rows", "by": "the nightly export"}
    answers = [client.post("/v1/data", json=sent, headers=BEARER) for _ in range(3)]
    bench.ended()
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len({answer.json()["run"] for answer in answers}) == 1
    assert bench.of("run")[0].facts["by"] == "the nightly export"


def test_a_new_champion_of_an_upstream_model_starts_a_run_as_mlflow_tells_it(serve, bench, loop):
    from mlflow.webhooks.delivery import _generate_hmac_signature

    client = serve(loop(on=["registry"], upstream=["embedder"]), token=TOKEN)
    data = {"name": "embedder", "alias": "champion", "version": "3"}
    sent = json.dumps({"entity": "model_version_alias", "action": "created", "data": data})
    moment = str(int(bench.clock.now.timestamp()))
    headers = {
        "X-MLflow-Delivery-Id": "d1",
        "X-MLflow-Timestamp": moment,
        "X-MLflow-Signature": _generate_hmac_signature(TOKEN, "d1", moment, sent),
    }
    assert (
        client.post("/v1/registry", content=sent, headers={**headers, "X-MLflow-Signature": "v1,"}).status_code == 401
    )
    assert bench.kinds() == []
    for _ in range(2):
        assert client.post("/v1/registry", content=sent, headers=headers).json()["rule"] == "event"
    bench.ended()
    assert len(bench.of("run")) == 1
    bench.clock.advance(timedelta(minutes=6))
    assert client.post("/v1/registry", content=sent, headers=headers).status_code == 401


def test_a_persons_rows_need_a_loop_whose_rows_have_a_time(serve, bench):
    asked = {"reason": "new prices", "by": "Ada", "since": "2025-02-01T00:00:00Z"}
    answer = serve().post("/v1/runs", json=asked)
    assert answer.status_code == 400
    assert "since needs to know when a row was observed" in answer.json()["error"]
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
# HELP loopwright_trigger_alarms_pending Alarms and events that wait until a run may start.
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
