"""What came to nothing is taken up again: an alarm's run, and a rollout; each attempt at most once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from loopwright.errors import GateError, RegistryError, RolledBack, RolloutError, RunError, StateError
from loopwright.ledger import Ledger
from loopwright.trigger import RunResult
from loopwright.trigger.causes import read

HOUR = timedelta(hours=1)


@pytest.fixture
def send(body):
    """Deliver a webhook body to a trigger, and return the one outcome."""

    def deliver(trigger, *features, **kind):
        return trigger.receive(read(body(*features, **kind), "churn"))[0]

    return deliver


@pytest.fixture
def first(bench, send, wait):
    """The first attempt for the alarm, ended with this result; the trigger is idle afterwards."""

    def make(trigger, result, count=1):
        bench.engine.result = result
        outcome = send(trigger)
        assert outcome.decision.action == "start"
        bench.ended(count)
        wait(lambda: not trigger.busy())
        return outcome

    return make


@pytest.mark.parametrize(
    "result", [RunError("out of memory"), GateError("roc_auc is 0.71"), RunResult("failed", error="interrupted")]
)
def test_an_alarm_that_is_repeated_has_another_run_after_one_that_came_to_nothing(bench, send, first, loop, result):
    trigger = bench.trigger(loop(cooldown="1h"))
    trigger.start()
    before = first(trigger, result)
    assert send(trigger).decision.rule == "cooldown"
    bench.clock.advance(HOUR)
    bench.engine.result = RunResult("succeeded", version=2)
    again = send(trigger)
    assert again.decision.action == "start"
    assert again.entry == before.entry
    bench.ended(2)
    assert [entry.key for entry in bench.of("run")] == [
        f"churn/run/{before.entry}",
        f"churn/run/{before.entry}/2",
    ]
    assert len({entry.facts["run"] for entry in bench.of("run")}) == 2
    # Version 2 waits for its rollout, or is live: the alarm is answered with it for good.
    bench.clock.advance(30 * HOUR)
    assert send(trigger).run == again.run
    assert len(bench.engine.runs) == 2


def test_it_need_not_be_repeated_again_once_it_waits(bench, send, first, loop):
    trigger = bench.trigger(loop(cooldown="1h"))
    trigger.start()
    first(trigger, RunError("out of memory"))
    assert send(trigger).decision.rule == "cooldown"
    assert len(trigger.pending()) == 1
    bench.clock.advance(HOUR)
    bench.engine.result = RunResult("succeeded", version=2)
    trigger.reconsider()
    bench.ended(2)
    assert trigger.pending() == []


def test_an_alarm_that_is_over_has_no_other_run(bench, body, send, first, loop):
    trigger = bench.trigger(loop(cooldown="1h"))
    trigger.start()
    first(trigger, RunError("out of memory"))
    send(trigger)
    trigger.receive(read(body(status="resolved"), "churn"))
    bench.clock.advance(HOUR)
    trigger.reconsider()
    assert len(bench.of("run")) == 1


def test_two_runs_of_an_alarm_in_one_second_have_names_of_their_own(bench, send, first, loop):
    trigger = bench.trigger(loop(cooldown="0s"))
    trigger.start()
    outcomes = [first(trigger, RunError("no"), 1), first(trigger, RunError("no"), 2)]
    assert len({outcome.run for outcome in outcomes}) == 2
    assert len(bench.of("run_ended")) == 2


def test_a_version_that_was_taken_back_leaves_the_alarm_to_another_run(bench, send, first, loop, wait):
    def roll_back(version, *, cause):
        bench.ledger.append("churn", "rolled_back", {"version": version}, cause=cause)
        raise RolledBack("it is worse")

    trigger = bench.trigger(loop(cooldown="1h"), rollout=roll_back)
    trigger.start()
    first(trigger, RunResult("succeeded", version=2))
    wait(lambda: bench.of("rolled_back") and not trigger.busy())
    bench.clock.advance(HOUR)
    assert send(trigger).decision.action == "start"
    bench.ended(2)
    assert bench.of("rollout_failed") == []


def test_after_a_promotion_the_alarm_is_answered_with_its_run(bench, send, first, loop):
    trigger = bench.trigger(loop(cooldown="1h"))
    trigger.start()
    before = first(trigger, RunError("no"))
    bench.ledger.append("churn", "promoted", {"version": 3})
    bench.clock.advance(24 * HOUR)
    assert send(trigger).run == before.run
    assert len(bench.engine.runs) == 1


def test_the_daily_cap_and_the_breaker_bound_the_runs_of_one_alarm(bench, send, first, loop):
    capped = bench.trigger(loop(cooldown="1h", daily_cap=2, max_failures=9))
    capped.start()
    for count in (1, 2):
        first(capped, RunError("no"), count)
        bench.clock.advance(2 * HOUR)
    assert send(capped).decision.rule == "daily_cap"
    broken = bench.trigger(loop(cooldown="1h", daily_cap=9, max_failures=2))
    assert send(broken).decision.rule == "breaker"
    assert len(bench.of("run")) == 2
    # A refusal of each attempt is in the ledger, once.
    for _ in range(3):
        send(broken)
    keys = [entry.key.split("/", 1)[1] for entry in bench.of("decision") if entry.facts["action"] == "no"]
    assert keys == ["no/1/3/daily_cap", "no/1/3/breaker"]


def test_runs_that_were_interrupted_do_not_open_the_breaker(bench, send, loop):
    for number in (1, 2, 3):
        dead = bench.trigger(loop(cooldown="1h", max_failures=2, daily_cap=9))  # it dies before its worker begins
        outcome = send(dead)
        assert (outcome.decision.action, len(bench.of("run"))) == ("start", number)
        bench.clock.advance(timedelta(minutes=1))
        living = bench.trigger()
        living.start()
        assert bench.ended(number)[-1].facts["error"] == "interrupted"
        assert living.stop()
        bench.clock.advance(HOUR)
    assert bench.engine.runs == []


def test_a_second_attempt_at_two_triggers_at_once_is_one_run(bench, body, first, loop):
    triggers = [bench.trigger(loop(cooldown="1h")), bench.trigger(loop(cooldown="1h"))]
    for trigger in triggers:
        trigger.start()
    first(triggers[0], RunError("no"))
    bench.clock.advance(HOUR)
    bench.engine.result = RunResult("succeeded", version=2)
    barrier = threading.Barrier(8)
    received = read(body(), "churn")

    def deliver(number):
        barrier.wait(10)
        return triggers[number % 2].receive(received)[0]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(deliver, range(8)))
    bench.ended(2)
    assert len({outcome.run for outcome in outcomes}) == 1
    assert len(bench.engine.runs) == len(bench.of("run")) == 2
    assert [entry.key for entry in bench.of("decision")] == ["churn/start/1", "churn/start/2"]


def test_a_second_attempt_whose_claim_could_not_be_written_is_claimed_once_by_either(
    bench, send, first, loop, monkeypatch
):
    trigger = bench.trigger(loop(cooldown="1h"))
    trigger.start()
    first(trigger, RunError("no"))
    assert trigger.stop()
    bench.clock.advance(HOUR)
    bench.engine.result = RunResult("succeeded", version=2)
    dying, append = bench.trigger(loop(cooldown="1h")), Ledger.append

    def full(self, loop, kind, *rest, **more):
        if kind == "run":
            raise StateError("the disk is full")
        return append(self, loop, kind, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", full)
        with pytest.raises(StateError, match="disk is full"):
            send(dying)
    others = [bench.trigger(loop(cooldown="1h")) for _ in range(2)]
    for other in others:
        other.start()
    bench.ended(2)
    assert {send(other).run for other in others} == {bench.of("run")[-1].facts["run"]}
    assert [entry.key for entry in bench.of("run")] == ["churn/run/1", "churn/run/1/2"]
    assert len(bench.engine.runs) == 2


def test_a_repeat_is_no_new_attempt_while_the_second_run_is_under_way(bench, send, first, loop, wait):
    trigger = bench.trigger(loop(cooldown="1h"))
    trigger.start()
    first(trigger, RunError("no"))
    bench.clock.advance(HOUR)
    bench.engine.gate.clear()
    second = send(trigger)
    wait(lambda: len(bench.engine.runs) == 2)
    assert send(trigger).run == second.run
    assert send(bench.trigger()).run == second.run
    bench.engine.gate.set()
    bench.ended(2)


@pytest.fixture
def looks_often(monkeypatch):
    monkeypatch.setattr("loopwright.trigger.pending.LOOK_SECONDS", 0.01)


@pytest.mark.parametrize(
    "error",
    [RolloutError("process 41 is rolling out version 1"), StateError("locked"), RegistryError("away"), OSError("x")],
)
def test_a_rollout_that_cannot_go_on_is_tried_again_later_and_later(bench, send, wait, looks_often, error):
    def register(cause, run):
        bench.ledger.append("churn", "registered", {"version": 2, "run": run}, cause=cause)

    bench.engine.on_run, bench.engine.rollout_error = register, error
    trigger = bench.trigger()
    trigger.start()
    send(trigger)
    wait(lambda: len(bench.engine.rollouts) == 1 and not trigger.busy())
    for tries, seconds in ((2, 5), (3, 10), (4, 20)):
        wait(lambda: not trigger.busy())
        bench.clock.advance(timedelta(seconds=seconds - 1))
        trigger.reconsider()
        assert len(bench.engine.rollouts) == tries - 1
        bench.clock.advance(timedelta(seconds=1))
        trigger.reconsider()
        wait(lambda tries=tries: len(bench.engine.rollouts) == tries)
    wait(lambda: not trigger.busy())
    (registered,) = bench.of("registered")
    (failed,) = bench.of("rollout_failed")
    assert failed.cause == registered.number
    assert failed.facts["version"] == 2
    assert str(error) in failed.facts["reason"]
    bench.engine.rollout_error = None
    bench.clock.advance(timedelta(minutes=5))
    trigger.reconsider()
    wait(lambda: len(bench.engine.rollouts) == 5)
    assert set(bench.engine.rollouts) == {(2, registered.number)}
    bench.clock.advance(timedelta(days=1))
    trigger.reconsider()
    wait(lambda: not trigger.busy())
    assert len(bench.engine.rollouts) == 5


def test_each_reason_of_a_rollout_that_cannot_go_on_is_written_once(bench, send, wait):
    reasons = ["process 41 rolls out", "process 17 rolls out", "the gateway is away", "process 3 rolls out"]

    def roll_out(version, *, cause):
        bench.engine.rollouts.append((version, cause))
        raise RolloutError(reasons[len(bench.engine.rollouts) - 1])

    trigger = bench.trigger(rollout=roll_out)
    trigger.start()
    send(trigger)
    for tries in range(1, 5):
        wait(lambda tries=tries: len(bench.engine.rollouts) == tries and not trigger.busy())
        if tries < 4:
            bench.clock.advance(timedelta(minutes=5))
            trigger.reconsider()
    assert [entry.facts["reason"] for entry in bench.of("rollout_failed")] == [reasons[0], reasons[2]]


@pytest.mark.parametrize(
    ("kind", "version", "tried"), [("promoted", 3, False), ("rolled_back", 2, False), ("rolled_back", 3, True)]
)
def test_a_rollout_that_waits_is_given_up_when_it_is_over(bench, send, wait, kind, version, tried):
    bench.engine.rollout_error = RolloutError("not now")
    trigger = bench.trigger()
    trigger.start()
    send(trigger)
    wait(lambda: bench.engine.rollouts and not trigger.busy())
    bench.ledger.append("churn", kind, {"version": version})
    bench.clock.advance(timedelta(minutes=5))
    bench.engine.result = RunResult("rejected")
    trigger.reconsider()
    if tried:
        wait(lambda: len(bench.engine.rollouts) == 2)
    wait(lambda: not trigger._worker.queued() and not trigger.busy())
    assert trigger.request("to see that the worker went on", "Ada").decision.action == "start"
    if not tried:
        bench.ended(2)
        wait(lambda: not trigger.busy())
        assert len(bench.engine.rollouts) == 1


def test_a_rollout_that_waits_is_tried_even_when_the_ledger_could_not_be_read(
    bench, send, wait, looks_often, monkeypatch
):
    bench.engine.rollout_error = RolloutError("not now")
    trigger = bench.trigger()
    trigger.start()
    send(trigger)
    wait(lambda: bench.engine.rollouts and not trigger.busy())
    failures, unfinished = [], trigger._rollouts.unfinished

    def locked():
        if not failures:
            failures.append(1)
            raise StateError("the ledger is locked")
        return unfinished()

    monkeypatch.setattr(trigger._rollouts, "unfinished", locked)
    bench.clock.advance(timedelta(minutes=5))
    trigger.reconsider()
    wait(lambda: failures and trigger._rollouts.delay() is not None)
    assert len(bench.engine.rollouts) == 1
    bench.clock.advance(timedelta(minutes=5))
    trigger.reconsider()
    wait(lambda: len(bench.engine.rollouts) == 2)


def test_the_trigger_is_not_busy_for_ever_when_closing_a_run_fails(bench, send, wait, monkeypatch):
    trigger = bench.trigger()
    monkeypatch.setattr(trigger._executor, "_end", lambda *_: (_ for _ in ()).throw(ValueError("broken")))
    trigger.start()
    send(trigger)
    wait(lambda: bench.engine.runs)
    wait(lambda: not trigger.busy())
    assert trigger.alive()
