import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from loopwright.errors import GateError, RolloutError, RunError, StateError
from loopwright.ledger import Ledger
from loopwright.trigger import RunResult
from loopwright.trigger.causes import read


@pytest.fixture
def send(body):
    """Deliver a webhook body to a trigger."""

    def deliver(trigger, *features, **kind):
        return trigger.receive(read(body(*features, **kind), "churn"))

    return deliver


def test_an_alarm_starts_one_run_and_its_version_is_rolled_out(bench, send, wait):
    def register(cause, run):
        bench.ledger.append("churn", "registered", {"version": 2, "run": run}, cause=cause)

    bench.engine.on_run = register
    trigger = bench.trigger()
    trigger.start()
    (outcome,) = send(trigger, "age")
    assert outcome.decision.action == "start"
    wait(lambda: bench.engine.rollouts)
    assert bench.kinds() == ["alarm", "decision", "run", "registered", "run_ended"]
    alarm, decision, run, registered, end = bench.ledger.entries("churn")
    assert [decision.cause, run.cause, end.cause] == [alarm.number, decision.number, run.number]
    assert run.key == f"churn/run/{alarm.number}"
    assert dict(run.facts) == {"run": outcome.run, "engine": "local", "by": "drift"}
    assert dict(end.facts) == {"run": outcome.run, "state": "succeeded", "seconds": 0, "version": 2, "error": None}
    assert bench.engine.runs == [(run.number, outcome.run)]
    assert bench.engine.rollouts == [(2, registered.number)]
    assert [entry.kind for entry in bench.ledger.causes(registered.number)] == [
        "alarm",
        "decision",
        "run",
        "registered",
    ]


def test_the_run_is_in_the_ledger_before_it_starts(bench, send, wait):
    seen = []
    bench.engine.on_run = lambda cause, _run: seen.append(bench.ledger.get(cause).kind)
    trigger = bench.trigger()
    trigger.start()
    send(trigger)
    assert wait(lambda: seen) == ["run"]


def test_nothing_starts_where_the_claim_cannot_be_written(bench, send, wait, monkeypatch):
    trigger = bench.trigger()
    trigger.start()
    append = Ledger.append

    def full(self, loop, kind, *rest, **more):
        if kind == "run":
            raise StateError("the disk is full")
        return append(self, loop, kind, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", full)
        with pytest.raises(StateError, match="disk is full"):
            send(trigger)
        assert bench.engine.runs == []
    # Alertmanager sends it again after a 503, and then the decision that was made is carried out.
    (outcome,) = send(trigger)
    assert outcome.decision.action == "start"
    bench.ended()
    assert bench.kinds() == ["alarm", "decision", "run", "run_ended"]


def test_repeats_of_an_episode_start_one_run(bench, send):
    trigger = bench.trigger()
    trigger.start()
    outcomes = [send(trigger, "age")[0] for _ in range(20)]
    bench.ended()
    outcomes += [send(trigger, "age")[0] for _ in range(20)]
    bench.clock.advance(timedelta(days=30))
    outcomes += [send(trigger, "age", "income")[0]]
    assert len({outcome.run for outcome in outcomes}) == 1
    assert len(bench.engine.runs) == 1
    assert bench.kinds() == ["alarm", "decision", "run", "run_ended"]


def test_the_same_alarm_at_two_triggers_at_once_is_exactly_one_run(bench, body):
    triggers = [bench.trigger(), bench.trigger()]
    for trigger in triggers:
        trigger.start()
    barrier = threading.Barrier(8)
    received = read(body("age"), "churn")

    def deliver(number):
        barrier.wait(10)
        return triggers[number % 2].receive(received)[0]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(deliver, range(8)))
    bench.ended()
    assert len({outcome.run for outcome in outcomes}) == 1
    assert {outcome.decision.action for outcome in outcomes} == {"start"}
    assert len(bench.engine.runs) == 1
    assert bench.kinds() == ["alarm", "decision", "run", "run_ended"]


