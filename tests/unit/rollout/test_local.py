import math
import os
import subprocess
import sys

import httpx
import pytest

from loopwright.errors import RolloutError
from loopwright.loop import Loop
from loopwright.rollout.counts import ANSWERS, TRAFFIC, ZERO
from loopwright.rollout.gateway import Gateway, GatewayLost, NotReady
from loopwright.rollout.local import LocalGateway
from loopwright.rollout.state import (
    Placement,
    Predictor,
    Serving,
    Status,
    read_serving,
    read_status,
    write_serving,
    write_status,
)
from loopwright.settings import Settings

ENVOY = """
envoy_cluster_upstream_rq_completed{envoy_cluster_name="version-1"} 90
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="version-1"} 2
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="version-1",le="40"} 80
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="version-1",le="+Inf"} 90
"""
MONITOR = 'loopwright_prediction_bucket_total{loop="churn",version="1",bucket="0"} 90\n'
ONE = Placement(1, "/bundles/1", "aa")


def loop(**analysis):
    return Loop.model_validate(
        {
            "apiVersion": "loopwright/v1",
            "kind": "Loop",
            "metadata": {"name": "churn"},
            "data": {"source": "data.csv", "label": {"column": "y"}, "contract": {"x": {"type": "number"}}},
            "model": {"task": "classification"},
            "rollout": {"analysis": analysis},
        }
    )


class Supervisor:
    """A stand-in for `loopwright up`: one reconciliation each time that the gateway waits."""

    def __init__(self, live):
        self.live, self.pid, self.route, self.state, self.restarts, self.stuck = (
            live,
            os.getpid(),
            True,
            "ready",
            0,
            False,
        )
        self.wanted = []
        self.tick()

    def tick(self, seconds=0.0):
        if self.stuck:
            return
        serving = read_serving(self.live)
        if not self.wanted or serving != self.wanted[-1]:
            self.wanted.append(serving)
        known = read_status(self.live)
        predictors = {
            one.version: Predictor(
                self.state if known and one.version in known.predictors else "starting", restarts=self.restarts
            )
            for one in (serving.stable, serving.canary)
            if one is not None
        }
        ready = all(one.state == "ready" for one in predictors.values())
        weights = serving.weights() if ready and self.route else (dict(known.weights) if known else {})
        problems = {} if ready else {"predictor 2": "predictor 2 ended with code 8"}
        endpoints = {"envoy_admin": "http://envoy", "monitor": "http://monitor"}
        write_status(self.live, Status(self.pid, 1.0, endpoints, predictors, weights, problems))


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path, "", "")


@pytest.fixture
def supervisor(settings):
    write_serving(settings.live, Serving(stable=ONE))
    supervisor = Supervisor(settings.live)
    supervisor.tick()
    return supervisor


def answer(request):
    if request.url.host == "envoy":
        assert request.url.path == "/stats/prometheus"
        return httpx.Response(200, text=ENVOY)
    return httpx.Response(200, text=MONITOR)


@pytest.fixture
def make(settings, supervisor):
    clients = []

    def made(handler=answer, **analysis):
        clients.append(httpx.Client(transport=httpx.MockTransport(handler)))
        return LocalGateway(loop(**analysis), settings, clients[-1], pause=supervisor.tick)

    yield made
    for client in clients:
        client.close()


def test_it_is_a_gateway(make):
    gateway: Gateway = make()
    assert gateway.champion() == 1
    assert gateway.weights() == {1: 100}


def test_a_challenger_comes_takes_its_share_and_becomes_the_champion(make, settings, supervisor):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    gateway.add(2, "/bundles/2", "bb")
    gateway.wait_ready(2, 5)
    gateway.shift(2, 25)
    assert gateway.weights() == {1: 75, 2: 25}
    gateway.promote(2)
    assert gateway.weights() == {2: 100}
    assert read_serving(settings.live) == Serving(stable=Placement(2, "/bundles/2", "bb"))
    # The challenger had all the traffic before the champion went.
    assert Serving(ONE, Placement(2, "/bundles/2", "bb", 100)) in supervisor.wanted
    gateway.promote(2)
    assert gateway.champion() == 2


def test_a_challenger_is_taken_out_of_the_traffic_before_it_is_withdrawn(make, settings, supervisor):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    gateway.wait_ready(2, 5)
    gateway.shift(2, 25)
    gateway.withdraw(2)
    assert gateway.weights() == {1: 100}
    assert supervisor.wanted[-2:] == [Serving(ONE, Placement(2, "/bundles/2", "bb", 0)), Serving(ONE)]
    gateway.withdraw(2)
    gateway.shift(2, 0)


def test_a_first_version_has_all_the_traffic_and_can_be_withdrawn(make, settings):
    write_serving(settings.live, Serving())
    gateway = make()
    assert gateway.champion() is None
    gateway.add(2, "/bundles/2", "bb")
    gateway.wait_ready(2, 5)
    gateway.promote(2)
    assert gateway.weights() == {2: 100}
    gateway.withdraw(2)
    assert gateway.champion() is None


