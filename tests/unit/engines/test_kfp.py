"""The engine for Kubeflow Pipelines against a stand-in of its REST API (tests/standins/kfp.py), by kfp's own client."""

import json
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.engines import kfp as engines
from loopwright.engines.compiled import pipeline
from loopwright.engines.kfp import binding, schedule
from loopwright.engines.kfp import engine as module
from loopwright.engines.kfp import options as reading
from loopwright.engines.kfp.api import Unreachable
from loopwright.engines.protocol import CANCELLED, FAILED, PENDING, RUNNING, STEPS, SUCCEEDED, RunRequest
from loopwright.errors import RunError, StateError

LOOP = json.dumps({"metadata": {"name": "churn"}})
DONE = dict.fromkeys(STEPS, "SUCCEEDED")


def request(run: str = "churn-1") -> RunRequest:
    return RunRequest(LOOP, "churn", Path("/here"), "def features(): ...", run, 7)


class Outcomes:
    """What the steps wrote, as the test has it."""

    def __init__(self) -> None:
        self.registered: dict[str, int] = {}
        self.failed: dict[str, tuple[str, str, int]] = {}

    def versions(self, _loop: str) -> dict[str, int]:
        return self.registered

    def failure(self, _loop: str, run: str) -> tuple[str, str, int] | None:
        return self.failed.get(run)


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
def engine(backend: Any, outcomes: Outcomes) -> engines.KfpEngine:
    return make(backend, outcomes)


def make(backend: Any, outcomes: Outcomes, **options: Any) -> engines.KfpEngine:
    return engines.KfpEngine(engines.Options(host=backend.url, **options), outcomes, poll=0.01)


# --- submitted once ------------------------------------------------------------------------------------------------


def test_a_run_is_submitted_by_its_id_with_what_the_pipeline_takes(engine, backend):
    status = engine.submit(request())
    assert (status.run, status.loop, status.state) == ("churn-1", "churn", PENDING)
    (run,) = backend.runs
    assert run["display_name"] == "churn-1"
    assert run["runtime_config"]["parameters"] == {
        "loop": LOOP,
        "features": "def features(): ...",
        "root": "/loop",
        "run": "churn-1",
        "cause": 7,
    }
    assert run["pipeline_version_reference"]["pipeline_version_id"] == backend.versions[0]["pipeline_version_id"]
    assert [one["display_name"] for one in backend.experiments] == ["churn"]


def test_the_same_id_starts_nothing_again(engine, backend):
    engine.submit(request())
    engine.submit(request())
    assert len(backend.runs) == 1


def test_the_same_pipeline_is_uploaded_once_and_another_is_another_version(engine, backend, outcomes):
    engine.submit(request("churn-1"))
    uploads = len(backend.uploads)
    engine.submit(request("churn-2"))
    assert len(backend.uploads) == uploads
    make(backend, outcomes, memory="8Gi").submit(request("churn-3"))
    assert len(backend.pipelines) == 1
    assert len(backend.versions) == 2


def test_of_two_submitters_at_once_the_oldest_run_stays_for_both(engine, backend):
    """Another process creates the run after we looked for it, and in the same second, which orders them by id."""
    backend.before_create = lambda body: backend.create_run(body, created_at="2026-11-21T12:00:00Z")
    engine.submit(request())
    assert len(backend.runs) == 2
    other, ours = backend.runs
    assert (other["state"], ours["state"]) == ("PENDING", "FAILED")
    assert engine.status("churn-1").state == PENDING
    assert [status.state for status in engine.runs("churn")] == [PENDING]


def test_a_lost_answer_makes_no_second_run(engine, backend, stand_in):
    backend.fail_next = [("POST /apis/v2beta1/runs", stand_in.DROPPED)]
    engine.submit(request())
    assert len(backend.runs) == 1


def test_a_pipeline_that_another_process_uploads_first_is_used(engine, backend, stand_in):
    backend.fail_next = [
        ("POST /apis/v2beta1/pipelines/upload", stand_in.DROPPED),
        ("POST /apis/v2beta1/experiments", stand_in.DROPPED),
    ]
    engine.submit(request())
    assert len(backend.pipelines) == len(backend.experiments) == len(backend.runs) == 1


# --- followed ------------------------------------------------------------------------------------------------------