def test_different_alarms_at_two_triggers_at_once_are_one_run_in_flight(bench, body, loop):
    both_have_seen_a_free_way = threading.Barrier(2)

    def count_rows():
        both_have_seen_a_free_way.wait(10)
        return 1

    triggers = [bench.trigger(loop(min_new_rows=1), new_rows=count_rows) for _ in range(2)]

    def deliver(number):
        return triggers[number].receive(read(body("age", group=f"g{number}"), "churn"))[0]

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(deliver, range(2)))
    assert sorted(outcome.decision.action for outcome in outcomes) == ["no", "start"]
    assert sorted(bench.decisions()) == [("no", "in_flight"), ("start", "alarm")]
    assert len(bench.of("run")) == 1


def test_an_alarm_in_its_cooldown_is_recorded_once_and_eventually_started(bench, send, loop):
    trigger = bench.trigger(loop(cooldown="24h"))
    trigger.start()
    send(trigger, group="g1")
    bench.ended()
    bench.clock.advance(timedelta(hours=1))
    for _ in range(5):
        (outcome,) = send(trigger, group="g2")
        assert (outcome.decision.action, outcome.decision.rule) == ("no", "cooldown")
    assert bench.decisions() == [("start", "alarm"), ("no", "cooldown")]
    assert [pending.alarm.number for pending in trigger.pending()] == [outcome.entry]

    bench.clock.advance(timedelta(hours=22, minutes=59))
    trigger.reconsider()
    assert len(bench.of("run")) == 1
    bench.clock.advance(timedelta(minutes=1))
    trigger.reconsider()
    bench.ended(2)
    assert bench.decisions()[2:] == [("start", "alarm")]
    assert trigger.pending() == []


def test_the_timer_starts_a_waiting_run_with_nobody_asking(bench, send, loop, monkeypatch):
    monkeypatch.setattr("loopwright.trigger.pending.LOOK_SECONDS", 0.02)
    trigger = bench.trigger(loop(cooldown="24h"))
    trigger.start()
    send(trigger, group="g1")
    bench.ended()
    (outcome,) = send(trigger, group="g2")
    assert outcome.decision.rule == "cooldown"
    bench.clock.advance(timedelta(hours=24))
    bench.ended(2)


def test_an_alarm_during_a_run_is_started_when_the_run_has_ended(bench, send, loop, wait):
    bench.engine.gate.clear()
    trigger = bench.trigger(loop(cooldown="0s"), real_clock=True)
    trigger.start()
    send(trigger, group="g1")
    wait(lambda: bench.engine.runs)
    (outcome,) = send(trigger, group="g2")
    assert (outcome.decision.action, outcome.decision.rule) == ("no", "in_flight")
    bench.engine.gate.set()
    bench.ended(2)
    assert len(bench.engine.runs) == 2


def test_an_alarm_waits_until_enough_rows_have_come(bench, send, loop):
    trigger = bench.trigger(loop(min_new_rows=10))
    trigger.start()
    assert send(trigger)[0].decision.rule == "min_new_rows"
    bench.engine.new_rows = 10
    assert send(trigger)[0].decision.action == "start"
    bench.ended()


def test_resolved_clears_what_waits_and_starts_nothing(bench, send, loop):
    trigger = bench.trigger(loop(min_new_rows=10))
    trigger.start()
    send(trigger)
    assert send(trigger, status="resolved") == []
    assert trigger.pending() == []
    bench.engine.new_rows = 10
    bench.clock.advance(timedelta(days=1))
    trigger.reconsider()
    assert bench.decisions() == [("no", "min_new_rows"), ("no", "resolved")]
    assert bench.of("run") == []


def test_resolved_of_another_group_clears_nothing(bench, send, loop):
    trigger = bench.trigger(loop(min_new_rows=10))
    send(trigger, group="g1")
    send(trigger, group="g2", status="resolved")
    send(trigger, group="g1", alertname="Other", status="resolved")
    assert len(trigger.pending()) == 1


def test_a_newer_episode_of_a_group_takes_the_place_of_the_waiting_one(bench, send, loop):
    trigger = bench.trigger(loop(min_new_rows=10))
    send(trigger)
    (newer,) = send(trigger, starts="2025-03-01T11:45:00Z")
    assert [pending.alarm.number for pending in trigger.pending()] == [newer.entry]


