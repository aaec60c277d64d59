from typing import Any

import pytest

from loopwright.errors import RolloutError
from loopwright.loop import Loop
from loopwright.loop.rollout import AB
from loopwright.rollout.gateway import GatewayLost, NotReady
from loopwright.rollout.kserve.cluster import Cluster
from loopwright.rollout.kserve.gateway import KServeGateway
from loopwright.rollout.kserve.routes import SETTLE, Routes
from loopwright.serving.resources import names, routes, service

STATUS = {"parents": [{"conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 1}]}]}


class Controller:
    """A stand-in of KServe's controller on the stand-in API: Deployments and the route follow the InferenceService."""

    def __init__(self, api: Any) -> None:
        self.api, self.ready, self.routes, self.seen = api, True, True, list[dict[int, int]]()
        api.after = self.reconcile

    def reconcile(self, method: str, plural: str) -> None:
        if plural == "httproutes":
            for (kind, _), one in self.api.objects.items():
                if kind == "httproutes":
                    one["status"] = STATUS
        found = self.api.objects.get(("inferenceservices", "churn"))
        if plural != "inferenceservices" or found is None:
            return
        spec = found["spec"]
        canaries = spec.get("canary") or []
        wanted = [spec["predictor"], *(one["predictor"] for one in canaries)]
        for one in wanted:
            count = one.get("minReplicas", 1)
            available = count if self.ready or one is spec["predictor"] else 0
            self.api.put("deployments", {
                "metadata": {"name": f"churn-{one['name']}-predictor"}, "spec": {"replicas": count},
                "status": {"observedGeneration": 1, "updatedReplicas": count, "availableReplicas": available},
            })  # fmt: skip
        found["status"] = {
            "conditions": [{"type": "PredictorReady", "status": "True"}],
            "canaryStatuses": [{"name": one["predictor"]["name"], "ready": self.ready} for one in canaries],
        }
        if self.routes:
            self._route(spec["predictor"], canaries if self.ready else [])

    def _route(self, predictor: Any, canaries: list[Any]) -> None:
        rest = 100 - sum(one["trafficPercent"] for one in canaries)
        backends = [{"name": f"churn-{predictor['name']}-predictor", "weight": rest}]
        for one in canaries:
            name = f"churn-{one['predictor']['name']}-predictor"
            backends.append({"name": name, "weight": one["trafficPercent"]})
        self.seen.append({names.version(one["name"].split("-")[1]) or 0: one["weight"] for one in backends})
        route = {"hostnames": ["churn-models.example.com"], "parentRefs": [{"name": "gateway"}]}
        route["rules"] = [{"backendRefs": backends}]  # type: ignore[list-item]
        self.api.put("httproutes", {"metadata": {"name": "churn"}, "spec": route, "status": STATUS})


@pytest.fixture
def controller(api: Any) -> Controller:
    return Controller(api)


@pytest.fixture
def gateway(churn_loop: Loop, cluster: Cluster, api: Any, controller: Controller) -> KServeGateway:
    api.put("inferenceservices", service.inference_service(churn_loop, 1, "d1"))
    controller.reconcile("PATCH", "inferenceservices")
    return KServeGateway(churn_loop, cluster, lambda versions: {}, pause=lambda seconds: None, patience=0.05)


def rolled(gateway: KServeGateway, percent: int) -> None:
    gateway.add(2, "", "d2")
    gateway.wait_ready(2, 1)
    gateway.shift(2, percent)


def test_the_first_version_gets_all_the_traffic(churn_loop: Loop, cluster: Cluster, controller: Controller) -> None:
    gateway = KServeGateway(churn_loop, cluster, lambda versions: {}, pause=lambda seconds: None)
    assert gateway.champion() is None
    gateway.add(1, "", "d1")
    gateway.wait_ready(1, 1)
    assert (gateway.champion(), gateway.weights(), gateway.wanted()) == (1, {1: 100}, {1: 100})


def test_a_version_s_bundle_lies_where_kserve_reads_it_before_anything_names_it(
    churn_loop: Loop, cluster: Cluster, controller: Controller
) -> None:
    def publish(version: int, bundle: str) -> None:
        published.append((version, bundle, list(controller.seen)))

    published: list[Any] = []
    gateway = KServeGateway(churn_loop, cluster, lambda versions: {}, pause=lambda seconds: None, publish=publish)
    gateway.add(1, "/bundle", "d1")
    assert published == [(1, "/bundle", [])]


def test_promotion_goes_by_100_percent_before_the_champion_leaves(
    gateway: KServeGateway, controller: Controller
) -> None:
    rolled(gateway, 25)
    gateway.promote(2)
    assert controller.seen[-3:] == [{1: 75, 2: 25}, {1: 0, 2: 100}, {2: 100}]
    assert (gateway.champion(), gateway.kept(), gateway.weights()) == (2, None, {2: 100})


def test_a_withdrawal_goes_by_0_percent(gateway: KServeGateway, controller: Controller) -> None:
    rolled(gateway, 25)
    gateway.withdraw(2)
    assert controller.seen[-3:] == [{1: 75, 2: 25}, {1: 100, 2: 0}, {1: 100}]
    gateway.withdraw(2)
    assert gateway.champion() == 1


def test_a_kept_champion_comes_back_and_the_other_can_go(gateway: KServeGateway) -> None:
    rolled(gateway, 100)
    gateway.promote(2, keep=True)
    assert (gateway.champion(), gateway.kept(), gateway.weights()) == (2, 1, {1: 0, 2: 100})
    gateway.restore(1)
    assert (gateway.champion(), gateway.kept(), gateway.weights()) == (1, None, {1: 100, 2: 0})
    gateway.withdraw(2)
    assert gateway.weights() == {1: 100}


def test_what_is_not_kept_cannot_be_restored(gateway: KServeGateway) -> None:
    with pytest.raises(RolloutError, match="version 3 is not kept beside version 1"):
        gateway.restore(3)


def test_every_step_may_be_repeated(gateway: KServeGateway) -> None:
    for _ in range(2):
        rolled(gateway, 50)
    for _ in range(2):
        gateway.promote(2)
    assert gateway.weights() == {2: 100}


def test_a_weight_set_by_hand_is_seen(gateway: KServeGateway, api: Any) -> None:
    rolled(gateway, 25)
    api.objects["inferenceservices", "churn"]["spec"]["canary"][0]["trafficPercent"] = 60
    assert gateway.wanted() == {1: 40, 2: 60}
    assert gateway.weights() == {1: 75, 2: 25}


def test_a_split_is_a_route_of_its_own_until_the_next_shift(gateway: KServeGateway, api: Any) -> None:
    rolled(gateway, 0)
    gateway.split(2, AB(share=30))
    assert gateway.weights() == gateway.wanted() == {1: 70, 2: 30}
    gateway.split(2, AB(header="x-group", values=("beta",)))
    assert gateway.weights() == gateway.wanted() == {1: 100, 2: 0}
    assert api.objects["httproutes", "churn-ab"]["spec"]["hostnames"] == ["churn-models.example.com"]
    gateway.shift(2, 0)
    assert ("httproutes", "churn-ab") not in api.objects


def test_a_mirror_and_a_preview_go_with_the_challenger(gateway: KServeGateway, api: Any) -> None:
    rolled(gateway, 0)
    gateway.mirror(2, True)
    assert gateway.preview(2) == "http://churn-preview-models.example.com"
    assert {name for kind, name in api.objects if kind == "httproutes"} == {"churn", "churn-shadow", "churn-preview"}
    gateway.withdraw(2)
    assert {name for kind, name in api.objects if kind == "httproutes"} == {"churn"}


@pytest.mark.parametrize(("ends", "stays"), [("withdraw", 1), ("promote", 2)])
@pytest.mark.parametrize("what", ["shadow", "ab"])
def test_a_route_of_ours_comes_and_goes_while_it_matches_nothing(
    gateway: KServeGateway, api: Any, what: str, ends: str, stays: int
) -> None:
    def follow(method: str, plural: str) -> None:
        if plural == "httproutes" and (plural, f"churn-{what}") in api.objects:
            seen.append(api.objects[plural, f"churn-{what}"]["spec"]["rules"])
        if plural == "inferenceservices" and len(services(api)) == 1:
            assert ("httproutes", f"churn-{what}") not in api.objects
        reconcile(method, plural)

    rolled(gateway, 0)
    reconcile, seen = api.after, list[Any]()
    api.after = follow
    if what == "shadow":
        gateway.mirror(2, True)
    else:
        gateway.split(2, AB(share=30))
    opened = len(seen)
    getattr(gateway, ends)(2)
    assert [routes.is_parked(rules) for rules in seen[:opened]] == [True, False]
    assert [routes.is_parked(rules) for rules in seen[opened:]] == [True]
    # What a gateway calls a rule's cluster by is its place among the rules, so nothing else changes.
    assert routes.parked(seen[1]) == seen[0] == seen[2]
    assert gateway.weights() == {stays: 100}


def test_the_proxies_have_the_time_to_take_what_the_gateway_s_controller_took(
    churn_loop: Loop, cluster: Cluster, api: Any, controller: Controller
) -> None:
    def pause(seconds: float) -> None:
        route = api.objects.get(("httproutes", "churn-shadow"))
        waited.append((seconds, route is not None and routes.is_parked(route["spec"]["rules"])))

    api.put("inferenceservices", service.inference_service(churn_loop, 1, "d1"))
    controller.reconcile("PATCH", "inferenceservices")
    waited: list[tuple[float, bool]] = []
    gateway = KServeGateway(churn_loop, cluster, lambda versions: {}, pause=pause, patience=0.05)
    rolled(gateway, 0)
    gateway.mirror(2, True)
    gateway.mirror(2, False)
    assert [one for one in waited if one[0] == SETTLE] == [(SETTLE, True)] * 2


def test_a_route_that_the_gateway_does_not_see_parked_stays(gateway: KServeGateway, api: Any) -> None:
    rolled(gateway, 0)
    gateway.mirror(2, True)
    api.objects["httproutes", "churn-shadow"]["metadata"]["generation"] = 2
    with pytest.raises(GatewayLost, match="the gateway has not taken the route churn-shadow"):
        gateway.withdraw(2)
    assert ("httproutes", "churn-shadow") in api.objects
    assert len(services(api)) == 2
    # Run again it goes on, whether the gateway accepts the route now or says that it cannot.
    refused = {"type": "Accepted", "status": "False", "observedGeneration": 2}
    api.objects["httproutes", "churn-shadow"]["status"] = {"parents": [{"conditions": [refused]}]}
    gateway.withdraw(2)
    assert ("httproutes", "churn-shadow") not in api.objects


def test_a_parked_split_is_no_override(gateway: KServeGateway, api: Any) -> None:
    rolled(gateway, 0)
    gateway.split(2, AB(share=30))
    rules = api.objects["httproutes", "churn-ab"]["spec"]["rules"]
    assert gateway.weights() == {1: 70, 2: 30}
    api.objects["httproutes", "churn-ab"]["spec"]["rules"] = routes.parked(rules)
    assert gateway.weights() == {1: 100, 2: 0}


def services(api: Any) -> list[Any]:
    """The predictors that the InferenceService names."""
    spec = api.objects["inferenceservices", "churn"]["spec"]
    return [spec["predictor"], *(spec.get("canary") or [])]


def test_a_challenger_that_is_not_ready_gets_nothing(gateway: KServeGateway, controller: Controller) -> None:
    controller.ready = False
    gateway.add(2, "", "d2")
    with pytest.raises(NotReady, match="version 2 was not ready within 0 s: it has no pods"):
        gateway.wait_ready(2, 0)
    with pytest.raises(NotReady, match="KServe gives version 2 no traffic"):
        gateway.shift(2, 5)
    assert gateway.weights() == {1: 100, 2: 0}


def test_the_way_back_is_open_while_kserve_is_away(gateway: KServeGateway, api: Any) -> None:
    rolled(gateway, 50)
    api.errors["PATCH", "inferenceservices"] = 500, "failed calling webhook"
    with pytest.raises(GatewayLost, match="failed calling webhook"):
        gateway.shift(2, 0)
    assert gateway.weights() == {1: 100, 2: 0}
    del api.errors["PATCH", "inferenceservices"]
    gateway.shift(2, 0)
    assert ("httproutes", "churn-hold") not in api.objects
    assert gateway.weights() == {1: 100, 2: 0}


@pytest.mark.timeout(20)
@pytest.mark.usefixtures("gateway")
def test_the_way_back_waits_little_for_a_gateway_that_says_nothing(
    churn_loop: Loop, cluster: Cluster, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loopwright.rollout.kserve.routes.SETTLE", 0.05)
    api.after = lambda method, plural: None
    Routes(churn_loop, cluster, lambda seconds: None, 1000.0).hold(1)
    assert not routes.is_parked(api.objects["httproutes", "churn-hold"]["spec"]["rules"])


def test_a_route_that_is_not_written_is_a_lost_gateway(gateway: KServeGateway, controller: Controller) -> None:
    rolled(gateway, 5)
    controller.routes = False
    with pytest.raises(GatewayLost, match=r"has \{1: 95, 2: 5\} after 0 s, not 25 % for version 2"):
        gateway.shift(2, 25)


def test_a_route_that_the_gateway_does_not_take_is_told_apart(
    gateway: KServeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Routes, "taken", lambda routes: False)
    with pytest.raises(GatewayLost, match=r"after 0 s, which the gateway has not taken"):
        rolled(gateway, 5)


def test_a_patch_is_made_again_of_what_somebody_else_wrote(gateway: KServeGateway, api: Any) -> None:
    rolled(gateway, 5)
    spoiled = iter([True, True])
    call, put = api.call_api, api.put

    def meanwhile(path: str, method: str, **given: Any) -> Any:
        if method == "PATCH" and next(spoiled, False):
            found = api.objects["inferenceservices", "churn"]
            put("inferenceservices", found | {"metadata": found["metadata"] | {"labels": {"team": "growth"}}})
        return call(path, method, **given)

    api.call_api = meanwhile
    gateway.shift(2, 25)
    assert gateway.weights() == {1: 75, 2: 25}
    assert api.objects["inferenceservices", "churn"]["metadata"]["labels"] == {"team": "growth"}


def test_another_challenger_that_was_left_is_withdrawn_first(gateway: KServeGateway, controller: Controller) -> None:
    rolled(gateway, 25)
    gateway.add(3, "", "d3")
    assert controller.seen[-2:] == [{1: 100}, {1: 100, 3: 0}]


def test_no_service_is_a_lost_gateway(churn_loop: Loop, cluster: Cluster) -> None:
    gateway = KServeGateway(churn_loop, cluster, lambda versions: {})
    with pytest.raises(GatewayLost, match="there is no InferenceService churn in the namespace models"):
        gateway.weights()


@pytest.mark.parametrize("ends", [False, True])
def test_a_route_whose_rules_somebody_emptied_is_opened_and_removed_like_any_other(
    gateway: KServeGateway, api: Any, ends: bool
) -> None:
    rolled(gateway, 0)
    gateway.mirror(2, True)
    api.objects["httproutes", "churn-shadow"]["spec"]["rules"] = []
    gateway.mirror(2, not ends)
    assert (("httproutes", "churn-shadow") in api.objects) != ends
    assert ends or api.objects["httproutes", "churn-shadow"]["spec"]["rules"]
