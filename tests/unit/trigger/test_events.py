from datetime import UTC, datetime, timedelta

import pytest

from loopwright.durations import Clock
from loopwright.ledger import Entry
from loopwright.trigger.events import Agenda, told

SUNDAYS = {"on": ["schedule"], "schedule": "0 2 * * 0"}


class Book:
    """Entries, and a clock that is set."""

    def __init__(self, rules, speed=1.0):
        self.entries, self.now = [], datetime(2026, 11, 21, 9, tzinfo=UTC)
        self.agenda = Agenda(rules, Clock(speed, self.now.timestamp()), lambda: self.now)

    def write(self, kind, facts, key=None):
        self.entries.append(Entry(len(self.entries) + 1, self.now, "churn", kind, None, key, facts, ""))

    def take_up(self):
        facts, _ = self.agenda.taken_up(self.entries)
        self.write("scheduled", facts)

    def tick(self):
        cause = self.agenda.tick(self.entries)
        if cause:
            self.write(cause.kind, cause.facts, cause.key)
        return cause


@pytest.fixture
def book(loop):
    return lambda speed=1.0, **retrain: Book(loop(**retrain).retrain, speed)


def test_a_schedule_begins_when_it_is_taken_up(book):
    made = book(**SUNDAYS)
    assert made.tick() is None
    made.take_up()
    assert made.tick() is None
    made.now += timedelta(days=1)
    cause = made.tick()
    assert (cause.kind, cause.source, cause.key) == ("event", "schedule", "event/schedule/20261122T0200Z")
    assert cause.facts["summary"] == "it is time: 0 2 * * 0 (UTC)"
    assert made.tick() is None


def test_of_the_moments_that_were_missed_the_newest_is_made_up_for(book):
    made = book(**SUNDAYS)
    made.take_up()
    made.now += timedelta(days=30)
    assert made.tick().facts["moment"] == "2026-12-20T02:00:00+00:00"
    assert made.tick() is None


def test_another_schedule_is_taken_up_anew_and_the_same_one_is_not(book, loop):
    made = book(**SUNDAYS)
    made.take_up()
    assert made.agenda.taken_up(made.entries) is None
    other = Agenda(loop(**{**SUNDAYS, "schedule": "0 3 * * 0"}).retrain, Clock(), lambda: made.now)
    facts, key = other.taken_up(made.entries)
    assert (facts["schedule"], key) == ("0 3 * * 0", "scheduled/1")


def test_a_schedule_is_on_the_loops_clock(book):
    made = book(speed=86400.0, **SUNDAYS)
    made.take_up()
    made.now += timedelta(seconds=0.5)
    assert made.tick() is None
    made.now += timedelta(seconds=0.25)
    assert made.tick().key == "event/schedule/20261122T0200Z"


def test_the_next_look_is_at_the_next_moment_but_soon(book):
    assert book().agenda.delay() is None
    assert book(**SUNDAYS).agenda.delay() == 5.0
    made = book(**SUNDAYS)
    made.now = datetime(2026, 11, 22, 1, 59, 58, tzinfo=UTC)
    assert made.agenda.delay() == 2.0


def test_new_rows_are_counted_every_ten_minutes_of_the_loop(book):
    assert not book().agenda.counts()
    made = book(on=["new_data"])
    assert made.agenda.counts()
    assert not made.agenda.counts()
    made.now += timedelta(minutes=10)
    assert made.agenda.counts()


def test_rows_after_one_snapshot_are_one_event(book):
    made = book(on=["new_data"], min_new_rows=100)
    assert made.agenda.new_data(made.entries, 99) is None
    assert made.agenda.new_data(made.entries, 100).key == "event/new_data/0"
    made.write("snapshot", {})
    assert made.agenda.new_data(made.entries, 100).key == made.agenda.new_data(made.entries, 5000).key
    assert made.agenda.new_data(made.entries, 100).key == "event/new_data/1"
    assert book(on=["new_data"]).agenda.new_data([], 0) is None


def test_what_is_told_again_has_the_same_key():
    assert told("new_data", "a" * 500, "rows").key == told("new_data", "a" * 500, "the rows").key
    assert len(told("new_data", "a" * 500, "rows").key) < 100
