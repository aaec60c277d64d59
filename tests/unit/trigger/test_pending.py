from datetime import UTC, datetime, timedelta

import pytest

from loopwright.ledger import Entry
from loopwright.trigger.decide import Decision
from loopwright.trigger.pending import LOOK_SECONDS, Waiting

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


def alarm(number, group="g1", source="drift"):
    return Entry(number, NOW, "churn", "alarm", None, None, {"source": source, "group": group}, "")


def no(until=None):
    return Decision("no", "cooldown", "not yet", until)


@pytest.fixture
def moment():
    return [NOW]


@pytest.fixture
def waiting(moment):
    return Waiting(lambda: moment[0])


def test_nothing_kept_is_nothing_to_wait_for(waiting):
    assert waiting.delay() is None
    assert waiting.due() == waiting.all() == []


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        (NOW + timedelta(seconds=2), 2.0),
        (NOW + timedelta(hours=2), LOOK_SECONDS),
        (NOW - timedelta(hours=2), 0.05),
        (None, LOOK_SECONDS),
    ],
)
def test_the_next_look_is_at_the_moment_but_neither_late_nor_in_a_whirl(waiting, until, seconds):
    waiting.keep(alarm(1), no(until))
    assert waiting.delay() == seconds


def test_an_alarm_is_due_when_its_moment_has_come(waiting, moment):
    waiting.keep(alarm(1), no(NOW + timedelta(seconds=60)))
    waiting.keep(alarm(2), no())
    assert waiting.due() == []
    moment[0] += timedelta(seconds=LOOK_SECONDS)
    assert [entry.number for entry in waiting.due()] == [2]
    moment[0] += timedelta(seconds=60)
    assert [entry.number for entry in waiting.due()] == [1, 2]


def test_after_a_change_everything_is_due_once(waiting):
    waiting.keep(alarm(1), no(NOW + timedelta(hours=1)))
    waiting.look_at_once()
    assert [entry.number for entry in waiting.due()] == [1]
    assert waiting.due() == []


def test_a_group_is_dropped_but_for_the_one_that_is_named(waiting):
    for number, group, source in [(1, "g1", "drift"), (2, "g1", "drift"), (3, "g2", "drift"), (4, "g1", "other")]:
        waiting.keep(alarm(number, group, source), no())
    assert waiting.drop_group(("drift", "g1"), but=2) == [1]
    assert [pending.alarm.number for pending in waiting.all()] == [2, 3, 4]
    waiting.drop(3)
    waiting.drop(3)
    assert [pending.alarm.number for pending in waiting.all()] == [2, 4]
