"""The engine on Argo Workflows, against an API that is a dictionary: what is made, and what is read of it."""

import copy
import json
from datetime import timedelta
from pathlib import Path

import pytest

from loopwright.cluster.argo import TEMPLATE, WORKFLOW
from loopwright.cluster.objects import POD
from loopwright.cluster.refusals import Conflict, Forbidden
from loopwright.engines import argo_objects, argo_status
from loopwright.engines.argo import LOST, STUCK, ArgoEngine
from loopwright.engines.protocol import RunRequest
from loopwright.errors import EngineAway, GatewayLost, RunError
from loopwright.steps import __main__ as process

RUN = "small-20261121-120000-abc123"
CREATED = "2026-11-21T12:00:00Z"


class Objects:
    """The part of a cluster that is used here. `tick` is called at each pause, with the seconds that went by."""

    namespace = "models"

    def __init__(self):
        self.found = {(TEMPLATE.name, argo_objects.NAME): {}}
        self.seconds, self.away, self.tick, self.logs = 0.0, 0, lambda: None, {}

    def pause(self, seconds):
        self.seconds += seconds
        self.tick()

    def _asked(self):
        if self.away:
            self.away -= 1
            raise GatewayLost("the Kubernetes API server cannot be reached")

    def get(self, kind, name):
        self._asked()
        return copy.deepcopy(self.found.get((kind.name, name)))

    def list(self, kind, selector=""):
        wanted = dict(pair.split("=") for pair in selector.split(",") if pair)
        every = [copy.deepcopy(one) for (name, _), one in self.found.items() if name == kind.name]
        return [one for one in every if wanted.items() <= one["metadata"].get("labels", {}).items()]

    def create(self, kind, content):
        key = kind.name, content["metadata"]["name"]
        if key in self.found:
            raise Conflict("it is there")
        self.found[key] = copy.deepcopy(content)
        self.found[key]["metadata"] |= {"namespace": self.namespace, "creationTimestamp": CREATED}
        self._asked()
        return content

    def patch(self, kind, name, content):
        one = self.found[kind.name, name]
        one["metadata"].setdefault("annotations", {}).update(content["metadata"]["annotations"])
        one["spec"] |= content["spec"]
        return one

    def log(self, pod, container, *, lines, previous):
        return self.logs.get(pod, "")

    def status(self, phase, **nodes):
        """Give the run's Workflow this phase, and a pod's node for each template."""
        every = {name: {"type": "Pod", "id": name, "templateName": name, **node} for name, node in nodes.items()}
        self.found[WORKFLOW.name, RUN]["status"] = {"phase": phase, "startedAt": CREATED, "nodes": every}


def told(*lines, **more):
    """The outputs of a pod whose steps told these (step, state, second)."""
    text = "\n".join(json.dumps({"step": step, "state": state, "at": at, **more}) for step, state, at in lines)
    return {"outputs": {"parameters": [{"name": "progress", "value": text}]}}


@pytest.fixture
def cluster():
    return Objects()


@pytest.fixture
def engine(cluster):
    return ArgoEngine(cluster, pause=cluster.pause, clock=lambda: cluster.seconds)


@pytest.fixture
def request_(small):
    return RunRequest(small.to_json(), small.name, Path("/loop"), "def features(rows): return {{}}", RUN, 7)


PREPARED = told(
    ("snapshot", "running", 0), ("snapshot", "succeeded", 2), ("validate", "running", 2), ("validate", "succeeded", 3),
    ("split", "running", 3), ("split", "succeeded", 4),
)  # fmt: skip
TRAINED = told(("train", "running", 10), ("train", "succeeded", 30))


def test_the_same_run_submitted_twice_or_at_the_same_time_is_one_workflow(cluster, engine, request_):
    assert engine.submit(request_).state == engine.submit(request_).state == "pending"
    assert [one["metadata"]["name"] for one in cluster.list(WORKFLOW)] == [RUN]
    assert [status.run for status in engine.runs("small")] == [RUN]
    assert engine.runs("another") == []


