import fcntl
import json
import os
from dataclasses import replace

import pytest
from tests.unit.rollout.conftest import METRICS, Behaviour, InMemoryGateway, Killed, gateway, kill_at

from loopwright.durations import Clock
from loopwright.errors import RolloutError
from loopwright.rollout import stage
from loopwright.rollout.counts import ANSWERS, UNKNOWN, ZERO
from loopwright.rollout.gateway import GatewayLost


def test_an_equal_challenger_takes_one_step_after_another_and_becomes_the_champion(world):
    plane = gateway()
    cause = world.ledger.append("churn", "registered", {"version": 2}).number
    outcome = world.run(plane, cause=cause)
    assert outcome.promoted
    assert (plane.stable, plane.canary, world.promoted) == (2, None, [2])
    assert [call[2] for call in plane.calls if call[0] == "shift"] == [5, 25, 50, 100]
    steps = [("shifted", "verdict")] * 4
    assert [kind for kind, _, _ in world.story()] == [
        "registered",
        "rollout",
        *(k for pair in steps for k in pair),
        "promoted",
    ]
    rollout, promoted = world.entries("rollout")[0], world.entries("promoted")[0]
    assert rollout.facts == {"version": 2, "champion": 1, "strategy": "canary", "steps": [5, 25, 50, 100]}
    assert promoted.facts == {"version": 2, "previous": 1, "seconds": outcome.seconds}
    assert [entry.kind for entry in world.ledger.causes(promoted.number)] == [kind for kind, _, _ in world.story()]
    assert outcome.seconds >= 4 * 30
    assert outcome.requests == plane.arms[2].requests
    assert not world.path.exists()
    assert world.ledger.verify() == len(world.entries())


def test_each_verdict_has_the_numbers_it_was_reached_with(world):
    world.run(gateway())
    verdict = world.entries("verdict")[0]
    assert set(verdict.facts) == {"version", "weight", "verdict", "reason", "evidence", "requests"}
    assert set(verdict.facts["evidence"]) == set(METRICS)
    assert verdict.facts["requests"] >= 100
    assert set(world.entries("verdict")[-1].facts["evidence"]) == {"error_rate", "latency_p99"}


@pytest.mark.parametrize(
    ("challenger", "metric", "most"),
    [
        ({"errors": 1.0}, "error_rate", 50),
        ({"errors": 0.1}, "error_rate", 500),
        ({"slow": 0.6}, "latency_p99", 300),
        ({"loss": 0.5}, "label_metric", 300),
        ({"shift": 16}, "prediction_shift", 3000),
    ],
    ids=["failing", "failing now and then", "slow", "wrong", "shifted"],
)
def test_a_worse_challenger_is_taken_back_and_the_champion_serves(world, challenger, metric, most):
    plane = gateway(**challenger)
    outcome = world.run(plane, metrics=METRICS if metric == "label_metric" else {metric: METRICS[metric]})
    assert not outcome.promoted
    assert outcome.reason.startswith(metric)
    assert (plane.stable, plane.canary, world.promoted) == (1, None, [])
    assert [call[0] for call in plane.calls[-2:]] == ["shift", "withdraw"]
    last = world.entries()[-1]
    assert (last.kind, world.ledger.get(last.cause).facts["verdict"]) == ("rolled_back", "roll_back")
    assert last.facts["requests"] == outcome.requests == plane.arms[2].requests <= most
    assert last.facts["errors"] == outcome.errors == plane.arms[2].errors
    assert last.facts["seconds_to_zero"] == outcome.seconds_to_zero == 0.25
    assert last.facts["seconds"] == outcome.seconds > 0
    assert last.facts["champion"] == 1


def test_a_challenger_that_turns_bad_at_full_traffic_is_taken_back(world):
    plane = gateway()
    plane.events[1000 + 3 * 33 + 10] = lambda it: it.behaviours.update({2: Behaviour(errors=0.3)})
    outcome = world.run(plane)
    assert not outcome.promoted
    assert world.story()[-2:] == [("verdict", 100, "roll_back"), ("rolled_back", None, None)]
    assert plane.weights() == {1: 100}


