"""Real drift: hourly bike hire in Washington, 2012 held against 2011 (UCI Bike Sharing, CC BY 4.0).

Three references: all of 2011; the same months of 2011, as `monitor.seasonality: month` has it; and, as a control in
which nothing drifts, one random half of 2011 against the other in random order. Hires an hour stand in for the
prediction.
"""

import csv
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from bench.drift.experiments import generator
from numpy.typing import NDArray

from loopwright.durations import Clock
from loopwright.loop import Loop
from loopwright.monitor.drift import Alarm, Rule, Window, evaluate, prediction_name
from loopwright.monitor.seasonal import SeasonalLayout
from loopwright.statistics.profile import Kind, Profile
from loopwright.statistics.seasons import Seasonality

NUMBERS = ("hr", "temp", "hum", "windspeed")
CATEGORIES = ("weekday", "workingday", "weathersit")
KINDS: dict[str, Kind] = {**dict.fromkeys(NUMBERS, "number"), **dict.fromkeys(CATEGORIES, "category")}
WINDOW = 28
LOOK = 2.8
OUTPUT = "cnt"

Columns = dict[str, NDArray[Any]]


def measure(path: Path) -> dict[str, Any]:
    """The first alarm of each feature under each reference, and the weekly series; says why where there is no data."""
    if not path.exists():
        return {"skipped": f"{path.name} is not there"}
    days, columns = read(path)
    year = np.array([day.year for day in days])
    months = np.array([day.month - 1 for day in days])
    whole = _profile(columns, year == 2011)
    season = SeasonalLayout(_profile(columns, year == 2011, months))
    order = generator("bike").permutation(np.flatnonzero(year == 2011))
    half = len(order) // 2
    control = _profile(columns, order[:half])
    return {
        "skipped": None,
        "series": _weekly(days, columns[OUTPUT]),
        "alarms": {
            "year": watch(lambda rows: whole, days, columns, year == 2012),
            "season": watch(
                lambda rows: season.at(np.bincount(months[rows], minlength=12)), days, columns, year == 2012
            ),
        },
        "control": watch(lambda rows: control, [days[i] for i in order[half:]], columns, order[half:], ordered=False),
    }


def read(path: Path) -> tuple[list[date], Columns]:
    """The day of each row, and the columns."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    days = [datetime.strptime(row["dteday"], "%m/%d/%Y").replace(tzinfo=UTC).date() for row in rows]
    columns: Columns = {name: np.array([float(row[name]) for row in rows]) for name in (*NUMBERS, OUTPUT)}
    columns |= {name: np.array([row[name] for row in rows], dtype=object) for name in CATEGORIES}
    return days, columns


def watch(
    profile_of: Any, days: Sequence[date], columns: Columns, chosen: NDArray[Any], *, ordered: bool = True
) -> dict[str, str | int]:
    """When each feature first fires (for rows that are not in order of time: at which look)."""
    rule = _rule()
    alarm, found = Alarm(rule), dict[str, str | int]()
    rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
    at = np.array([days[row].toordinal() for row in rows]) if ordered else np.arange(len(rows)) / 24
    start = at[0] + WINDOW
    for look in range(int((at[-1] - start) / LOOK) + 1):
        end = start + look * LOOK
        inside = rows[(at >= end - WINDOW) & (at < end)]
        last = date.fromordinal(int(end)) if ordered else days[0]
        profile = profile_of(inside)
        counts = profile.count({name: columns[name][inside] for name in KINDS})
        window = Window(len(inside), counts, profile.count_predictions(columns[OUTPUT][inside]))
        alarm.step(evaluate(profile, window, rule), look * rule.look)
        for name in alarm.firing:
            name = OUTPUT if name == prediction_name(KINDS) else name
            found.setdefault(name, last.isoformat() if ordered else look)
    return found


def _rule() -> Rule:
    loop = {
        "apiVersion": "loopwright/v1", "kind": "Loop", "metadata": {"name": "bike"},
        "data": {"source": "x", "entity": "id", "label": {"column": OUTPUT}, "contract": {"hr": {"type": "number"}}},
        "model": {"task": "regression", "estimator": "lightgbm", "features": "features.py"},
        "monitor": {"window": f"{WINDOW}d"},
    }  # fmt: skip
    return Rule.of(Loop.model_validate(loop), Clock())


def _profile(columns: Columns, chosen: NDArray[Any], months: NDArray[np.int64] | None = None) -> Profile:
    part = {name: columns[name][chosen] for name in KINDS}
    seasons: Any = {} if months is None else {"seasonality": Seasonality("month"), "seasons": (months[chosen],) * 2}
    return Profile.build("bike", "regression", (), part, KINDS, columns[OUTPUT][chosen], **seasons)


def _weekly(days: Sequence[date], values: NDArray[np.float64]) -> list[tuple[str, float]]:
    """(first day, mean) of each whole week."""
    weeks = np.array([(day - days[0]).days // 7 for day in days])
    return [
        ((days[0] + timedelta(weeks=int(week))).isoformat(), round(float(values[weeks == week].mean()), 1))
        for week in np.unique(weeks)[:-1]
    ]