def test_an_answer_that_was_lost_does_not_make_a_second_run(cluster, engine, request_):
    create = cluster.create

    def lost(kind, content):
        cluster.create = create
        create(kind, content)
        raise GatewayLost("the connection was closed")

    cluster.create = lost
    assert engine.submit(request_).run == RUN
    assert len(cluster.list(WORKFLOW)) == 1


def test_what_is_asked_for_arrives_in_the_pod_as_it_was_whatever_braces_it_has(request_, small):
    text = argo_objects.asked(request_.loop, "a = {{{b}}}\n'{{workflow.name}}'")
    assert "{{" not in text, "Argo would take it for a reference"
    loop, features = process._request(text)
    assert json.loads(loop) == json.loads(small.to_json())
    assert features == "a = {{{b}}}\n'{{workflow.name}}'"
    with pytest.raises(RunError, match=r"bytes; expected at most 100,000"):
        argo_objects.asked(request_.loop, "x" * 100_000)


def test_a_workflow_has_the_run_s_name_cause_and_deadline(request_):
    made = argo_objects.workflow(request_)
    values = {one["name"]: one["value"] for one in made["spec"]["arguments"]["parameters"]}
    assert (made["metadata"]["name"], values["cause"]) == (RUN, "7")
    assert made["spec"]["activeDeadlineSeconds"] == timedelta(hours=6).total_seconds()


def test_the_steps_run_in_three_pods_each_caused_by_the_one_before():
    templates = {one["name"]: one for one in argo_objects.template(argo_objects.Place("image"))["spec"]["templates"]}
    order = [step[0]["name"] for step in templates["training"]["steps"]]
    assert order == ["prepare", "train", "judge"]
    steps = [each for name in order for each in argo_objects.PODS[name]]
    assert tuple(steps) == argo_status.STEPS
    last = templates["training"]["steps"][2][0]["arguments"]["parameters"][0]["value"]
    assert last == "{{steps.train.outputs.parameters.entry}}"
    for name in order:
        arguments = templates[name]["container"]["args"]
        plain = [text if "{{" not in text else text.split("=")[0] + "=1" for text in arguments]
        assert tuple(process._options(plain).steps) == argo_objects.PODS[name], "the process takes the arguments"
    assert "'3'" not in templates["train"]["retryStrategy"]["expression"], "bad data is not tried again"
    assert "!(lastRetry.message contains 'OOMKilled')" in templates["train"]["retryStrategy"]["expression"]


def test_the_mark_of_a_progress_line_is_one():
    assert argo_status.MARK == process.MARK


def test_a_schedule_becomes_a_cron_workflow_that_skips_what_overlaps(small):
    assert argo_objects.cron(small, "") is None
    retrain = small.retrain.model_copy(update={"schedule": "0 2 * * 0", "timezone": "Europe/Berlin"})
    made = argo_objects.cron(small.model_copy(update={"retrain": retrain}), "")
    assert (made["spec"]["schedules"], made["spec"]["timezone"]) == (["0 2 * * 0"], "Europe/Berlin")
    assert made["spec"]["concurrencyPolicy"] == "Forbid"
    names = [one["name"] for one in made["spec"]["workflowSpec"]["arguments"]["parameters"]]
    assert "cause" not in names, "the run's first pod writes its cause"


def test_a_run_is_followed_step_by_step_to_its_version(cluster, engine, request_):
    engine.submit(request_)
    judged = told(("evaluate", "running", 40), ("evaluate", "succeeded", 41), ("register", "succeeded", 45))
    judged["outputs"]["parameters"].append({"name": "version", "value": "3"})
    stages = [
        lambda: cluster.status("Running", prepare={"phase": "Succeeded", **PREPARED}),
        lambda: cluster.status("Succeeded", prepare=PREPARED, train=TRAINED, judge=judged),
    ]
    cluster.tick = lambda: stages.pop(0)()
    seen = []
    status = engine.follow(RUN, seen.append)
    assert (status.state, status.version, status.error) == ("succeeded", 3, None)
    assert [one.state for one in seen] == ["pending", "running", "succeeded"]
    assert [step.state for step in seen[1].steps][:4] == ["succeeded", "succeeded", "succeeded", "pending"]
    assert {step.name: step.seconds for step in status.steps}["train"] == 20


