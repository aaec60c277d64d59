from datetime import UTC, datetime, timedelta

import pytest

from loopwright.durations import Clock
from loopwright.errors import DataError
from loopwright.ledger import Entry
from loopwright.loop import Retrain
from loopwright.trigger.decide import decide, rows
from loopwright.trigger.records import INTERRUPTED, attempts, failures, runs, standing, unanswered, unclaimed

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


class Story:
    """Entries as the ledger would have them, written by hand."""

    def __init__(self):
        self.entries = []

    def add(self, kind, facts, *, cause=None, key=None, at=NOW):
        entry = Entry(len(self.entries) + 1, at, "churn", kind, cause, key, facts, "")
        self.entries.append(entry)
        return entry

    def alarm(self, source="drift", version="1", at=NOW):
        return self.add("alarm", {"source": source, "version": version, "summary": "age drifted"}, at=at)

    def request(self, **facts):
        return self.add("request", {"reason": "new prices", "by": "Ada", **facts})

    def event(self, source="schedule", at=NOW):
        return self.add("event", {"source": source, "group": source, "summary": "it is time"}, at=at)

    def decision(self, cause):
        key = f"churn/start/{sum(e.kind == 'decision' for e in self.entries) + 1}"
        return self.add("decision", {"action": "start", "rule": "alarm"}, cause=cause.number, key=key)

    def run(self, age=timedelta(days=9), state="succeeded", cause=None, version=None, error=None):
        """A whole run, begun so long ago; in flight if `state` is None."""
        decision = self.decision(cause or self.alarm())
        name = f"churn-{decision.number}"
        run = self.add("run", {"run": name}, cause=decision.number, at=NOW - age)
        if state:
            self.add("run_ended", {"run": name, "state": state, "version": version, "error": error}, cause=run.number)
        return run


@pytest.fixture
def story():
    return Story()


def ask(loop, story, cause, *, now=NOW, speed=1.0, new_rows=lambda: 0, busy=""):
    return decide(loop.retrain, Clock(speed), tuple(story.entries), cause, now, new_rows, busy)


def test_the_first_alarm_starts_a_run(loop, story):
    decision = ask(loop(), story, story.alarm())
    assert (decision.action, decision.rule) == ("start", "alarm")
    assert decision.reason == "age drifted; no rule holds a run back"


def test_a_source_that_the_loop_does_not_name_starts_nothing(loop, story):
    decision = ask(loop(), story, story.alarm(source="DiskFull"))
    assert (decision.action, decision.rule, decision.until) == ("no", "source", None)
    assert decision.reason == "retrain.on has drift, and not DiskFull"


def test_no_source_at_all_starts_nothing(loop, story):
    assert ask(loop(on=()), story, story.alarm()).reason == "retrain.on has nothing, and not drift"


def test_one_run_is_in_flight_at_a_time(loop, story):
    run = story.run(state=None)
    decision = ask(loop(cooldown="0s"), story, story.alarm())
    assert (decision.action, decision.rule) == ("no", "in_flight")
    assert run.facts["run"] in decision.reason


def test_a_run_that_is_decided_and_not_yet_written_is_in_flight(loop, story):
    claimed = story.decision(story.alarm())
    assert unclaimed(story.entries) == [claimed]
    assert ask(loop(), story, story.alarm()).reason == "a run is about to start"


def test_a_rollout_under_way_counts_as_in_flight(loop, story):
    decision = ask(loop(), story, story.alarm(), busy="the rollout of version 2 is under way")
    assert (decision.rule, decision.reason) == ("in_flight", "the rollout of version 2 is under way")


def test_a_person_does_not_override_a_run_in_flight(loop, story):
    story.run(state=None)
    assert ask(loop(), story, story.request()).rule == "in_flight"


def test_the_cooldown_is_counted_from_the_start_of_the_last_automatic_run(loop, story):
    story.run(age=timedelta(hours=23))
    decision = ask(loop(cooldown="24h"), story, story.alarm())
    assert (decision.action, decision.rule, decision.until) == ("no", "cooldown", NOW + timedelta(hours=1))
    assert "retrain.cooldown is 1d" in decision.reason
    assert "not before 2025-03-01 13:00:00 UTC" in decision.reason


def test_a_run_starts_the_moment_the_cooldown_is_over(loop, story):
    story.run(age=timedelta(hours=24))
    assert ask(loop(cooldown="24h"), story, story.alarm()).action == "start"


def test_a_failed_automatic_run_has_a_cooldown_too(loop, story):
    story.run(age=timedelta(hours=1), state="failed")
    assert ask(loop(cooldown="24h"), story, story.alarm()).rule == "cooldown"