def test_a_waiting_alarm_is_not_lost_when_its_repeat_meets_an_unusable_ledger(bench, send, loop):
    counts = [0]

    def count_rows():
        if not counts:
            raise StateError("the ledger is locked")
        return counts.pop()

    trigger = bench.trigger(loop(min_new_rows=10), new_rows=count_rows)
    (outcome,) = send(trigger)
    with pytest.raises(StateError, match="locked"):
        send(trigger)
    assert [pending.alarm.number for pending in trigger.pending()] == [outcome.entry]


def test_an_alarm_that_no_rule_of_the_loop_names_is_not_kept(bench, send):
    trigger = bench.trigger()
    assert send(trigger, alertname="DiskFull")[0].decision.rule == "source"
    assert trigger.pending() == []


def test_a_waiting_alarm_about_a_replaced_version_is_let_go(bench, send, loop):
    trigger = bench.trigger(loop(min_new_rows=10))
    send(trigger, version="1")
    bench.ledger.append("churn", "promoted", {"version": 2})
    assert send(trigger, version="1")[0].decision.rule == "superseded"
    assert trigger.pending() == []


def test_alerts_of_another_loop_are_recorded_once_and_start_nothing(bench, send):
    trigger = bench.trigger()
    for group in ("g1", "g2", "g3"):
        assert send(trigger, loop="fraud", group=group) == []
    (decision,) = bench.of("decision")
    assert decision.facts["rule"] == "other_loop"
    assert "'fraud'" in decision.facts["reason"]
    assert bench.kinds() == ["decision"]


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (RunError("the trainer ran out of memory"), "failed", "the trainer ran out of memory"),
        (GateError("roc_auc is 0.71"), "rejected", "roc_auc is 0.71"),
        (ZeroDivisionError("division by zero"), "failed", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_of_the_engine_ends_the_run_and_not_the_worker(bench, send, error, state, text):
    bench.engine.result = error
    trigger = bench.trigger()
    trigger.start()
    send(trigger)
    (end,) = bench.ended()
    assert (end.facts["state"], end.facts["error"], end.facts["version"]) == (state, text, None)
    assert trigger.alive()
    assert bench.engine.rollouts == []


def test_the_breaker_stops_automatic_runs_until_a_persons_run_succeeds(bench, send, loop, wait):
    bench.engine.result = RunResult("failed", error="no")
    trigger = bench.trigger(loop(cooldown="1h", max_failures=2))
    trigger.start()
    for number in (1, 2):
        assert send(trigger, group=f"g{number}")[0].decision.action == "start"
        bench.ended(number)
        wait(lambda: not trigger.busy())
        bench.clock.advance(timedelta(hours=2))
    assert send(trigger, group="g3")[0].decision.rule == "breaker"
    bench.engine.result = RunResult("succeeded")
    assert trigger.request("mended", "Ada").decision.action == "start"
    bench.ended(3)
    # The waiting alarm is looked at when the person's run has ended.
    bench.ended(4)
    assert [entry.facts["state"] for entry in bench.of("run_ended")] == ["failed", "failed", "succeeded", "succeeded"]
    assert [entry.facts["by"] for entry in bench.of("run")] == ["drift", "drift", "Ada", "drift"]


def test_a_person_starts_a_run_in_the_cooldown_but_not_beside_another(bench, send, wait):
    bench.engine.gate.clear()
    trigger = bench.trigger()
    trigger.start()
    send(trigger)
    refused = trigger.request("new prices", "Ada")
    assert (refused.decision.action, refused.decision.rule) == ("no", "in_flight")
    assert trigger.pending() == []
    bench.engine.gate.set()
    bench.ended()
    wait(lambda: not trigger.busy())
    allowed = trigger.request("new prices", "Ada")
    assert allowed.decision.action == "start"
    bench.ended(2)
    request = bench.ledger.get(allowed.entry)
    assert (request.kind, dict(request.facts)) == ("request", {"reason": "new prices", "by": "Ada"})
    assert bench.of("run")[-1].key == f"churn/run/{allowed.entry}"


def test_a_version_that_needs_approval_is_not_rolled_out(bench, send, loop, wait):
    trigger = bench.trigger(loop(approval="required"))
    trigger.start()
    send(trigger)
    bench.ended()
    wait(lambda: not trigger.busy())
    assert bench.engine.rollouts == []


def test_a_failed_rollout_does_not_end_the_worker(bench, send, loop, wait):
    bench.engine.rollout_error = RolloutError("version 2 did not become ready")
    trigger = bench.trigger(loop(cooldown="0s"))
    trigger.start()
    send(trigger, group="g1")
    wait(lambda: bench.engine.rollouts and not trigger.busy())
    assert send(trigger, group="g2")[0].decision.action == "start"
    bench.ended(2)


def test_a_run_left_open_by_a_stopped_trigger_is_closed_and_not_run_again(bench, send, wait):
    dead = bench.trigger()  # never started: it claims the run, and dies before its worker takes it
    (outcome,) = send(dead)
    bench.clock.advance(timedelta(minutes=1))
    trigger = bench.trigger()
    trigger.start()
    (end,) = bench.ended()
    assert (end.facts["run"], end.facts["state"], end.facts["error"]) == (outcome.run, "failed", "interrupted")
    assert bench.engine.asked == [outcome.run]
    wait(lambda: not trigger.busy())
    # What its alarm is answered then: another run may follow, by the rules.
    assert send(trigger)[0].decision.rule == "cooldown"
    assert bench.engine.runs == []
    assert len(bench.of("run_ended")) == 1


def test_a_run_that_went_on_without_the_trigger_is_followed_to_its_end(bench, send, wait):
    (outcome,) = send(bench.trigger())
    bench.engine.answers[outcome.run] = RunResult("running")
    trigger = bench.trigger()
    trigger.start()
    wait(lambda: len(bench.engine.asked) > 2)
    assert bench.of("run_ended") == []
    assert trigger.request("now", "Ada").decision.rule == "in_flight"
    bench.engine.answers[outcome.run] = RunResult("succeeded", version=3)
    (end,) = bench.ended()
    assert (end.facts["state"], end.facts["version"]) == ("succeeded", 3)
    wait(lambda: bench.engine.rollouts == [(3, end.number)])
    assert bench.engine.runs == []


def test_an_engine_that_cannot_be_asked_is_asked_again(bench, send, wait):
    (outcome,) = send(bench.trigger())
    answers = [RunError("the API server is away"), RunResult("succeeded")]

    def ask(_intent):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    bench.trigger(ask=ask).start()
    (end,) = bench.ended()
    assert (end.facts["run"], end.facts["state"]) == (outcome.run, "succeeded")


def test_a_decision_without_its_run_is_carried_out_by_the_next_trigger(bench, send, monkeypatch):
    dying = bench.trigger()
    with monkeypatch.context() as patch:
        patch.setattr(dying._claims, "claim", lambda *_: (_ for _ in ()).throw(StateError("killed")))
        with pytest.raises(StateError):
            send(dying)
    assert bench.kinds() == ["alarm", "decision"]
    bench.trigger().start()
    bench.ended()
    assert bench.kinds() == ["alarm", "decision", "run", "run_ended"]


def test_a_rollout_that_was_interrupted_goes_on_after_a_restart(bench, send, wait):
    bench.engine.rollout_error = RuntimeError("killed")
    first = bench.trigger()
    first.start()
    send(first)
    wait(lambda: bench.engine.rollouts and not first.busy())
    first.stop()
    bench.engine.rollout_error = None
    second = bench.trigger()
    second.start()
    wait(lambda: len(bench.engine.rollouts) == 2)
    assert bench.engine.rollouts[0] == bench.engine.rollouts[1]
    assert len(bench.engine.runs) == 1


@pytest.mark.parametrize("outcome", ["promoted", "rolled_back"])
def test_a_rollout_that_ended_is_not_repeated_after_a_restart(bench, send, wait, outcome):
    first = bench.trigger()
    first.start()
    send(first)
    wait(lambda: bench.engine.rollouts and not first.busy())
    first.stop()
    bench.ledger.append("churn", outcome, {"version": 2})
    second = bench.trigger()
    second.start()
    second.request("to see that the worker is past its start", "Ada")
    bench.ended(2)
    wait(lambda: not second.busy())
    assert len(bench.engine.rollouts) == 2  # one a run


def test_a_persons_run_by_hand_is_closed_but_not_rolled_out(bench, wait):
    bench.ledger.append("churn", "run", {"run": "by-hand", "engine": "local", "by": "Ada"})
    bench.engine.answers["by-hand"] = RunResult("succeeded", version=5)
    trigger = bench.trigger()
    trigger.start()
    bench.ended()
    wait(lambda: not trigger.busy())
    assert bench.engine.rollouts == []


def test_the_end_of_a_run_is_written_as_soon_as_the_ledger_can_be(bench, send, monkeypatch):
    append, failures = Ledger.append, []

    def flaky(self, loop, kind, *rest, **more):
        if kind == "run_ended" and len(failures) < 3:
            failures.append(kind)
            raise StateError("the database is locked")
        return append(self, loop, kind, *rest, **more)

    monkeypatch.setattr(Ledger, "append", flaky)
    trigger = bench.trigger()
    trigger.start()
    send(trigger)
    assert bench.ended()[0].facts["state"] == "succeeded"
    assert len(failures) == 3


def test_a_stopped_trigger_takes_nothing(bench, send):
    trigger = bench.trigger()
    trigger.start()
    assert trigger.stop()
    assert not trigger.alive()
    with pytest.raises(StateError, match="stopping"):
        send(trigger)
    with pytest.raises(StateError, match="stopping"):
        trigger.request("now", "Ada")
    assert bench.kinds() == []


def make_sundays(loop, **more):
    return loop(on=["schedule"], schedule="0 2 * * 0", **more)  # 2025-03-02 is the first after the bench's start


def test_a_schedule_starts_one_run_with_two_triggers(bench, loop):
    triggers = [bench.trigger(make_sundays(loop)) for _ in range(2)]
    for trigger in triggers:
        trigger.reconsider()
    bench.clock.advance(timedelta(days=1))
    barrier = threading.Barrier(2)

    def look(trigger):
        barrier.wait(10)
        trigger.reconsider()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(look, triggers))
    assert bench.kinds() == ["scheduled", "event", "decision", "run"]
    (run,) = bench.of("run")
    assert run.facts["by"] == "schedule"
    assert bench.of("event")[0].key == "churn/event/schedule/20250302T0200Z"


