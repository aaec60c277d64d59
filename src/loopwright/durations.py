"""Durations and budgets as people write them (`10m`, `30d`, `1 per 90d`), and the clock that they are measured on.

A loop may be tried at a faster pace than it will live at: with a speed of 86,400 a day of the loop passes in a
second. Everything that waits or stamps asks the clock, so one declaration serves the demo and production.
"""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*$")
_BUDGET = re.compile(r"^\s*(\d+(?:\.\d+)?)\s+per\s+(.+)$")


def parse_duration(text: Any) -> timedelta:
    """Read `90s`, `10m`, `1.5h`, `30d`, `2w` or `50ms`; a timedelta passes through.

    Raises ValueError for anything else, zero-unit numbers included: `10` could be seconds or minutes.
    """
    if isinstance(text, timedelta):
        return text
    match = _DURATION.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a duration is a number with its unit: 50ms, 90s, 10m, 1h, 30d or 2w")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def format_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit that keeps it a whole number: `timedelta(days=30)` is `30d`."""
    milliseconds = round(duration.total_seconds() * 1000)
    for unit in ("w", "d", "h", "m", "s"):
        size = round(_UNITS[unit] * 1000)
        # Weeks are read but not written: 30d and 14d are what people say.
        if unit != "w" and milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


@dataclass(frozen=True)
class Budget:
    """How many false alarms are acceptable in how long: `1 per 90d`."""

    count: float
    per: timedelta

    def share(self, span: timedelta) -> float:
        """The part of the budget that belongs to `span`, as an expected number of events."""
        return self.count * (span / self.per)

    def __str__(self) -> str:
        return f"{self.count:g} per {format_duration(self.per)}"


def parse_budget(text: Any) -> Budget:
    """Read `1 per 90d`. Raises ValueError for anything else."""
    if isinstance(text, Budget):
        return text
    match = _BUDGET.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a budget is a number per duration, such as `1 per 90d`")
    budget = Budget(float(match[1]), parse_duration(match[2]))
    if budget.count <= 0 or budget.per <= timedelta(0):
        raise ValueError("a budget needs a number above zero, per a duration above zero")
    return budget


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*$", "examples": ["10m", "30d"]}),
]
FalseAlarmBudget = Annotated[
    Budget,
    BeforeValidator(parse_budget),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s+per\s+.+$", "examples": ["1 per 90d"]}),
]


@dataclass(frozen=True)
class Clock:
    """The loop's time: the wall clock at speed 1; above it, loop time runs ahead from `origin`.

    `speed` is in loop seconds per real second. `origin` is the real moment (seconds since the epoch) at which
    loop time and real time agree; every process of one loop is given the same.
    """

    speed: float = 1.0
    origin: float = 0.0

    def now(self) -> datetime:
        """The loop's time, in UTC."""
        return self.at(time.time())

    def at(self, real: float) -> datetime:
        """The loop's time at a real moment, in seconds since the epoch."""
        if self.speed == 1.0:
            return datetime.fromtimestamp(real, UTC)
        return datetime.fromtimestamp(self.origin + (real - self.origin) * self.speed, UTC)

    def seconds(self, duration: timedelta) -> float:
        """How long a duration of the loop takes, in real seconds."""
        return duration.total_seconds() / self.speed