def test_a_persons_run_has_no_cooldown(loop, story):
    story.run(age=timedelta(minutes=1), cause=story.request())
    assert ask(loop(cooldown="24h"), story, story.alarm()).action == "start"


def test_durations_of_the_loop_are_real_seconds_of_its_clock(loop, story):
    story.run(age=timedelta(seconds=0.4))
    decision = ask(loop(cooldown="24h"), story, story.alarm(), speed=86400.0)
    assert decision.until == NOW + timedelta(seconds=0.6)


def test_the_daily_cap_counts_automatic_runs_of_24_hours(loop, story):
    for hours in (30, 20, 10):
        story.run(age=timedelta(hours=hours))
    story.run(age=timedelta(hours=2), cause=story.request())
    rules = loop(cooldown="1h", daily_cap=2)
    decision = ask(rules, story, story.alarm())
    assert (decision.action, decision.rule, decision.until) == ("no", "daily_cap", NOW + timedelta(hours=4))
    assert ask(rules, story, story.alarm(), now=NOW + timedelta(hours=4)).action == "start"
    assert ask(loop(cooldown="1h", daily_cap=3), story, story.alarm()).action == "start"


def test_too_few_new_rows_hold_a_run_back_until_they_are_counted_again(loop, story):
    rules = loop(min_new_rows=100)
    decision = ask(rules, story, story.alarm(), new_rows=lambda: 99)
    assert (decision.action, decision.rule, decision.until) == ("no", "min_new_rows", NOW + timedelta(minutes=10))
    assert decision.reason.startswith("99 labelled rows")
    assert ask(rules, story, story.alarm(), new_rows=lambda: 100).action == "start"


def test_rows_that_cannot_be_counted_hold_a_run_back(loop, story):
    def broken():
        raise DataError("churn.csv is gone")

    decision = ask(loop(min_new_rows=1), story, story.alarm(), new_rows=broken)
    assert (decision.rule, decision.reason) == ("min_new_rows", "the new rows cannot be counted: churn.csv is gone")


def test_rows_are_not_counted_where_it_makes_no_difference(loop, story):
    def never():
        raise AssertionError("the source was read")

    assert ask(loop(min_new_rows=0), story, story.alarm(), new_rows=never).action == "start"
    story.run(age=timedelta(hours=1))
    assert ask(loop(min_new_rows=5), story, story.alarm(), new_rows=never).rule == "cooldown"


def test_the_breaker_opens_after_so_many_failures_in_a_row(loop, story):
    rules = loop(max_failures=2, cooldown="1h")
    story.run(state="failed")
    assert ask(rules, story, story.alarm()).action == "start"
    story.run(state="failed")
    decision = ask(rules, story, story.alarm())
    assert (decision.action, decision.rule, decision.until) == ("no", "breaker", None)
    assert "the last 2 runs failed" in decision.reason


@pytest.mark.parametrize("state", ["succeeded", "rejected"])
def test_a_run_that_did_not_fail_closes_the_breaker(loop, story, state):
    for each in ("failed", "failed", state):
        story.run(state=each)
    assert failures(runs(story.entries)) == 0
    assert ask(loop(max_failures=2), story, story.alarm()).action == "start"


def test_a_person_overrides_cooldown_cap_rows_and_breaker(loop, story):
    for _ in range(3):
        story.run(age=timedelta(minutes=5), state="failed")
    rules = loop(max_failures=1, daily_cap=1, min_new_rows=10**6)
    decision = ask(rules, story, story.request())
    assert (decision.action, decision.rule) == ("start", "person")
    assert decision.reason == "Ada asked for a run: new prices"


def test_an_alarm_about_a_version_that_was_replaced_since_is_superseded(loop, story):
    alarm = story.alarm(version="1")
    story.add("promoted", {"version": 2})
    decision = ask(loop(), story, alarm)
    assert (decision.action, decision.rule) == ("no", "superseded")
    assert decision.reason == "the alarm is about version 1, and version 2 was promoted since"


def test_an_alarm_about_the_live_version_is_not_superseded(loop, story):
    old, unnamed = story.alarm(version="2"), story.alarm(version=None)
    story.add("promoted", {"version": 2})
    new = story.alarm(version="2")
    for alarm in (old, unnamed, new):
        assert ask(loop(), story, alarm).action == "start"


def test_an_alarm_that_comes_after_its_version_was_replaced_is_superseded(loop, story):
    story.add("promoted", {"version": 1})
    story.add("promoted", {"version": 2})
    decision = ask(loop(), story, story.alarm(version="1"))
    assert (decision.action, decision.rule) == ("no", "superseded")
    assert decision.reason == "the alarm is about version 1, and version 2 is the champion"


