import pytest

from loopwright import declaration
from loopwright.errors import RolloutError
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Object
from loopwright.rollout.kserve.spec import Spec
from loopwright.serving.resources import service

from .conftest import merged

DECLARATION = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: churn}
data: {source: churn.csv, label: {column: churned}, contract: {age: {type: integer}}}
model: {task: classification}
"""


def loop(serving: str = "{}", strategy: str = "canary") -> Loop:
    return declaration.parse(f"{DECLARATION}rollout: {{strategy: {strategy}}}\nserving: {serving}\n", "loop.yaml")


def served(declared: Loop, version: int = 1) -> Object:
    found = service.inference_service(declared, version, "d1")
    found["metadata"]["resourceVersion"] = "7"
    return found


def test_a_challenger_comes_without_traffic_and_with_a_pod() -> None:
    declared = loop()
    spec = Spec(declared, merged(served(declared), Spec(declared, served(declared)).with_challenger(2, "d2", 1)))
    assert (spec.champion, spec.challenger, spec.weights()) == (1, 2, {1: 100, 2: 0})
    patch = Spec(declared, served(declared)).with_challenger(2, "d2", 1)
    entry = patch["spec"]["canary"][0]
    assert entry["predictor"]["minReplicas"] == 1
    assert "--digest=d2" in entry["predictor"]["model"]["args"]


def test_the_challenger_keeps_its_whole_model_when_it_is_promoted() -> None:
    declared = loop()
    found = merged(served(declared), Spec(declared, served(declared)).with_challenger(2, "d2", 1))
    promoted = merged(found, Spec(declared, found).promoted(keep=False))
    assert promoted["spec"] == service.inference_service(declared, 2, "d2")["spec"]


def test_a_kept_champion_changes_places_with_the_challenger_and_back() -> None:
    declared = loop(strategy="blue_green")
    found = merged(served(declared), Spec(declared, served(declared)).with_challenger(2, "d2", 1))
    swapped = merged(found, Spec(declared, found).promoted(keep=True))
    assert Spec(declared, swapped).weights() == {2: 100, 1: 0}
    assert swapped["spec"]["canary"][0]["predictor"]["model"] == served(declared)["spec"]["predictor"]["model"]
    back = merged(swapped, Spec(declared, swapped).promoted(keep=True))
    assert Spec(declared, back).weights() == {1: 100, 2: 0}
    assert back["spec"]["predictor"]["model"] == served(declared)["spec"]["predictor"]["model"]


def test_the_champion_keeps_its_pods_while_a_challenger_has_some() -> None:
    declared = loop("{replicas: {min: 3}}", strategy="blue_green")
    patch = Spec(declared, served(declared)).with_challenger(2, None, 3)
    # KServe makes the stable predictor smaller by the canary's replicas: 6 - 3 are left.
    assert patch["spec"]["predictor"] == {"minReplicas": 6}
    assert patch["spec"]["canary"][0]["predictor"]["minReplicas"] == 3


@pytest.mark.parametrize(("percent", "pods"), [(5, None), (25, None), (50, 2), (100, 4)])
def test_a_canary_gets_as_many_pods_as_its_share_needs(percent: int, pods: int | None) -> None:
    declared = loop("{replicas: {min: 2, max: 8}}")
    found = merged(served(declared), Spec(declared, served(declared)).with_challenger(2, None, 4))
    patch = Spec(declared, found).scaled(percent, 4)
    assert (None if patch is None else patch["spec"]["canary"][0]["predictor"]["minReplicas"]) == pods
    if patch is not None:
        assert patch["spec"]["predictor"] == {"minReplicas": 2 + (pods or 0), "maxReplicas": 8}


def test_nothing_is_patched_where_the_share_is_there_already() -> None:
    declared = loop()
    found = merged(served(declared), Spec(declared, served(declared)).with_challenger(2, None, 1))
    assert Spec(declared, found).shifted(2, 0) is None
    assert Spec(declared, found).shifted(3, 5) is None
    shifted = merged(found, Spec(declared, found).shifted(2, 5) or {})
    assert Spec(declared, shifted).weights() == {1: 95, 2: 5}


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"predictor": {"model": {}}}, "the predictor None"),
        ({"predictor": {"name": "blue"}}, "the predictor 'blue'"),
        ({"predictor": {"name": "v1"}, "canary": [{"predictor": {"name": "next"}}]}, "the predictor 'next'"),
        ({"predictor": {"name": "v1"}, "canary": [{"predictor": {"name": f"v{n}"}} for n in (2, 3)]}, "2 canaries"),
    ],
)
def test_a_service_that_somebody_else_made_is_left_alone(spec: Object, found: str) -> None:
    with pytest.raises(RolloutError, match=found):
        Spec(loop(), {"metadata": {}, "spec": spec})