def test_a_moment_that_came_while_the_trigger_was_down_is_made_up_for_once(bench, loop):
    bench.trigger(make_sundays(loop)).reconsider()
    bench.clock.advance(timedelta(days=15))
    trigger = bench.trigger(make_sundays(loop))
    trigger.start()
    bench.ended()
    trigger.reconsider()
    assert len(bench.of("event")) == len(bench.of("run")) == 1


def test_an_event_without_its_decision_is_decided_by_the_next_trigger(bench, loop, monkeypatch):
    dying = bench.trigger(make_sundays(loop))
    dying.reconsider()
    bench.clock.advance(timedelta(days=1))
    with monkeypatch.context() as patch:
        patch.setattr(dying._claims, "consider", lambda *_: (_ for _ in ()).throw(StateError("killed")))
        with pytest.raises(StateError):
            dying.reconsider()
    assert bench.kinds() == ["scheduled", "event"]
    bench.trigger(make_sundays(loop)).start()
    bench.ended()
    assert bench.kinds() == ["scheduled", "event", "decision", "run", "run_ended"]


def test_an_event_that_waits_is_kept_over_a_restart(bench, loop):
    first = bench.trigger(make_sundays(loop, min_new_rows=10))
    first.reconsider()
    bench.clock.advance(timedelta(days=1))
    first.reconsider()
    assert bench.decisions() == [("no", "min_new_rows")]
    second = bench.trigger(make_sundays(loop, min_new_rows=10))
    second.start()
    bench.engine.new_rows = 10
    second.reconsider()
    bench.ended()
    assert bench.decisions() == [("no", "min_new_rows"), ("start", "event")]