def test_an_alarm_about_a_version_that_came_back_is_not_superseded(loop, story):
    for version in (1, 2, 1):
        story.add("promoted", {"version": version})
    assert ask(loop(), story, story.alarm(version="1")).action == "start"


@pytest.mark.parametrize(("state", "error"), [("failed", INTERRUPTED), ("cancelled", "cancelled")])
def test_a_run_that_was_cut_off_neither_counts_for_the_breaker_nor_closes_it(loop, story, state, error):
    rules = loop(max_failures=2)
    for _ in range(3):
        story.run(state=state, error=error)
    assert failures(runs(story.entries)) == 0
    story.run(state="failed", error="no disk")
    story.run(state=state, error=error)
    story.run(state="failed", error="no disk")
    story.run(state=state, error=error)
    assert failures(runs(story.entries)) == 2
    assert ask(rules, story, story.alarm()).rule == "breaker"


@pytest.mark.parametrize("state", ["failed", "rejected", "cancelled"])
def test_the_decision_whose_run_came_to_nothing_stands_no_longer(story, state):
    alarm = story.alarm()
    assert standing(story.entries, alarm) is None
    story.run(cause=alarm, state=None)
    assert standing(story.entries, alarm) == story.entries[-2]
    story.add("run_ended", {"run": story.entries[-1].facts["run"], "state": state, "version": None})
    assert standing(story.entries, alarm) is None
    story.add("promoted", {"version": 7})
    assert standing(story.entries, alarm) is not None


def test_a_version_that_waits_stands_until_it_is_taken_back(story):
    alarm = story.alarm()
    story.run(cause=alarm, version=2)
    first = standing(story.entries, alarm)
    assert first is not None
    story.add("rolled_back", {"version": 9})
    assert standing(story.entries, alarm) == first
    story.add("rolled_back", {"version": 2})
    assert standing(story.entries, alarm) is None
    story.run(cause=alarm, state=None)
    second = standing(story.entries, alarm)
    assert second is not None
    assert [first, second] == attempts(story.entries, alarm.number)


def test_a_version_that_went_live_while_its_run_ended_stands(story):
    alarm = story.alarm()
    run = story.run(cause=alarm, state=None)
    story.add("promoted", {"version": 2})
    story.add("run_ended", {"run": run.facts["run"], "state": "succeeded", "version": 2})
    story.add("rolled_back", {"version": 2})
    assert standing(story.entries, alarm) is not None


def test_a_persons_request_stands_whatever_came_of_it(story):
    request = story.request()
    story.run(cause=request, state="failed")
    assert standing(story.entries, request) is not None


def test_a_run_without_a_decision_is_a_persons(story):
    story.add("run", {"run": "by-hand"})
    (run,) = runs(story.entries)
    assert (run.automatic, run.state) == (False, None)


def test_an_event_starts_a_run_where_the_loop_names_its_source(loop, story):
    decision = ask(loop(on=["schedule"], schedule="0 2 * * 0"), story, story.event())
    assert (decision.action, decision.rule) == ("start", "event")
    assert decision.reason == "it is time; no rule holds a run back"
    assert ask(loop(), story, story.event()).rule == "source"


def test_an_events_run_is_automatic(loop, story):
    story.run(age=timedelta(hours=1), cause=story.event())
    assert runs(story.entries)[0].automatic
    assert ask(loop(), story, story.alarm()).rule == "cooldown"


def test_a_debounced_alarm_must_have_fired_for_so_long(loop, story):
    alarm, rules = story.alarm(at=NOW - timedelta(minutes=20)), loop(debounce="30m")
    decision = ask(rules, story, alarm)
    assert (decision.action, decision.rule, decision.until) == ("no", "debounce", NOW + timedelta(minutes=10))
    assert ask(rules, story, alarm, now=NOW + timedelta(minutes=10)).action == "start"
    assert ask(loop(debounce="30m", on=["new_data"]), story, story.event("new_data")).action == "start"


def test_no_run_starts_by_itself_in_quiet_hours(loop, story):
    rules = loop(quiet_hours=["sat 10:00-14:00"], timezone="Europe/Berlin")
    decision = ask(rules, story, story.alarm())  # Saturday, 13:00 in Berlin
    assert (decision.action, decision.rule, decision.until) == ("no", "quiet_hours", NOW + timedelta(hours=1))
    assert "sat 10:00-14:00 (Europe/Berlin)" in decision.reason
    assert ask(rules, story, story.alarm(), now=NOW + timedelta(hours=1)).action == "start"
    assert ask(rules, story, story.request()).action == "start"