def test_following_tells_every_change_and_ends_with_the_version(engine, backend, outcomes):
    engine.submit(request())
    seen: list[tuple[str, dict[str, str]]] = []
    course = [("RUNNING", {"snapshot": "RUNNING"}), ("RUNNING", {"snapshot": "SUCCEEDED", "validate": "RUNNING"})]

    def progress(status: Any) -> None:
        seen.append((status.state, {step.name: step.state for step in status.steps if step.state != PENDING}))
        if course:
            backend.tell("churn-1", *course.pop(0))
        else:
            outcomes.registered["churn-1"] = 4
            backend.tell("churn-1", "SUCCEEDED", DONE)

    ended = engine.follow("churn-1", progress)
    assert seen == [
        (PENDING, {}),
        (RUNNING, {"snapshot": RUNNING}),
        (RUNNING, {"snapshot": SUCCEEDED, "validate": RUNNING}),
        (SUCCEEDED, dict.fromkeys(STEPS, SUCCEEDED)),
    ]
    assert (ended.state, ended.version, ended.exit_code) == (SUCCEEDED, 4, 0)
    assert ended.log == f"{backend.url}/#/runs/details/{backend.runs[0]['run_id']}"


def test_a_failed_step_says_its_own_message_and_exit_code(engine, backend, outcomes):
    engine.submit(request())
    backend.tell("churn-1", "FAILED", {"snapshot": "SUCCEEDED", "validate": "FAILED"})
    outcomes.failed["churn-1"] = ("validate", "age is missing", 3)
    status = engine.status("churn-1")
    assert (status.state, status.error, status.exit_code, status.version) == (FAILED, "age is missing", 3, None)


def test_a_failed_run_whose_step_wrote_nothing_says_what_the_api_says(engine, backend):
    engine.submit(request())
    backend.tell("churn-1", "FAILED", {"train": "FAILED"}, error="the pod was evicted\nstack")
    status = engine.status("churn-1")
    assert (status.error, status.exit_code) == ("the pod was evicted", 6)


def test_a_step_that_is_tried_again_is_not_told_as_failed(engine, backend):
    engine.submit(request())
    backend.tell("churn-1", "RUNNING", {"train": "FAILED"})
    assert {step.name: step.state for step in engine.status("churn-1").steps}["train"] == RUNNING


def test_an_api_that_is_away_for_a_while_is_waited_for(engine, backend):
    engine.submit(request())
    backend.tell("churn-1", "SUCCEEDED", DONE)
    backend.fail_next = [("GET /apis/v2beta1/runs", 503)] * 3
    assert engine.follow("churn-1", lambda _status: None).state == SUCCEEDED


def test_an_api_that_stays_away_is_an_error_that_says_what_to_do(backend, outcomes, monkeypatch):
    engine = make(backend, outcomes)
    engine.submit(request())
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    backend.fail_next = [("GET /apis/v2beta1/runs", 503)] * 99
    with pytest.raises(Unreachable, match=r"does not answer: 503.* Set LOOPWRIGHT_KFP_HOST"):
        engine.follow("churn-1", lambda _status: None)


def test_a_run_that_takes_too_long_is_ended_and_failed(engine, backend, monkeypatch):
    engine.submit(request())
    monkeypatch.setattr(module, "TIMEOUT", timedelta(0).total_seconds() - 1)
    status = engine.follow("churn-1", lambda _status: None)
    assert (status.state, status.error) == (FAILED, "it did not end within 6:00:00")
    assert backend.runs[0]["state"] == "FAILED"


# --- cancelled -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", ["FAILED", "CANCELED"])
def test_cancelling_waits_until_the_run_has_ended(engine, backend, ended):
    engine.submit(request())
    backend.ends_on_terminate = False
    threading.Timer(0.1, lambda: backend.tell("churn-1", ended)).start()
    status = engine.cancel("churn-1")
    assert (status.state, status.error) == (CANCELLED, "cancelled")


def test_a_run_that_a_person_ends_in_kfp_is_cancelled_and_has_failed_when_it_is_tried_again_and_fails(engine, backend):
    engine.submit(request())
    client = engine.api.ask(lambda client: client)
    client.terminate_run(backend.runs[0]["run_id"])
    assert backend.runs[0]["state"] == "FAILED", "as KFP 2.17 says it"
    status = engine.follow("churn-1", lambda _status: None)
    assert (status.state, status.error, status.exit_code) == (CANCELLED, "cancelled", 0)
    for state in ("RUNNING", "FAILED"):
        backend.tell("churn-1", state, {"snapshot": state})
    assert engine.status("churn-1").state == FAILED, "also for who has not looked in between"


