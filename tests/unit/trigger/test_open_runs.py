"""Runs that another process left open while a trigger was up are closed; those that are under way are left alone."""

from datetime import timedelta

import pytest

from loopwright.errors import RunError
from loopwright.trigger import RunResult
from loopwright.trigger.causes import read
from loopwright.trigger.execute import UNKNOWN_SECONDS
from loopwright.trigger.open_runs import ENDED_SECONDS

KILLED = RunResult("failed", error="interrupted")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr("loopwright.trigger.pending.LOOK_SECONDS", 0.01)


@pytest.fixture
def send(body):
    def deliver(trigger, **kind):
        return trigger.receive(read(body(**kind), "churn"))[0]

    return deliver


@pytest.fixture
def by_hand(bench):
    """A person's run begins in another process."""

    def begin(state=None):
        asked = bench.ledger.append("churn", "request", {"reason": "new prices", "by": "Ada"})
        if state:
            bench.engine.answers["by-hand"] = state
        facts = {"run": "by-hand", "engine": "local", "by": "Ada"}
        return bench.ledger.append("churn", "run", facts, cause=asked.number)

    return begin


@pytest.fixture
def pass_time(bench, wait):
    """Let seconds go by, one after the other, and see each time that the engine was asked and its answer taken."""

    def go(trigger, seconds, *, closed=False):
        def looked():
            with trigger._wake:
                times = set(trigger._open._asked.values())
                return bench.of("run_ended") or (times == {bench.clock.now} and not trigger._open._queued)

        for _ in range(int(seconds)):
            bench.clock.advance(timedelta(seconds=1))
            if closed and bench.of("run_ended"):
                return
            trigger.reconsider()
            wait(looked)

    return go


@pytest.mark.parametrize(("answer", "seconds"), [(KILLED, ENDED_SECONDS), (None, UNKNOWN_SECONDS)])
def test_a_run_whose_command_was_killed_is_closed_and_the_waiting_alarm_starts(
    bench, send, by_hand, pass_time, wait, answer, seconds
):
    trigger = bench.trigger()
    trigger.start()
    run = by_hand(answer)
    assert send(trigger).decision.rule == "in_flight"
    wait(lambda: bench.engine.asked)
    pass_time(trigger, seconds - 2)
    assert bench.of("run_ended") == []
    pass_time(trigger, 4)
    end = bench.ended(2)[0]
    assert (end.cause, end.key) == (run.number, f"churn/run_ended/{run.number}")
    assert (end.facts["run"], end.facts["state"], end.facts["error"]) == ("by-hand", "failed", "interrupted")
    wait(lambda: trigger.pending() == [])
    assert [name for _, name in bench.engine.runs] == [bench.of("run")[-1].facts["run"]]


def test_a_persons_request_is_taken_once_the_killed_run_is_closed(bench, by_hand, pass_time, wait):
    trigger = bench.trigger()
    trigger.start()
    by_hand(KILLED)
    assert trigger.request("now", "Ada").decision.rule == "in_flight"
    pass_time(trigger, ENDED_SECONDS + 2, closed=True)
    bench.ended(1)
    wait(lambda: not trigger.busy())
    assert trigger.request("now", "Ada").decision.action == "start"
    bench.ended(2)


def test_a_run_under_way_is_left_alone_and_does_not_hold_the_worker(bench, send, by_hand, pass_time, wait):
    trigger = bench.trigger()
    trigger.start()
    run = by_hand(RunResult("running"))
    assert send(trigger).decision.rule == "in_flight"
    pass_time(trigger, 2 * UNKNOWN_SECONDS)
    assert bench.of("run_ended") == []
    wait(lambda: not trigger.busy())
    # Its own command writes its end, just before the trigger would.
    bench.engine.answers["by-hand"] = RunResult("succeeded", version=5)
    pass_time(trigger, ENDED_SECONDS - 2)
    facts = {"run": "by-hand", "state": "succeeded", "seconds": 3.0, "version": 5, "error": None}
    bench.ledger.append("churn", "run_ended", facts, cause=run.number, key=f"churn/run_ended/{run.number}")
    bench.clock.advance(timedelta(seconds=30))
    trigger.reconsider()
    bench.ended(2)
    assert len([end for end in bench.of("run_ended") if end.facts["run"] == "by-hand"]) == 1