def test_a_challenger_that_a_lost_rollout_left_is_withdrawn_for_the_next(make, settings, supervisor):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    gateway.wait_ready(2, 5)
    gateway.shift(2, 50)
    gateway.add(3, "/bundles/3", "cc")
    assert read_serving(settings.live) == Serving(ONE, Placement(3, "/bundles/3", "cc"))
    assert Serving(ONE) in supervisor.wanted


def test_a_challenger_that_ends_again_and_again_is_not_ready_and_says_why(make, supervisor):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    supervisor.state, supervisor.restarts = "failed", 2
    with pytest.raises(NotReady, match="version 2 does not start: predictor 2 ended with code 8"):
        gateway.wait_ready(2, 5)


def restarted(settings, champion, weights, problems=None):
    """What a supervisor says that was started again, and whose challenger is ready."""
    predictors = {1: Predictor(champion), 2: Predictor("ready")}
    write_status(settings.live, Status(os.getpid(), 1.0, {}, predictors, weights, problems or {}))


def test_a_challenger_waits_for_a_champion_that_starts_again(make, settings, supervisor):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    restarted(settings, "starting", {})
    waits = []

    def pause(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            restarted(settings, "ready", {1: 100, 2: 0})

    gateway._pause = pause
    gateway.wait_ready(2, 60)
    assert len(waits) == 3


def test_a_champion_that_does_not_come_is_not_the_challengers_fault(make, settings, supervisor):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    restarted(settings, "failed", {}, {"predictor 1": "predictor 1 ended with code 8"})
    supervisor.stuck = True
    with pytest.raises(
        RolloutError, match=r"version 1, the champion, took no traffic .*: predictor 1 ended"
    ) as refused:
        gateway.wait_ready(2, 0)
    assert not isinstance(refused.value, NotReady)


def test_a_champion_that_fails_while_it_serves_is_not_waited_for(make, settings):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    restarted(settings, "failed", {1: 100, 2: 0})
    gateway.wait_ready(2, 0)


def test_a_challenger_that_is_not_ready_in_time_says_so(make, supervisor):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    supervisor.state = "starting"
    supervisor.tick()
    with pytest.raises(NotReady, match="version 2 was not ready within 0 s: predictor 2 ended"):
        gateway.wait_ready(2, 0)


def test_a_share_that_envoy_does_not_take_is_said_with_what_it_has(make, supervisor, monkeypatch):
    monkeypatch.setattr("loopwright.rollout.local.PATIENCE", 0.0)
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    gateway.wait_ready(2, 5)
    supervisor.route = False
    with pytest.raises(NotReady, match=r"Envoy did not take 50 % for version 2 .*it has \{1: 100"):
        gateway.shift(2, 50)


def test_a_version_that_is_no_challenger_gets_no_share(make):
    with pytest.raises(NotReady, match="version 9 is no longer wanted"):
        make().shift(9, 5)


def test_counts_come_from_envoy_and_the_monitor(make):
    gateway = make(latency_p99={"max": "40ms"})
    gateway.add(2, "/bundles/2", "bb")
    arms = gateway.counts()
    assert (arms[1].requests, arms[1].errors, arms[1].slow, arms[1].predictions) == (90, 2, 10, (90.0,))
    assert arms[2] == ZERO


def test_without_a_latency_limit_nothing_is_slow(make):
    assert make().counts()[1].slow == 0


@pytest.mark.parametrize(("away", "unknown", "known"), [("envoy", TRAFFIC, ANSWERS), ("monitor", ANSWERS, TRAFFIC)])
@pytest.mark.parametrize("how", ["refused", "500"])
def test_a_source_that_does_not_answer_is_unknown_and_not_zero(make, away, unknown, known, how):
    def broken(request):
        if request.url.host != away:
            return answer(request)
        if how == "500":
            return httpx.Response(500)
        raise httpx.ConnectError("refused")

    arm = make(broken).counts()[1]
    assert not arm.known(unknown)
    assert all(math.isnan(getattr(arm, name)) for name in unknown if name != "predictions")
    assert arm.known(known)


@pytest.mark.parametrize("call", ["champion", "weights", "counts"])
def test_where_nothing_is_up_it_says_what_to_do(settings, call):
    with httpx.Client() as client:
        gateway = LocalGateway(loop(), settings, client)
        with pytest.raises(GatewayLost, match=r"`loopwright up` is not running\. Start `loopwright up`"):
            getattr(gateway, call)()


def test_a_supervisor_that_was_killed_is_not_running(make, supervisor):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    supervisor.pid = ended.pid
    supervisor.tick()
    with pytest.raises(GatewayLost, match="not running"):
        make().add(2, "/bundles/2", "bb")


def test_a_supervisor_that_goes_while_it_is_waited_for_is_noticed(make, supervisor, settings):
    gateway = make()
    gateway.add(2, "/bundles/2", "bb")
    supervisor.stuck = True
    (settings.live / "status.json").unlink()
    with pytest.raises(GatewayLost, match="not running"):
        gateway.wait_ready(2, 60)