def test_a_running_pod_s_steps_are_read_in_its_log(cluster, engine, request_):
    engine.submit(request_)
    cluster.status("Running", prepare={"phase": "Running"})
    labels = {"workflows.argoproj.io/workflow": RUN}
    note = {"workflows.argoproj.io/node-id": "prepare"}
    cluster.found[POD.name, "pod-1"] = {"metadata": {"name": "pod-1", "labels": labels, "annotations": note}}
    cluster.logs["pod-1"] = 'a warning\nloopwright-progress {"step": "snapshot", "state": "running", "at": 1}\nloop'
    assert engine.status(RUN).steps[0].state == "running"


def test_a_rejected_model_is_a_run_that_went_through_without_a_version(cluster, engine, request_):
    engine.submit(request_)
    cluster.status("Succeeded", judge={"outputs": {"parameters": [{"name": "version", "value": "0"}]}})
    status = engine.status(RUN)
    assert (status.state, status.version, status.exit_code) == ("succeeded", None, 0)


def test_a_failed_run_says_what_the_step_said_and_else_what_argo_says(cluster, engine, request_):
    engine.submit(request_)
    failed = told(("snapshot", "failed", 1), error="there is no data", exit_code=3)
    cluster.status("Failed", prepare={"phase": "Failed", "message": "Error (exit code 3)", **failed})
    status = engine.status(RUN)
    assert (status.state, status.error, status.exit_code) == ("failed", "there is no data", 3)
    killed = told(("train", "running", 10))
    cluster.status(
        "Failed", prepare=PREPARED, train={"phase": "Failed", "message": "OOMKilled (exit code 137)", **killed}
    )
    status = engine.status(RUN)
    assert (status.error or "").startswith("the pod train failed: OOMKilled (exit code 137); it needs more memory")
    assert "`training.resources.limits.memory`" in (status.error or "")
    assert status.exit_code == RunError.exit_code
    assert [step.state for step in status.steps][3] == "failed"


def test_a_pod_that_was_lost_and_made_again_counts_by_its_newest_attempt(cluster, engine, request_):
    engine.submit(request_)
    cluster.status("Running")
    nodes = cluster.found[WORKFLOW.name, RUN]["status"]["nodes"]
    for number, (phase, lines) in enumerate(
        [("Error", told(("train", "running", 1))), ("Running", told(("train", "running", 20)))]
    ):
        nodes[str(number)] = {
            "type": "Pod", "id": str(number), "templateName": "train", "phase": phase,
            "startedAt": f"2026-11-21T12:00:0{number}Z", **lines,
        }  # fmt: skip
    assert engine.status(RUN).steps[3].state == "running"


def test_a_workflow_that_is_deleted_while_it_runs_has_failed(cluster, engine, request_):
    engine.submit(request_)
    cluster.tick = lambda: cluster.found.pop((WORKFLOW.name, RUN))
    status = engine.follow(RUN, lambda _: None)
    assert (status.state, status.error) == ("failed", "its Workflow was deleted while it ran")
    with pytest.raises(RunError, match="there is no run"):
        engine.status(RUN)


def test_a_run_is_cancelled_when_its_pods_are_gone_and_one_that_ended_is_left_alone(cluster, engine, request_):
    engine.submit(request_)
    cluster.status("Running", prepare=PREPARED)
    labels = {"workflows.argoproj.io/workflow": RUN}
    cluster.found[POD.name, "pod-1"] = {"metadata": {"name": "pod-1", "labels": labels}, "status": {"phase": "Running"}}
    stages = [lambda: cluster.status("Failed", prepare=PREPARED), lambda: cluster.found.pop((POD.name, "pod-1"))]
    cluster.tick = lambda: stages.pop(0)()
    status = engine.cancel(RUN)
    assert (status.state, status.error, stages) == ("cancelled", "cancelled", [])
    assert cluster.found[WORKFLOW.name, RUN]["spec"]["shutdown"] == "Terminate"
    assert engine.cancel(RUN).state == "cancelled"