def test_a_run_under_way_when_the_trigger_starts_does_not_hold_the_worker_either(bench, by_hand, wait):
    by_hand(RunResult("running"))
    trigger = bench.trigger()
    trigger.start()
    wait(lambda: bench.engine.asked)
    done = []
    with trigger._wake:
        trigger._worker.add(lambda: done.append(1))
    wait(lambda: done)
    assert bench.of("run_ended") == []


def test_an_engine_that_cannot_be_asked_closes_nothing(bench, send, by_hand, wait):
    asked = []

    def ask(intent):
        asked.append(intent)
        raise (RunError("away") if len(asked) % 2 else ValueError("broken"))

    trigger = bench.trigger(ask=ask)
    trigger.start()
    by_hand()
    send(trigger)
    wait(lambda: asked)
    for count in range(2, 8):
        bench.clock.advance(timedelta(minutes=10))
        trigger.reconsider()
        wait(lambda count=count: len(asked) >= count)
    assert bench.of("run_ended") == []


def test_a_run_that_began_again_to_be_seen_is_given_the_whole_time_anew(bench, send, by_hand, pass_time):
    trigger = bench.trigger()
    trigger.start()
    by_hand(KILLED)
    send(trigger)
    pass_time(trigger, ENDED_SECONDS - 2)
    bench.engine.answers["by-hand"] = RunResult("running")
    pass_time(trigger, 3)
    bench.engine.answers["by-hand"] = KILLED
    pass_time(trigger, ENDED_SECONDS - 2)
    assert bench.of("run_ended") == []


def test_the_run_of_a_trigger_that_died_is_closed_and_rolled_out_by_one_of_two_that_are_up(
    bench, send, wait, pass_time
):
    up = [bench.trigger(), bench.trigger()]
    for trigger in up:
        trigger.start()
    dead = bench.trigger()  # it claims the run, and dies; the run goes on and succeeds
    with up[0]._wake, up[1]._wake:  # between its decision and its claim, one of them would claim the run
        outcome = send(dead)
    bench.engine.answers[outcome.run] = RunResult("succeeded", version=2)
    for trigger in up:
        assert trigger.request("now", "Ada").decision.rule == "in_flight"

    def later():
        bench.clock.advance(timedelta(seconds=1))
        for trigger in up:
            trigger.reconsider()
        return bench.of("run_ended")

    (end,) = wait(later)
    wait(lambda: bench.engine.rollouts == [(2, end.number)])
    assert bench.engine.runs == []


def test_a_trigger_that_starts_leaves_a_run_that_another_has_just_claimed(bench, send, wait, pass_time):
    claimed = send(bench.trigger())
    trigger = bench.trigger()
    trigger.start()
    wait(lambda: bench.engine.asked)
    pass_time(trigger, UNKNOWN_SECONDS - 2)
    assert bench.of("run_ended") == []
    bench.engine.answers[claimed.run] = RunResult("running")
    pass_time(trigger, UNKNOWN_SECONDS)
    assert bench.of("run_ended") == []


def test_a_trigger_does_not_close_its_own_run_nor_run_one_that_was_closed(bench, send, wait, monkeypatch):
    bench.engine.gate.clear()
    trigger = bench.trigger()
    trigger.start()
    outcome = send(trigger)
    wait(lambda: bench.engine.runs)
    for _ in range(3):
        bench.clock.advance(timedelta(minutes=5))
        trigger.reconsider()
    assert bench.engine.asked == []
    bench.engine.gate.set()
    assert bench.ended()[0].facts["run"] == outcome.run
    assert trigger.stop()

    late = bench.trigger()
    bench.clock.advance(timedelta(days=2))
    claimed = send(late, group="g2")
    run = bench.of("run")[-1]
    facts = {"run": claimed.run, "state": "failed", "seconds": 0.0, "version": None, "error": "interrupted"}
    bench.ledger.append("churn", "run_ended", facts, cause=run.number, key=f"churn/run_ended/{run.number}")
    late.start()
    wait(lambda: not late._worker.queued() and not late.busy())
    assert late.stop(10)
    assert len(bench.engine.runs) == 1