def test_a_run_that_was_seen_to_be_told_to_end_is_cancelled_whatever_kfp_remembers_of_it(engine, backend, outcomes):
    engine.submit(request())
    backend.tell("churn-1", "CANCELING")
    assert engine.status("churn-1").state == RUNNING
    del backend.runs[0]["state_history"]
    backend.tell("churn-1", "FAILED")
    assert engine.status("churn-1").state == CANCELLED
    assert make(backend, outcomes).status("churn-1").state == FAILED, "who has not seen it knows what KFP says"


def test_cancelling_an_ended_run_changes_nothing(engine, backend, outcomes):
    engine.submit(request())
    outcomes.registered["churn-1"] = 2
    backend.tell("churn-1", "SUCCEEDED", DONE)
    assert engine.cancel("churn-1").version == 2
    assert not [asked for asked in backend.requests if "terminate" in asked]


def test_a_run_that_does_not_end_when_told_to_is_an_error(engine, backend, monkeypatch):
    engine.submit(request())
    backend.ends_on_terminate = False
    monkeypatch.setattr(module, "GRACE", 0.0)
    with pytest.raises(RunError, match="was told to end and has not"):
        engine.cancel("churn-1")


def test_nothing_is_printed(engine, backend, capsys):
    """kfp's client prints links; our output is read by programs."""
    engine.submit(request())
    engine.cancel("churn-1")
    assert capsys.readouterr().out == ""


# --- asked ---------------------------------------------------------------------------------------------------------


def test_runs_are_listed_the_oldest_first_over_all_pages(engine, backend, outcomes):
    engine.submit(request("churn-000"))
    body = {name: backend.runs[0][name] for name in ("experiment_id", "runtime_config")}
    for number in range(1, 130):
        parameters = {"loop": LOOP, "run": f"churn-{number:03}"}
        backend.create_run({**body, "display_name": "nightly", "runtime_config": {"parameters": parameters}})
    outcomes.registered["churn-129"] = 5
    found = engine.runs("churn")
    assert [status.run for status in found] == [f"churn-{number:03}" for number in range(130)]
    assert found[-1].version == 5


def test_a_loop_without_an_experiment_has_no_runs(engine):
    assert engine.runs("other") == []


def test_an_unknown_run_is_an_error(engine):
    with pytest.raises(RunError, match="there is no run churn-9"):
        engine.status("churn-9")


def test_an_expired_token_is_an_error_that_says_what_to_do(backend, outcomes):
    backend.token = "new"
    with pytest.raises(RunError, match=r"does not let us in \(401\): the token has expired.* Renew") as caught:
        make(backend, outcomes, token="old").runs("churn")
    assert "old" not in str(caught.value)


def test_the_service_accounts_token_is_read_again_for_every_request(backend, outcomes, tmp_path):
    file = tmp_path / "token"
    file.write_text("first")
    backend.token = "first"
    engine = make(backend, outcomes, token_path=str(file))
    engine.submit(request())
    backend.token = "second"
    file.write_text("second")
    assert engine.status("churn-1").state == PENDING


def test_an_api_that_is_not_there_is_an_error_that_says_what_to_do(outcomes, monkeypatch):
    monkeypatch.setattr("urllib3.util.retry.Retry.DEFAULT", 0)
    engine = engines.KfpEngine(engines.Options(host="http://127.0.0.1:9"), outcomes)
    with pytest.raises(Unreachable, match="port-forward"):
        engine.runs("churn")


# --- bound to a cluster --------------------------------------------------------------------------------------------


