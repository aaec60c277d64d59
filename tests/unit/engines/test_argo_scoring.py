"""Scoring as Workflows: what is made of the training's template, and what the pods are given."""

import json
from datetime import UTC, datetime

import pytest

from loopwright.cluster.argo import TEMPLATE, WORKFLOW
from loopwright.cluster.refusals import Conflict
from loopwright.engines import argo_objects, argo_scoring
from loopwright.engines.argo_scoring import CRON, Scoring, submit
from loopwright.errors import RunError

AT = datetime(2026, 11, 21, 3, tzinfo=UTC)
ASKED = ("--input", "s3://lake/rows", "--output", "s3://lake/out/{date}")


class Cluster:
    """The part of a cluster that is used here."""

    namespace = "models"

    def __init__(self, **found):
        self.found, self.patched = found, []

    def get(self, kind, name):
        return self.found.get(name)

    def create(self, kind, content):
        name = content["metadata"]["name"]
        if name in self.found:
            raise Conflict("it is there")
        self.found[name] = content
        return content

    def patch(self, kind, name, content):
        self.patched.append(name)
        self.found[name] |= content


@pytest.fixture
def template():
    place = argo_objects.Place("image:1", claim="state", data="rows", labels={"team": "one"})
    return argo_objects.template(place)


@pytest.fixture
def scoring(small):
    return Scoring(small, "7", ASKED, 8)


def test_the_pods_are_those_of_the_training_with_other_commands(template, scoring) -> None:
    made = argo_scoring.workflow(scoring, template, AT)
    assert made["metadata"]["name"] == "small-score-20261121-030000"
    trained = next(one for one in template["spec"]["templates"] if one["name"] == "train")["container"]
    for one in made["spec"]["templates"][1:]:
        assert one["container"] | {"command": 0, "args": 0} == trained | {"command": 0, "args": 0}
        assert one["container"]["command"] == ["python", "-m", "loopwright.cli.score_pod"]
    for name in ("serviceAccountName", "volumes", "securityContext", "podSpecPatch", "podMetadata"):
        assert made["spec"][name] == template["spec"][name]


def test_every_pod_has_the_job_and_its_own_part_of_it(template, scoring) -> None:
    made = argo_scoring.workflow(scoring, template, AT)
    given = {one["name"]: one["container"]["args"] for one in made["spec"]["templates"][1:]}
    day = "{{workflow.creationTimestamp.Y}}-{{workflow.creationTimestamp.m}}-{{workflow.creationTimestamp.d}}"
    job = ["--input", "s3://lake/rows", "--output", f"s3://lake/out/{day}", "--version", "7"]
    assert given == {
        "begin": [*job, "--pods", "8"],
        "share": [*job, "--share", "{{inputs.parameters.share}}"],
        "end": [*job, "--only", "end"],
    }
    (begin,), (fan,), (end,) = made["spec"]["templates"][0]["steps"]
    assert (begin["template"], fan["withParam"], end["template"]) == (
        "begin", "{{steps.begin.outputs.parameters.shares}}", "end"
    )  # fmt: skip
    request = json.loads(made["spec"]["arguments"]["parameters"][0]["value"])
    assert request["loop"]["metadata"]["name"] == "small"


def test_a_name_fits_into_a_label_for_the_longest_loop(template, scoring) -> None:
    long = scoring.loop.model_copy(update={"metadata": scoring.loop.metadata.model_copy(update={"name": "a" * 40})})
    made = argo_scoring.workflow(Scoring(long, "", ASKED, 1), template, AT)
    assert len(made["metadata"]["name"]) <= 63
    assert len(argo_scoring.cron(Scoring(long, "", ASKED, 1), template, "0 3 * * *")["metadata"]["name"]) <= 52


def test_a_schedule_makes_a_cron_workflow_and_takes_the_place_of_an_older_one(template, scoring) -> None:
    cluster = Cluster(**{argo_objects.NAME: template})
    assert submit(cluster, scoring, argo_objects.NAME, "0 3 * * *") == "small-scoring"
    made = cluster.found["small-scoring"]
    assert (made["kind"], made["spec"]["schedules"], made["spec"]["concurrencyPolicy"]) == (
        CRON.name, ["0 3 * * *"], "Forbid"
    )  # fmt: skip
    submit(cluster, scoring, argo_objects.NAME, "0 4 * * *")
    assert cluster.found["small-scoring"]["spec"]["schedules"] == ["0 4 * * *"]
    assert cluster.patched == ["small-scoring"]


def test_a_job_is_submitted_once_as_a_workflow(template, scoring) -> None:
    cluster = Cluster(**{argo_objects.NAME: template})
    name = submit(cluster, scoring, argo_objects.NAME, at=AT)
    assert cluster.found[name]["kind"] == WORKFLOW.name


def test_without_the_training_template_the_message_says_what_is_missing(scoring) -> None:
    with pytest.raises(RunError, match=f"there is no {TEMPLATE.name} loopwright-training in the namespace models"):
        submit(Cluster(), scoring, argo_objects.NAME)
    with pytest.raises(RunError, match="has no template train"):
        submit(Cluster(**{argo_objects.NAME: {"spec": {"templates": []}}}), scoring, argo_objects.NAME)