def test_a_later_moment_takes_the_place_of_one_that_waits(bench, loop):
    trigger = bench.trigger(make_sundays(loop, min_new_rows=10))
    for _ in range(3):
        trigger.reconsider()
        bench.clock.advance(timedelta(days=7))
    assert bench.decisions() == [("no", "min_new_rows"), ("no", "superseded"), ("no", "min_new_rows")]
    assert [pending.alarm.number for pending in trigger.pending()] == [bench.of("event")[-1].number]


def test_new_rows_start_a_run_once_until_a_snapshot_is_taken(bench, loop):
    trigger = bench.trigger(loop(on=["new_data"], min_new_rows=100, cooldown="0s"))
    trigger.reconsider()
    assert bench.kinds() == []
    bench.engine.new_rows = 100
    for _ in range(3):
        bench.clock.advance(timedelta(minutes=10))
        trigger.reconsider()
    assert bench.kinds() == ["event", "decision", "run"]
    assert bench.of("event")[0].facts["summary"] == "100 labelled rows came after the last snapshot"


def test_rows_are_counted_with_no_lock_held(bench, send, loop):
    counting, go_on = threading.Event(), threading.Event()

    def count_rows():
        counting.set()
        assert go_on.wait(20)
        return 10

    trigger = bench.trigger(loop(min_new_rows=10), new_rows=count_rows)
    with ThreadPoolExecutor(2) as pool:
        alarm = pool.submit(send, trigger)
        assert counting.wait(20)
        # A person does not wait for the source to be read, and what they start is seen when it was.
        asked = pool.submit(trigger.request, "new prices", "Ada").result(20)
        assert asked.decision.action == "start"
        go_on.set()
        (outcome,) = alarm.result(20)
    assert (outcome.decision.action, outcome.decision.rule) == ("no", "in_flight")