def test_a_person_s_argo_stop_is_a_cancelled_run(cluster, engine, request_):
    engine.submit(request_)
    cluster.found[WORKFLOW.name, RUN]["spec"]["shutdown"] = "Stop"
    cluster.status("Failed")
    assert engine.status(RUN).state == "cancelled"


def test_a_pod_that_cannot_start_fails_its_run_after_a_while_and_says_why(cluster, engine, request_):
    engine.submit(request_)

    def tick():
        ended = "shutdown" in cluster.found[WORKFLOW.name, RUN]["spec"]
        image = 'image "registry/component-python:9"'
        why = (f"ErrImagePull: {image} not found", f"ImagePullBackOff: Back-off pulling {image}")[
            int(cluster.seconds) % 2
        ]
        cluster.status("Failed" if ended else "Running", prepare={"phase": "Pending", "message": why})

    tick()
    cluster.tick = tick
    status = engine.follow(RUN, lambda _: None)
    assert status.state == "failed"
    assert "the pod prepare does not start: " in status.error
    assert "registry/component-python:9" in status.error
    assert cluster.seconds > STUCK


def test_a_secret_that_is_missing_fails_its_run_by_name(cluster, engine, request_):
    engine.submit(request_)
    why = 'CreateContainerConfigError: secret "loopwright" not found'

    def tick():
        ended = "shutdown" in cluster.found[WORKFLOW.name, RUN]["spec"]
        cluster.status("Failed" if ended else "Running", prepare={"phase": "Pending", "message": why})

    tick()
    cluster.tick = tick
    assert engine.follow(RUN, lambda _: None).error == f"the pod prepare does not start: {why}"


def test_a_token_that_expires_while_a_run_is_followed_leaves_the_run_open(cluster, engine, request_):
    """Whoever followed it says that it cannot be asked after, and not that it failed; a new token finds it."""
    engine.submit(request_)
    cluster.status("Running")

    def expired(_kind, _name):
        raise Forbidden("the Kubernetes API server does not know you (401)", do="log in, or see your kubeconfig")

    reads, cluster.get = cluster.get, expired
    with pytest.raises(EngineAway, match=r"does not know you \(401\)"):
        engine.follow(RUN, lambda _: None)
    with pytest.raises(EngineAway):
        engine.submit(request_)
    cluster.get = reads
    assert engine.status(RUN).state == "running"
    assert "shutdown" not in cluster.found[WORKFLOW.name, RUN]["spec"]


def test_an_api_server_that_is_away_is_waited_for_but_not_for_ever(cluster, engine, request_):
    engine.submit(request_)
    cluster.status("Succeeded")
    cluster.away = 5
    assert engine.follow(RUN, lambda _: None).state == "succeeded"
    cluster.away = 10**6
    with pytest.raises(RunError, match="cannot be reached"):
        engine.follow(RUN, lambda _: None)
    assert cluster.seconds > LOST


def test_without_its_template_nothing_is_submitted(cluster, engine, request_):
    cluster.found.clear()
    with pytest.raises(RunError, match="there is no WorkflowTemplate loopwright-training in the namespace models"):
        engine.submit(request_)
    assert not cluster.found


@pytest.mark.parametrize(("message", "stuck"), [("PodInitializing", False), ("ImagePullBackOff: no such image", True)])
def test_a_pod_whose_image_is_pulled_is_not_stuck(message, stuck):
    node = {"type": "Pod", "templateName": "prepare", "id": "1", "phase": "Pending", "message": message}
    found = {"status": {"phase": "Running", "nodes": {"1": node}}}
    assert bool(argo_status.waits(found)) == stuck