def bound(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platform = yaml.safe_load_all(binding.bind(pipeline("training"), engines.Options(**options)))
    return spec, platform["platforms"]["kubernetes"]


def test_kfp_loads_what_is_bound(tmp_path):
    """KFP's own reader of pipelines, which checks both documents against their messages."""
    from kfp import components

    options = engines.Options(secret="loopwright", state_claim="state", data_claim="rows", cpu="500m")
    text = binding.bind(pipeline("training"), options)
    loaded = components.load_component_from_text(text)
    assert set(loaded.pipeline_spec.root.dag.tasks) == set(STEPS)
    assert "state" in str(loaded.platform_spec)


def test_every_step_has_image_resources_and_retries():
    spec, _ = bound(image="registry/loopwright:1", cpu="500m", memory="4Gi", retries=3)
    for executor in spec["deploymentSpec"]["executors"].values():
        assert executor["container"]["image"] == "registry/loopwright:1"
        assert executor["container"]["resources"] == {
            "resourceCpuRequest": "500m",
            "resourceMemoryRequest": "4Gi",
            "resourceMemoryLimit": "4Gi",
        }
    assert {task["retryPolicy"]["maxRetryCount"] for task in spec["root"]["dag"]["tasks"].values()} == {3}


def test_a_step_is_never_skipped_for_another_runs():
    spec, _ = bound()
    assert [task["cachingOptions"] for task in spec["root"]["dag"]["tasks"].values()] == [{}] * len(STEPS)


def test_every_pod_has_the_secret_the_claims_and_no_root():
    _, platform = bound(secret="churn", secret_env="AWS_ACCESS_KEY_ID", state_claim="state", data_claim="rows")
    pods = platform["deploymentSpec"]["executors"]
    assert set(pods) == {f"exec-{step}" for step in STEPS}
    pod = pods["exec-train"]
    (secret,) = pod["secretAsEnv"]
    assert secret["secretName"] == "churn"
    assert secret["optional"] is True
    assert {one["envVar"] for one in secret["keyToEnv"]} == {
        "LOOPWRIGHT_LEDGER_URL",
        "LOOPWRIGHT_REGISTRY_URI",
        "AWS_ACCESS_KEY_ID",
    }
    assert [(mount["constant"], mount["mountPath"]) for mount in pod["pvcMount"]] == [
        ("state", "/state"),
        ("rows", "/loop/data"),
    ]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert platform["pipelineConfig"] == {"resourceTtlOnCompletion": 86400}


def test_no_secret_value_is_in_what_is_uploaded(monkeypatch):
    monkeypatch.setenv("LOOPWRIGHT_LEDGER_URL", "postgresql://ada:very-secret@db/ledger")
    assert "very-secret" not in binding.bind(pipeline("training"), engines.Options(secret="churn", token="very-secret"))


def test_the_same_content_has_the_same_name():
    texts = [binding.bind(pipeline("training"), engines.Options(memory=memory)) for memory in ("1Gi", "1Gi", "2Gi")]
    names = [binding.name_of(text) for text in texts]
    assert names[0] == names[1] != names[2]


# --- options -------------------------------------------------------------------------------------------------------


def test_options_are_read_from_the_environment():
    found = reading.read({"LOOPWRIGHT_KFP_HOST": "http://here:8888", "LOOPWRIGHT_KFP_RETRIES": "5", "OTHER": "x"})
    assert (found.host, found.retries, found.memory) == ("http://here:8888", 5, "2Gi")


@pytest.mark.parametrize(
    ("name", "value"), [("HOST", "ml-pipeline:8888"), ("RETRIES", "many"), ("MEMORY", "lots"), ("SECRET", "My Secret")]
)
def test_an_option_that_cannot_be_used_is_named(name, value):
    with pytest.raises(StateError, match=f"LOOPWRIGHT_KFP_{name} is '{value}'"):
        reading.read({f"LOOPWRIGHT_KFP_{name}": value})


def test_a_token_is_shown_nowhere():
    assert "abc123" not in repr(engines.Options(token="abc123"))


# --- scheduled -----------------------------------------------------------------------------------------------------


def test_a_schedule_is_one_recurring_run_with_the_declaration(engine, backend):
    schedule.put(engine, request("churn"), "0 2 * * 0", "UTC")
    (made,) = backend.recurring
    assert made["display_name"] == "churn-schedule"
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 2 * * 0"
    assert (made["no_catchup"], made["max_concurrency"], made["mode"]) == (True, 1, "ENABLE")
    parameters = made["runtime_config"]["parameters"]
    assert (parameters["run"], parameters["cause"], parameters["loop"]) == ("", -1, LOOP)


def test_another_schedule_takes_the_place_of_the_first(engine, backend):
    schedule.put(engine, request("churn"), "0 2 * * 0", "UTC")
    schedule.put(engine, request("churn"), "0 3 * * 0", "UTC")
    assert [made["trigger"]["cron_schedule"]["cron"] for made in backend.recurring] == ["0 0 3 * * 0"]


def test_a_schedule_is_taken_away(engine, backend):
    schedule.put(engine, request("churn"), "0 2 * * 0", "UTC")
    assert (schedule.remove(engine, "churn"), schedule.remove(engine, "churn"), backend.recurring) == (1, 0, [])


def test_a_schedule_ends_when_it_is_told_to(engine, backend):
    until = datetime(2027, 1, 31, 1, tzinfo=timezone(timedelta(hours=1)))
    schedule.put(engine, request("churn"), "0 2 * * 0", "UTC", until)
    (made,) = backend.recurring
    assert made["trigger"]["cron_schedule"] == {"cron": "0 0 2 * * 0", "end_time": "2027-01-31T00:00:00Z"}


def test_a_schedule_of_another_time_zone_is_refused(engine, backend):
    with pytest.raises(RunError, match=r"Europe/Berlin.* one time zone"):
        schedule.put(engine, request("churn"), "0 2 * * 0", "Europe/Berlin")
    assert backend.recurring == []


def test_a_scheduled_run_is_known_by_the_id_that_its_ledger_entries_have(engine, backend, outcomes):
    engine.submit(request("churn-1"))
    body = {"display_name": "churn-schedule-1-2345", "experiment_id": backend.runs[0]["experiment_id"]}
    made = backend.create_run({**body, "runtime_config": {"parameters": {"loop": LOOP, "run": ""}}})
    name = f"churn-{made['run_id']}"
    assert [status.run for status in engine.runs("churn")] == ["churn-1", name]
    backend.tell("churn-schedule-1-2345", "SUCCEEDED", DONE)
    outcomes.registered[name] = 8
    assert engine.status(name).version == 8


def test_a_scoring_job_is_a_run_of_a_pipeline_and_an_experiment_of_its_own(backend, outcomes, small):
    from datetime import UTC, datetime

    from loopwright.engines.kfp import scoring

    opened = engines.KfpEngine(engines.Options(host=backend.url), outcomes, compiled=pipeline(scoring.PIPELINE))
    run, link = scoring.submit(opened, small, ["--input", "s3://in"], 8, datetime(2026, 11, 21, 3, tzinfo=UTC))
    (made,) = backend.runs
    assert made["display_name"] == run == "small-score-20261121-030000"
    assert made["run_id"] in link
    given = made["runtime_config"]["parameters"]
    assert (json.loads(given["loop"])["metadata"]["name"], given["arguments"], given["pods"]) == (
        "small", ["--input", "s3://in"], 8
    )  # fmt: skip
    assert [one["display_name"] for one in backend.experiments] == ["small-scoring"]
    assert opened.runs("small") == []


def test_a_job_by_a_schedule_is_a_recurring_run_whose_day_is_known_when_it_begins(backend, outcomes, small):
    from loopwright.engines.kfp import scoring

    opened = engines.KfpEngine(engines.Options(host=backend.url), outcomes, compiled=pipeline(scoring.PIPELINE))
    asked = ["--input", "s3://in", "--output", "s3://out/{date}"]
    for pods in (2, 8):
        assert scoring.put(opened, small, asked, pods, "0 3 * * *") == "small-scoring-schedule"
    (made,) = backend.recurring
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    given = made["runtime_config"]["parameters"]
    assert (given["arguments"], given["pods"]) == (asked, 8)
    # The first pod says the day to the others, which may begin on the next one.
    spec = next(yaml.safe_load_all(backend.uploads[-1]))
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks["score-end"]["inputs"]["parameters"]["shares"]["taskOutputParameter"] == {
        "outputParameterKey": "Output", "producerTask": "score-begin"
    }  # fmt: skip


def test_pods_of_a_job_have_the_day_of_the_one_that_began_it(monkeypatch):
    import components

    from loopwright.cli import score_cluster, score_pod

    asked, ran = ["--output", "s3://out/{date}"], []
    monkeypatch.setattr(score_pod, "begin", lambda loop, arguments, pods: ["0/2", "1/2"])
    monkeypatch.setattr(score_pod, "run", lambda loop, arguments: ran.append(arguments) or 0)
    monkeypatch.setattr(score_cluster, "today", lambda: "2026-11-21")
    shares = components.score_begin.python_func("{}", asked, 2)
    monkeypatch.setattr(score_cluster, "today", lambda: "2026-11-22")
    components.score_share.python_func("{}", asked, shares[1])
    components.score_end.python_func("{}", asked, shares)
    output = ["--output", "s3://out/2026-11-21"]
    assert ran == [[*output, "--share", "1/2"], [*output, "--only", "end"]]


def test_the_shares_of_a_job_are_tried_again_as_the_options_say_and_their_loop_is_not():
    options = engines.Options(host="http://api", retries=4)
    spec = next(yaml.safe_load_all(binding.bind(pipeline("scoring"), options)))
    (loop,) = [one["dag"]["tasks"] for one in spec["components"].values() if "dag" in one]
    tasks = {**spec["root"]["dag"]["tasks"], **loop}
    assert {name: task.get("retryPolicy", {}).get("maxRetryCount") for name, task in tasks.items()} == {
        "score-begin": 4, "for-loop-1": None, "score-share": 4, "score-end": 4
    }  # fmt: skip
    assert not any(task.get("cachingOptions") for task in tasks.values()), "not taken from an earlier run"