def test_an_alarm_that_is_over_while_rows_are_counted_starts_nothing(bench, send, loop):
    def count_rows():
        send(trigger, status="resolved")
        return 10

    trigger = bench.trigger(loop(min_new_rows=10), new_rows=count_rows)
    (outcome,) = send(trigger)
    assert (outcome.decision.action, outcome.decision.rule) == ("no", "resolved")
    assert bench.decisions() == [("no", "resolved")]
    assert trigger.pending() == []
    assert bench.of("run") == []


def test_a_trigger_that_is_stopped_while_rows_are_counted_claims_nothing(bench, send, loop):
    def count_rows():
        trigger.stop()
        return 10

    trigger = bench.trigger(loop(min_new_rows=10), new_rows=count_rows)
    with pytest.raises(StateError, match="stopping"):
        send(trigger)
    assert bench.kinds() == ["alarm"]


def test_a_suspected_source_starts_a_run_when_a_repeat_says_that_it_was_mended(bench, body):
    def notify(missing):
        content = json.loads(body("age"))
        content["alerts"][0]["annotations"]["missing"] = missing
        return trigger.receive(read(json.dumps(content).encode(), "churn"))[0]

    trigger = bench.trigger()
    assert notify("0.6").decision.rule == "source_suspect"
    trigger.reconsider()
    assert [pending.decision.rule for pending in trigger.pending()] == ["source_suspect"]
    assert notify("0.0").decision.action == "start"
    assert bench.decisions() == [("no", "source_suspect"), ("start", "alarm")]


def test_a_dry_run_is_written_once_an_alarm_and_starts_nothing(bench, send, loop):
    trigger = bench.trigger(loop(dry_run=True))
    for _ in range(3):
        assert send(trigger, group="g1")[0].decision.rule == "dry_run"
    assert send(trigger, group="g2")[0].decision.rule == "cooldown"
    assert bench.decisions() == [("no", "dry_run"), ("no", "cooldown")]
    assert bench.of("run") == []


def test_the_rows_that_a_run_is_to_use_stand_in_its_entry(bench):
    trigger = bench.trigger()
    trigger.request("the new tariff", "Ada", datetime(2025, 2, 1, tzinfo=UTC))
    (run,) = bench.of("run")
    assert run.facts["rows"] == {"since": "2025-02-01T00:00:00+00:00", "least": 0}
