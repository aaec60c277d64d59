"""The Workflow of a rollout: what is in it, and what its submission is called."""

from dataclasses import replace
from datetime import timedelta

import pytest

from loopwright.cluster import argo
from loopwright.durations import Clock
from loopwright.loop import Loop
from loopwright.rollout import workflow
from loopwright.settings import Settings, read


@pytest.fixture
def settings(tmp_path):
    return read(tmp_path, {})


def templates(**place):
    found = workflow.template(workflow.Place("loopwright/trigger:0.1.0", **place))["spec"]["templates"]
    return {one["name"]: one for one in found}


def test_a_submission_is_named_by_loop_version_and_attempt_and_refers_to_the_template(small: Loop, settings: Settings):
    made = workflow.workflow(small, 7, 2, settings)
    assert made["metadata"]["name"] == "small-rollout-v7-2"
    assert made["metadata"]["labels"] == {"loopwright.dev/loop": "small", "loopwright.dev/version": "7"}
    assert made["spec"]["workflowTemplateRef"] == {"name": "loopwright-rollout"}
    values = {one["name"]: one["value"] for one in made["spec"]["arguments"]["parameters"]}
    assert (values["version"], values["approval"]) == ("7", "auto")


def test_the_deadline_is_later_than_every_step_s_timeout_in_real_seconds(small: Loop, settings: Settings):
    rollout = small.rollout.model_copy(update={"timeout": timedelta(hours=2), "steps": (10, 100)})
    loop = small.model_copy(update={"rollout": rollout})
    assert workflow.deadline(loop, settings) > 3 * 7200
    fast = replace(settings, clock=Clock(86_400.0, 0.0))
    assert workflow.deadline(loop, fast) == 4 * 60 + 600


def test_a_person_is_waited_for_only_where_it_is_declared():
    first = templates()["rollout"]["steps"][0]
    assert [(one["template"], one["when"]) for one in first] == [
        ("approved-by-a-person", "{{workflow.parameters.approval}} == required")
    ]
    assert templates()["approval"]["suspend"] == {}


def test_whatever_ends_it_but_success_takes_the_challenger_of_this_version_back():
    spec = workflow.template(workflow.Place("image"))["spec"]
    assert spec["onExit"] == "ended"
    (((step,),),) = [templates()["ended"]["steps"]]
    assert step["when"] == "{{workflow.status}} != Succeeded"
    arguments = templates()["take-back"]["container"]["args"]
    assert arguments[:2] == ["rollout", "abort"]
    assert "--version={{workflow.parameters.version}}" in arguments


def test_a_judged_version_is_not_tried_again_and_a_lost_pod_is():
    retry = templates()["take-live"]["retryStrategy"]
    assert retry["retryPolicy"] == "Always"
    assert "'11'" not in retry["expression"]
    assert "lastRetry.status == 'Error'" in retry["expression"]
    assert "'10'" in retry["expression"]


def test_without_feature_code_none_is_mounted_and_a_claim_is_used_where_it_is_named():
    mounted = [one["mountPath"] for one in templates(features="")["take-live"]["container"]["volumeMounts"]]
    assert mounted == ["/loop/loop.yaml", "/state", "/tmp"]
    volumes = workflow.template(workflow.Place("image", claim="state"))["spec"]["volumes"]
    assert {"name": "state", "persistentVolumeClaim": {"claimName": "state"}} in volumes


def test_a_value_of_another_type_is_refused_by_argo_s_own_models():
    from argo_workflows.exceptions import ApiTypeError

    content = workflow.template(workflow.Place("image"))
    content["spec"]["templates"][0]["steps"] = "take-live"
    with pytest.raises(ApiTypeError):
        argo.checked("workflow_template", content)
