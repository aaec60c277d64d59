import time
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from loopwright.durations import (
    Budget,
    Clock,
    Duration,
    FalseAlarmBudget,
    format_duration,
    parse_budget,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("50ms", timedelta(milliseconds=50)),
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("1.5h", timedelta(minutes=90)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(days=14)),
        (" 10 m ", timedelta(minutes=10)),
        ("0s", timedelta(0)),
        (timedelta(hours=3), timedelta(hours=3)),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text, duration):
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["10", 10, "m", "", "-1h", "1 month", "1h30m", "1e3s", "1.h", None, True, ["1h"]])
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match="a number with its unit: 50ms, 90s, 10m, 1h, 30d or 2w"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=30), "30d"),
        (timedelta(days=14), "14d"),
        (timedelta(hours=24), "1d"),
        (timedelta(hours=36), "36h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=90), "90s"),
        (timedelta(milliseconds=1500), "1500ms"),
        (timedelta(0), "0ms"),
    ],
)
def test_a_duration_is_written_in_the_largest_whole_unit_and_read_back(duration, text):
    assert format_duration(duration) == text
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("1 per 90d", Budget(1, timedelta(days=90))),
        ("0.5 per 1w", Budget(0.5, timedelta(days=7))),
        ("12  per  24h", Budget(12, timedelta(days=1))),
        (Budget(2, timedelta(days=1)), Budget(2, timedelta(days=1))),
    ],
)
def test_a_budget_is_a_number_per_duration(text, budget):
    assert parse_budget(text) == budget
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize("text", ["1", "per 90d", "1 per", "1 in 90d", 1, None])
def test_anything_else_is_no_budget(text):
    with pytest.raises(ValueError, match="a budget is a number per duration, such as `1 per 90d`"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["0 per 90d", "1 per 0d"])
def test_a_budget_is_above_zero(text):
    with pytest.raises(ValueError, match="above zero"):
        parse_budget(text)


def test_a_budget_of_a_unit_that_is_none_says_what_a_duration_is():
    with pytest.raises(ValueError, match="a duration is a number with its unit"):
        parse_budget("1 per 90 days")


def test_a_part_of_the_budget_belongs_to_a_part_of_the_time():
    assert Budget(2, timedelta(days=90)).share(timedelta(days=9)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("kind", "text", "wrong"), [(Duration, "10m", "10"), (FalseAlarmBudget, "1 per 90d", "1 per year")]
)
def test_in_a_model_they_are_text_on_both_sides_and_the_schema_says_so(kind, text, wrong):
    adapter = TypeAdapter(kind)
    value = adapter.validate_python(text)
    assert adapter.validate_python(adapter.dump_python(value)) == value
    assert adapter.dump_json(value) == f'"{text}"'.encode()
    assert adapter.json_schema()["type"] == "string"
    with pytest.raises(ValidationError):
        adapter.validate_python(wrong)


def test_at_speed_one_the_clock_is_the_wall_clock():
    before = datetime.now(UTC)
    now = Clock().now()
    assert before - timedelta(milliseconds=1) <= now <= datetime.now(UTC) + timedelta(milliseconds=1)
    assert now.tzinfo is UTC
    assert Clock().seconds(timedelta(hours=1)) == 3600.0


def test_above_speed_one_loop_time_runs_ahead_from_the_origin():
    origin = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    clock = Clock(speed=86400.0, origin=origin)
    assert clock.at(origin) == datetime(2025, 1, 1, tzinfo=UTC)
    assert clock.at(origin + 1) == datetime(2025, 1, 2, tzinfo=UTC)
    assert clock.at(origin + 0.5) == datetime(2025, 1, 1, 12, tzinfo=UTC)
    assert clock.seconds(timedelta(days=7)) == pytest.approx(7.0)


def test_now_is_at_this_moment():
    clock = Clock(speed=2.0, origin=time.time() - 100)
    assert clock.at(clock.origin + 100) <= clock.now() <= clock.at(time.time())
