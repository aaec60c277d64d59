"""Submitting a rollout, following it, and saying yes, against an API that is a dictionary."""

import copy

import pytest

from loopwright.errors import RolledBack, RolloutError
from loopwright.rollout import submission, workflow
from loopwright.rollout.kserve.cluster import POD, Conflict
from loopwright.settings import read


class Objects:
    """The part of a cluster that is used here: objects by kind and name, and the logs of pods."""

    namespace = "models"

    def __init__(self):
        self.found = {(submission.TEMPLATE.name, workflow.NAME): {}}
        self.logs = {}

    def get(self, kind, name):
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
        return content

    def replace(self, kind, content):
        self.found[kind.name, content["metadata"]["name"]] = copy.deepcopy(content)
        return content

    def log(self, pod, container, *, lines, previous):
        return self.logs.get(pod, "")

    def ends(self, name, phase, nodes=()):
        every = {str(number): node for number, node in enumerate(nodes)}
        self.found["Workflow", name]["status"] = {"phase": phase, "nodes": every}

    def pod(self, name, workflow_name, log):
        labels = {"workflows.argoproj.io/workflow": workflow_name}
        self.found[POD.name, name] = {
            "metadata": {"name": name, "uid": log, "labels": labels, "creationTimestamp": name}
        }
        self.logs[name] = log


@pytest.fixture
def cluster():
    return Objects()


@pytest.fixture
def submit(cluster, small, tmp_path):
    return lambda: submission.submit(cluster, small, 7, read(tmp_path, {}))


def test_submitted_twice_it_is_one_workflow_and_after_a_failure_the_next_attempt(cluster, submit):
    assert submit() == submit() == "small-rollout-v7-1"
    cluster.ends("small-rollout-v7-1", "Failed")
    assert submit() == "small-rollout-v7-2"
    assert len(cluster.list(submission.WORKFLOW)) == 2


def test_two_that_submit_at_the_same_time_follow_one_workflow(cluster, submit, monkeypatch):
    submit()
    monkeypatch.setattr(cluster, "list", lambda kind, selector="": [])
    assert submit() == "small-rollout-v7-1"


def test_without_the_template_it_is_said_what_to_install(cluster, submit):
    cluster.found.clear()
    with pytest.raises(RolloutError, match=r"no WorkflowTemplate loopwright-rollout.*rollouts.enabled=true"):
        submit()


def test_following_passes_on_each_line_once_without_argo_s_own_until_it_has_succeeded(cluster, submit):
    name, said = submit(), []
    cluster.pod("a", name, 'at 5 %\ntime="x" level=info msg="sub-process exited" argo=true error="<nil>"\n')

    def later(_seconds):
        cluster.logs["a"] += "at 50 %\n"
        cluster.ends(name, "Succeeded")

    submission.follow(cluster, name, said.append, pause=later)
    assert said == ["at 5 %", "at 50 %"]


def test_a_version_that_was_judged_worse_is_told_from_a_workflow_that_failed(cluster, submit):
    name = submit()
    judged = {"type": "Pod", "templateName": "take-live", "phase": "Failed", "outputs": {"exitCode": "11"}}
    cluster.ends(name, "Failed", [judged])
    with pytest.raises(RolledBack, match="judged worse"):
        submission.follow(cluster, name, str)
    cluster.ends(name, "Error", [{"type": "Pod", "templateName": "take-back", "phase": "Succeeded"}])
    with pytest.raises(RolloutError, match="Its challenger was taken back") as caught:
        submission.follow(cluster, name, str)
    assert not isinstance(caught.value, RolledBack)
    with pytest.raises(RolloutError, match="no Workflow other"):
        submission.follow(cluster, "other", str)


def test_while_it_waits_for_a_person_it_says_so_and_a_yes_lets_it_go_on_with_who_and_why(cluster, submit, small):
    name, said = submit(), []
    waiting = {"type": "Suspend", "templateName": "approval", "phase": "Running", "displayName": "wait"}
    cluster.ends(name, "Running", [waiting])

    def yes(_seconds):
        if not said.count("yes"):
            said.append("yes")
            assert submission.approve(cluster, small, 7, "Ada O'Neil", "checked")
            node = cluster.found["Workflow", name]["status"]["nodes"]["0"]
            assert node["phase"] == "Succeeded"
            values = {one["name"]: one["value"] for one in node["outputs"]["parameters"]}
            assert values == {"by": "Ada O Neil", "reason": "checked"}
            cluster.found["Workflow", name]["status"]["phase"] = "Succeeded"

    submission.follow(cluster, name, said.append, pause=yes)
    assert said == ["waiting for a person's approval", "yes"]
    assert not submission.approve(cluster, small, 7, "Ada", "again"), "nothing waits any more"