@pytest.mark.parametrize("how", ["no traffic", "counts that are NaN", "a monitor that is away"])
def test_what_cannot_be_told_waits_and_then_stops_and_never_promotes(world, how):
    plane = gateway()
    plane.rate = 0.0 if how == "no traffic" else plane.rate
    plane.blind = how == "counts that are NaN"
    if how == "a monitor that is away":
        known = plane.counts
        away = {name: getattr(UNKNOWN, name) for name in ANSWERS}
        plane.counts = lambda: {version: replace(arm, **away) for version, arm in known().items()}
    outcome = world.run(plane)
    assert not outcome.promoted
    assert outcome.reason.startswith("no verdict after 5m")
    assert 300 <= outcome.seconds < 310
    assert world.story() == [
        ("rollout", None, None),
        ("shifted", 5, None),
        ("verdict", 5, "cannot_tell"),
        ("verdict", 5, "roll_back"),
        ("rolled_back", None, None),
    ]
    assert plane.weights() == {1: 100}
    assert outcome.requests == (None if plane.blind else plane.arms.get(2, ZERO).requests)


def test_a_challenger_that_never_becomes_ready_is_taken_back_without_any_traffic(world):
    plane = gateway()
    plane.never_ready = True
    outcome = world.run(plane)
    assert not outcome.promoted
    assert outcome.reason == "version 2 was not ready within 300 s"
    assert (outcome.requests, outcome.errors) == (0, 0)
    assert not [call for call in plane.calls if call[0] == "shift" and call[2] > 0]
    assert plane.weights() == {1: 100}
    assert [entry.kind for entry in world.entries()] == ["rollout", "rolled_back"]


def test_a_challenger_that_the_data_plane_gives_less_than_it_should_is_taken_back(world):
    plane = gateway()
    plane.events[1010.0] = lambda it: setattr(it, "ceiling", 0)
    outcome = world.run(plane)
    assert outcome.reason == "the data plane gives it 0 % of the traffic instead of 5 %"


def test_without_a_champion_the_version_goes_live_at_once(world):
    plane = gateway()
    plane.stable = None
    outcome = world.run(plane)
    assert outcome.promoted
    assert (plane.stable, world.promoted, outcome.champion) == (2, [2], None)
    assert [entry.kind for entry in world.entries()] == ["rollout", "promoted"]
    assert world.entries("rollout")[0].facts["steps"] == []


def test_a_first_version_that_never_becomes_ready_is_taken_back(world):
    plane = gateway()
    plane.stable, plane.never_ready = None, True
    assert not world.run(plane).promoted
    assert plane.stable is None
    assert world.promoted == []


def test_blue_green_switches_once_and_keeps_the_old_colour_until_the_verdict(world):
    plane = gateway()
    for _ in range(60):
        plane.pause(1.0)
    assert world.run(plane, strategy="blue_green").promoted
    assert [call for call in plane.calls if call[0] != "add"] == [
        ("shift", 2, 100),
        ("promote", 2),
        ("withdraw", 1),
    ]
    plane = gateway(errors=0.5)
    plane.pause(2.0)
    assert not world.run(plane, strategy="blue_green", metrics={"error_rate": {}}).promoted
    assert plane.weights() == {1: 100}


@pytest.mark.parametrize("after", [0.5, 20.0, 45.0, 80.0, 120.0])
def test_a_rollout_that_is_killed_goes_on_where_it_was(world, after):
    plane = gateway()
    plane.events[1000 + after] = InMemoryGateway.kill
    with pytest.raises(Killed):
        world.run(plane)
    weight, story = plane.weights()[2], world.story()
    assert weight > 0, "nobody was there to take it back"
    plane.dead = False
    outcome = world.run(plane)
    assert outcome.promoted
    shifts = [call[2] for call in plane.calls if call[0] == "shift"]
    assert shifts == [5, 25, 50, 100]
    assert world.story()[: len(story)] == story
    assert len(world.entries("rollout")) == 1
    assert len(world.entries("shifted")) == len(world.entries("verdict")) == 4
    assert outcome.seconds < 4 * 35, "steps that were over were not done again"
    assert world.ledger.causes(outcome.entry)[0].kind == "rollout"


def test_going_on_in_another_pod_it_takes_the_bundle_that_is_there(world):
    plane, taken = gateway(), []
    add = plane.add
    plane.add = lambda version, bundle, digest: (taken.append(bundle), add(version, bundle, digest))
    plane.events[1020.0] = InMemoryGateway.kill
    with pytest.raises(Killed):
        world.run(plane, bundles="/tmp/of-the-first-pod")
    plane.dead = False
    assert world.run(plane, bundles="/tmp/of-the-second").promoted
    assert taken == ["/tmp/of-the-first-pod/2", "/tmp/of-the-second/2"]


@pytest.mark.parametrize("method", ["shift", "promote"])
def test_a_rollout_killed_between_doing_and_writing_does_it_once_more_and_writes_it_once(world, method):
    plane = gateway()
    kill_at(plane, method)
    with pytest.raises(Killed):
        world.run(plane)
    plane.dead = False
    assert world.run(plane).promoted
    assert (plane.stable, world.promoted) == (2, [2])
    assert [kind for kind, _, _ in world.story()].count("promoted") == 1
    assert len(world.entries("shifted")) == 4


