import base64
import dataclasses
from pathlib import Path
from typing import Any

import httpx
import pytest

from loopwright import settings
from loopwright.doctor import objects
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Cluster

LABELS = {"app.kubernetes.io/part-of": "loopwright"}
IMAGE = {
    "name": "trigger",
    "image": "loopwright/trigger:0.1.0",
    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
}
NO_SECRET = {
    "name": "trigger",
    "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "loopwright" not found'}},
}


def secret(api: Any, **data: str) -> None:
    api.put("secrets", "loopwright", data={key: base64.b64encode(text.encode()).decode() for key, text in data.items()})


def test_a_missing_secret_is_a_problem_where_something_needs_it(api: Any, cluster: Cluster, churn: Loop) -> None:
    assert [one.state for one in objects.secret(cluster, None)] == ["warning"]
    (found,) = objects.secret(cluster, churn)
    assert (found.state, found.text) == ("problem", "is missing in models")
    assert "kubectl -n models create secret generic loopwright" in found.do
    secret(api, other="x")
    assert [one.text for one in objects.secret(cluster, churn)] == ["has no key `token` in models"]


@pytest.mark.parametrize(("token", "state"), [("Sesame", "warning"), ("0123456789abcdef", "ok")])
def test_a_token_is_judged_by_its_length_and_never_shown(
    api: Any, cluster: Cluster, churn: Loop, token: str, state: str
) -> None:
    secret(api, token=token)
    (found,) = objects.secret(cluster, churn)
    assert found.state == state
    assert token not in found.text + found.do


def test_who_may_not_read_secrets_is_told_so(api: Any, cluster: Cluster, churn: Loop) -> None:
    api.refused["secrets"] = 403
    assert [one.state for one in objects.secret(cluster, churn)] == ["note"]


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (IMAGE, "the image loopwright/trigger:0.1.0 cannot be pulled: not found"),
        (NO_SECRET, 'cannot be made: secret "loopwright" not found'),
    ],
)
def test_a_pod_that_does_not_start_says_why(api: Any, cluster: Cluster, container: Any, said: str) -> None:
    api.put("pods", "trigger-1", metadata={"labels": LABELS}, status={"containerStatuses": [container]})
    (found,) = objects.pods(cluster, None)
    assert found.state == "problem"
    assert said in found.text


def test_a_claim_without_a_volume_is_told(api: Any, cluster: Cluster) -> None:
    api.put("persistentvolumeclaims", "loopwright-state", metadata={"labels": LABELS}, status={"phase": "Pending"})
    assert "the claim loopwright-state has no volume yet" in [one.text for one in objects.pods(cluster, None)]


def answering(clock: float, known: bool = True) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params["query"] == "time()":
            return httpx.Response(200, json={"data": {"resultType": "scalar", "result": [clock, str(clock)]}})
        result = [{"value": [clock, "3"]}] if known else []
        return httpx.Response(200, json={"data": {"resultType": "vector", "result": result}})

    return httpx.Client(transport=httpx.MockTransport(answer))


@pytest.fixture
def known(tmp_path: Path) -> settings.Settings:
    return dataclasses.replace(settings.read(tmp_path, {}), prometheus_url="http://ada:secret@prometheus:9090")


@pytest.mark.parametrize(
    ("clock", "there", "state"),
    [
        (1000.0, True, "ok"),
        (1003.0, True, "ok"),
        (1060.0, True, "problem"),
        (940.0, True, "problem"),
        (1000.0, False, "warning"),
    ],
)
def test_prometheus_is_asked_for_the_time_and_for_the_loop(
    known: Any, churn: Loop, clock: float, there: bool, state: str
) -> None:
    (found,) = objects.prometheus(known, answering(clock, there), churn, now=lambda: 1000.0)
    assert found.state == state
    assert "secret" not in found.text


def test_what_is_no_prometheus_is_a_problem(known: Any, churn: Loop) -> None:
    page = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, text="<html>")))
    assert [one.state for one in objects.prometheus(known, page, churn)] == ["problem"]


def test_without_a_prometheus_it_is_a_note(tmp_path: Path, churn: Loop) -> None:
    assert [one.state for one in objects.prometheus(settings.read(tmp_path, {}), httpx.Client(), churn)] == ["note"]
