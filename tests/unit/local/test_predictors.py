import asyncio

import pytest

from loopwright.local import predictors
from loopwright.local.predictors import Predictors, Replica, Route, route
from loopwright.rollout.envoy import Upstream
from loopwright.rollout.envoy_admin import Loaded
from loopwright.rollout.state import Placement, Predictor, Serving

ONE, TWO = Placement(1, "/one", "00"), Placement(2, "/two", "00")


def canary(weight):
    return Placement(2, "/two", "00", weight)


@pytest.mark.parametrize(
    ("serving", "entered", "weights"),
    [
        (Serving(ONE), {1: True}, {1: 100}),
        (Serving(ONE), {1: False}, {}),
        (Serving(ONE, canary(5)), {1: True, 2: True}, {1: 95, 2: 5}),
        (Serving(ONE, canary(0)), {1: True, 2: True}, {1: 100, 2: 0}),
        (Serving(ONE, canary(0)), {1: True, 2: False}, {1: 100}),
        (Serving(ONE, canary(50)), {1: True, 2: False}, {1: 100}),
        (Serving(ONE, canary(100)), {1: True, 2: False}, {1: 100}),
        (Serving(ONE, canary(5)), {1: False, 2: True}, {}),
        (Serving(ONE, canary(100)), {1: False, 2: True}, {2: 100}),
        (Serving(None, canary(100)), {2: True}, {2: 100}),
        (Serving(None, canary(0)), {2: True}, {}),
        (Serving(), {}, {}),
    ],
)
def test_a_version_has_weight_only_when_it_was_ready_and_a_canary_only_what_it_was_given(serving, entered, weights):
    found = route("churn", serving, entered)
    assert found.weights == weights
    assert bool(found.missing) == (not weights)


def test_what_is_missing_is_named():
    assert route("churn", Serving(), {}) == Route({}, "no version of churn is live: roll one out")
    assert "version 1 of churn is not ready yet" in route("churn", Serving(ONE), {1: False}).missing
    assert "version 1 and 2 of churn" in route("churn", Serving(ONE, canary(5)), {}).missing
    assert "version 2 of churn has no share" in route("churn", Serving(None, canary(0)), {2: True}).missing


class FakeService:
    """In place of a process: its state is set by the test, and it stops when it is let go."""

    def __init__(self, replica):
        self.replica, self.state, self.killed, self.gone = replica, "starting", 0, asyncio.Event()

    def tick(self):
        self.replica.http, self.replica.grpc = 1000 + self.replica.placement.version, 2000

    def kill(self):
        self.killed += 1

    def observed(self, http, grpc):
        return Predictor(self.state, http, grpc)

    async def stop(self, grace):
        self.state = "stopping"
        await self.gone.wait()


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(predictors.time, "monotonic", lambda: Clock.now)
    return Clock


def fleet():
    services = {}

    def make(replica: Replica):
        services[replica.placement.version] = FakeService(replica)
        return services[replica.placement.version]

    return Predictors(make, grace=1.0), services


def loaded(version, active=0):
    return {version: Loaded(Upstream(version, 1, 2), active)}


def test_a_version_that_was_ready_keeps_its_place_in_the_route_while_it_restarts():
    fleet_, services = fleet()
    fleet_.tick(Serving(ONE))
    assert fleet_.entered() == {1: False}
    services[1].state = "ready"
    fleet_.tick(Serving(ONE))
    assert fleet_.ready()
    services[1].state = "failed"
    fleet_.tick(Serving(ONE))
    assert fleet_.entered() == {1: True}
    assert not fleet_.ready()


def test_an_unwanted_version_waits_for_the_route_then_for_its_requests_then_loses_its_clusters_then_ends(clock):
    async def scenario():
        fleet_, services = fleet()
        fleet_.tick(Serving(ONE, canary(100)))
        for service in services.values():
            service.state = "ready"
        fleet_.tick(Serving(TWO))
        fleet_.leave({1: 0, 2: 100}, loaded(1))
        clock.now += 10
        fleet_.leave({2: 100}, loaded(1, active=1))
        clock.now += predictors.SETTLE + 0.1
        fleet_.leave({2: 100}, loaded(1, active=1))
        assert set(fleet_.upstreams()) == {1, 2}, "a request is in flight"
        fleet_.leave({2: 100}, loaded(1))
        assert set(fleet_.upstreams()) == {2}
        fleet_.leave({2: 100}, loaded(1))
        await asyncio.sleep(0)
        assert services[1].state == "ready", "Envoy has its clusters yet"
        fleet_.leave({2: 100}, {})
        await asyncio.sleep(0)
        assert services[1].state == "stopping"
        assert set(fleet_.observed()) == {1, 2}
        services[1].gone.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        fleet_.tick(Serving(TWO))
        assert set(fleet_.observed()) == {2}
        assert not fleet_.leaving

    asyncio.run(scenario())


def test_a_request_that_never_ends_does_not_hold_a_version_for_ever(clock):
    fleet_, services = fleet()
    fleet_.tick(Serving(ONE))
    services[1].state = "ready"
    fleet_.tick(Serving())
    fleet_.leave({}, loaded(1, active=1))
    clock.now += predictors.DRAIN + 1
    fleet_.leave({}, loaded(1, active=1))
    assert fleet_.upstreams() == {}


def test_a_version_that_is_wanted_again_while_it_drains_stays(clock):
    fleet_, services = fleet()
    fleet_.tick(Serving(ONE))
    services[1].state = "ready"
    fleet_.tick(Serving())
    fleet_.leave({}, loaded(1))
    clock.now += 1
    fleet_.leave({}, loaded(1))
    assert fleet_.upstreams() == {}
    fleet_.tick(Serving(ONE))
    assert set(fleet_.upstreams()) == {1}
    assert fleet_.entered() == {1: True}


def test_another_bundle_for_a_version_starts_its_process_anew():
    fleet_, services = fleet()
    fleet_.tick(Serving(ONE))
    fleet_.tick(Serving(Placement(1, "/elsewhere", "00")))
    assert services[1].killed == 1
    assert services[1].replica.placement.bundle == "/elsewhere"