@pytest.mark.parametrize("method", ["shift", "withdraw"])
def test_a_rollback_that_is_killed_is_finished(world, method):
    plane = gateway(errors=1.0)
    plane.events[1001.0] = lambda it: kill_at(it, method)
    with pytest.raises(Killed):
        world.run(plane)
    plane.dead = False
    outcome = world.run(plane)
    assert not outcome.promoted
    assert outcome.reason.startswith("error_rate")
    assert plane.weights() == {1: 100}
    assert len(world.entries("rolled_back")) == 1


def test_counters_that_begin_again_from_zero_lose_only_what_no_look_saw(world):
    plane, counted = gateway(), []

    def restart(it):
        counted.append(it.arms.pop(2).requests)
        it.arms.clear()

    plane.events[1110.0] = restart
    outcome = world.run(plane)
    assert outcome.promoted
    unseen = 2 * plane.rate * stage.SLOWEST
    assert counted[0] > 2 * unseen
    assert counted[0] + plane.arms[2].requests - unseen < outcome.requests <= counted[0] + plane.arms[2].requests


def test_another_version_ends_a_rollout_that_was_left_unfinished(world):
    plane = gateway()
    plane.events[1020.0] = InMemoryGateway.kill
    with pytest.raises(Killed):
        world.run(plane)
    plane.dead = False
    outcome = world.run(plane, version=3)
    assert outcome.promoted
    assert (plane.stable, world.promoted) == (3, [3])
    back = world.entries("rolled_back")[0]
    assert (back.facts["version"], back.facts["reason"]) == (
        2,
        "it was left unfinished, and version 3 was rolled out instead",
    )


def test_ctrl_c_takes_the_challenger_back(world):
    plane = gateway()
    plane.events[1050.0] = KeyboardInterrupt()
    outcome = world.run(plane)
    assert (outcome.promoted, outcome.reason) == (False, "stopped with Ctrl-C")
    assert plane.weights() == {1: 100}
    assert world.entries()[-1].kind == "rolled_back"
    assert not world.path.exists()


def test_a_data_plane_that_is_gone_leaves_the_rollout_to_be_resumed(world):
    plane = gateway()
    plane.events[1050.0] = GatewayLost("nothing serves churn")
    with pytest.raises(GatewayLost):
        world.run(plane)
    assert json.loads(world.path.read_text())["phase"] == "stepping"
    assert world.run(plane).promoted


def test_an_error_that_ends_a_rollout_takes_the_traffic_away_and_it_can_go_on(world):
    plane = gateway()
    plane.events[1050.0] = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        world.run(plane)
    assert plane.weights() == {1: 100, 2: 0}
    assert world.run(plane).promoted


def test_two_rollouts_exclude_each_other(world):
    plane = gateway()
    world.path.parent.mkdir(parents=True)
    with world.path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{os.getpid()} 7")
        file.flush()
        with pytest.raises(RolloutError, match=f"process {os.getpid()} is rolling out version 7"):
            world.run(plane)
    assert plane.calls == []
    assert world.run(plane).promoted


def test_the_champion_cannot_be_its_own_challenger(world):
    with pytest.raises(RolloutError, match="version 1 of churn takes all the traffic already"):
        world.run(gateway(), version=1)
    assert world.entries() == []


def test_a_champion_that_changed_while_the_rollout_was_stopped_is_refused(world):
    plane = gateway()
    plane.events[1020.0] = InMemoryGateway.kill
    with pytest.raises(Killed):
        world.run(plane)
    plane.dead, plane.stable = False, 3
    with pytest.raises(RolloutError, match="version 3 serves, and the rollout of version 2 began with 1"):
        world.run(plane)


def test_looks_are_told_but_the_ledger_is_written_only_when_something_changes(world):
    world.run(gateway())
    assert len(world.looks) > 60
    assert len(world.entries()) == 10
    assert 4 <= sum(look.changed for look in world.looks) < 25


def test_where_loop_time_runs_fast_processes_keep_their_real_seconds_and_the_ledger_its_wall_clock(world):
    world.settings = replace(world.settings, clock=Clock(86_400.0, 1000.0))
    outcome = world.run(gateway())
    assert outcome.promoted, "five minutes of the loop are 3 ms, in which nothing could be told"
    assert outcome.seconds < 200
    assert (world.entries()[-1].at - world.entries()[0].at).total_seconds() == pytest.approx(outcome.seconds)