def test_quiet_hours_of_a_fast_loop_are_soon_over(story, loop):
    rules = loop(quiet_hours=["sat 10:00-14:00"]).retrain
    clock = Clock(3600.0, NOW.timestamp())
    decision = decide(rules, clock, story.entries, story.alarm(), NOW, lambda: 0)
    assert decision.until == NOW + timedelta(seconds=2)


def odd(story, **shares):
    facts = {"source": "drift", "version": "1", "summary": "age drifted"}
    return story.add("alarm", {**facts, "features": [{"name": "age", "odd": shares}, {"name": "plan"}]})


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"missing": 0.62}, "62% more of age is missing than before"),
        ({"new_values": 0.2}, "20% more of age is new to it than before"),
        ({"out_of_range": 0.97, "missing": 0.0}, "97% more of age is out of its range than before"),
    ],
)
def test_an_alarm_that_looks_like_a_fault_of_the_source_starts_nothing(loop, story, shares, words):
    decision = ask(loop(), story, odd(story, **shares))
    assert (decision.action, decision.rule, decision.until) == ("no", "source_suspect", None)
    assert decision.reason == f"check the source first: {words}; a person can start a run"
    assert ask(loop(), story, story.request()).action == "start"


def test_a_little_that_is_odd_is_not_suspected_and_1_never_is(loop, story):
    assert ask(loop(), story, odd(story, missing=0.1, out_of_range=0.5)).action == "start"
    assert ask(loop(suspect={"missing": 1}), story, odd(story, missing=1.0)).action == "start"


def test_a_dry_run_decides_all_and_starts_nothing(loop, story):
    rules = loop(dry_run=True, cooldown="24h", daily_cap=9)
    alarm = story.alarm()
    decision = ask(rules, story, alarm)
    assert (decision.action, decision.rule) == ("no", "dry_run")
    assert decision.reason == "age drifted; a run would start now, and retrain.dry_run is set"
    story.add("decision", {"action": "no", "rule": "dry_run", "reason": decision.reason}, cause=alarm.number)
    later = story.alarm()
    assert ask(rules, story, later, now=NOW + timedelta(hours=23)).rule == "cooldown"
    assert ask(rules, story, later, now=NOW + timedelta(hours=24)).rule == "dry_run"
    assert ask(rules, story, alarm, now=NOW + timedelta(hours=24)) == decision
    assert ask(rules, story, story.request()).action == "start"
    # What a dry run would have started holds nothing back when it is over.
    assert ask(loop(cooldown="24h"), story, alarm).action == "start"


def test_an_alarms_run_uses_the_rows_since_its_first_window_began(story):
    def retrain(rows):
        return Retrain(rows=rows, min_rows=300)

    facts = {"source": "drift", "summary": "", "starts_at": "2025-03-01T11:00:00+00:00", "window_seconds": 3600.0}
    alarm = story.add("alarm", facts)
    assert rows(retrain("after_onset"), alarm) == {"since": "2025-03-01T10:00:00+00:00", "least": 300}
    assert rows(retrain("all"), alarm) is None
    assert rows(retrain("after_onset"), story.event()) is None
    assert rows(retrain("after_onset"), story.request()) is None
    asked = story.request(since="2025-02-01T00:00:00+00:00")
    assert rows(retrain("all"), asked) == {"since": "2025-02-01T00:00:00+00:00", "least": 0}


def test_what_happened_at_a_moment_is_answered_by_a_run_that_failed(story):
    tick = story.event()
    story.run(cause=tick, state="failed", error="no disk")
    assert standing(story.entries, tick) is not None
    assert unanswered(story.entries) == []


def test_an_events_run_that_went_down_with_its_process_is_made_up_for(story):
    tick = story.event()
    story.run(cause=tick, state="failed", error=INTERRUPTED)
    assert unanswered(story.entries) == [tick]


def test_new_rows_are_an_answer_only_when_a_version_came_of_them(story):
    came = story.event("new_data")
    story.run(cause=came, state="failed", error="no disk")
    assert unanswered(story.entries) == [came]
    story.run(cause=came, version=2)
    assert unanswered(story.entries) == []


def test_of_the_events_of_a_group_the_newest_waits_unless_it_was_refused_for_good(story):
    story.event()
    newest, other = story.event(), story.event("registry")
    assert unanswered(story.entries) == [newest, other]
    story.add("decision", {"action": "no", "rule": "cooldown"}, cause=newest.number)
    story.add("decision", {"action": "no", "rule": "source"}, cause=other.number)
    assert unanswered(story.entries) == [newest]


def test_the_first_end_of_a_run_is_its_end(story):
    run = story.run(state="succeeded")
    story.add("run_ended", {"run": run.facts["run"], "state": "failed"}, cause=run.number)
    assert runs(story.entries)[0].state == "succeeded"
