from datetime import UTC, datetime

import pytest

from loopwright.loop import Loop
from loopwright.loop.hours import check_cron, check_quiet, check_timezone, last_tick, next_tick, quiet_until


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_schedule_is_on_the_wall_clock_of_its_time_zone():
    now = at("2026-11-21T09:00:30")
    assert last_tick("0 2 * * 0", "Europe/Berlin", now) == at("2026-11-15T01:00")
    assert next_tick("0 2 * * 0", "Europe/Berlin", now) == at("2026-11-22T01:00")
    assert last_tick("0 2 * * 0", "UTC", now) == at("2026-11-15T02:00")


def test_the_moment_itself_is_the_last_and_not_the_next():
    now = at("2026-11-21T09:00")
    assert last_tick("0 9 * * *", "UTC", now) == now
    assert next_tick("0 9 * * *", "UTC", now) == at("2026-11-22T09:00")
    assert last_tick("0 9 * * *", "UTC", at("2026-11-21T08:59:59")) == at("2026-11-20T09:00")


def test_a_time_that_the_clock_change_skips_comes_after_it():
    # On 2026-03-29 Berlin's clocks go from 02:00 to 03:00, which is 01:00 UTC.
    assert next_tick("30 2 * * *", "Europe/Berlin", at("2026-03-28T12:00")) == at("2026-03-29T01:00")


@pytest.mark.parametrize(
    ("spans", "now", "end"),
    [
        (("22:00-06:00",), "2026-11-21T23:00", "2026-11-22T06:00"),
        (("22:00-06:00",), "2026-11-21T05:59", "2026-11-21T06:00"),
        (("22:00-06:00",), "2026-11-21T06:00", None),
        (("fri 18:00-24:00", "sat-sun"), "2026-11-20T19:00", "2026-11-23T00:00"),
        (("sat,sun",), "2026-11-23T00:00", None),
        (("sun-mon 20:00-04:00",), "2026-11-24T03:00", "2026-11-24T04:00"),
        (("sun-mon 20:00-04:00",), "2026-11-25T03:00", None),
        ((), "2026-11-25T03:00", None),
    ],
)
def test_quiet_hours_end_where_no_span_holds_any_more(spans, now, end):
    assert quiet_until(check_quiet(spans), "UTC", at(now)) == (at(end) if end else None)


def test_quiet_hours_are_on_the_wall_clock():
    assert quiet_until(("22:00-06:00",), "Europe/Berlin", at("2026-07-01T20:30")) == at("2026-07-02T04:00")
    assert quiet_until(("22:00-06:00",), "Europe/Berlin", at("2026-12-01T20:30")) is None


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        (("evening",), "is no span of a week"),
        (("",), "is no span of a week"),
        (("foo",), "is no weekday"),
        (("mon 25:00-26:00",), "25:00 is no time of day"),
        (("00:00-12:00", "12:00-24:00"), "leave no time"),
    ],
)
def test_quiet_hours_that_cannot_be_kept_are_refused(spans, message):
    with pytest.raises(ValueError, match=message):
        check_quiet(spans)


@pytest.mark.parametrize("cron", ["0 2 * *", "0 2 31 2 *", "a b c d e", "* * * * * * *"])
def test_what_is_no_schedule_is_refused(cron):
    with pytest.raises(ValueError, match="is no schedule"):
        check_cron(cron)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "a\0b", "Europe"])
def test_what_is_no_time_zone_is_refused(name):
    with pytest.raises(ValueError, match="there is no time zone"):
        check_timezone(name)


@pytest.mark.parametrize(
    ("retrain", "message"),
    [
        ({"on": ["schedule"]}, "needs `schedule`"),
        ({"schedule": "0 2 * * 0"}, "does not have schedule"),
        ({"on": ["registry"]}, "needs `upstream`"),
        ({"upstream": ["embedder"]}, "does not have registry"),
        ({"rows": "after_onset"}, "needs `data.timestamp`"),
    ],
)
def test_keys_that_would_do_nothing_are_refused(retrain, message):
    with pytest.raises(ValueError, match=message):
        Loop.model_validate(
            {
                "apiVersion": "loopwright/v1",
                "kind": "Loop",
                "metadata": {"name": "churn"},
                "data": {"source": "x.csv", "label": {"column": "y"}, "contract": {"age": {"type": "integer"}}},
                "model": {"task": "classification"},
                "retrain": retrain,
            }
        )
