"""Seasons: the reference of each hour or weekday, and what a window that covers several of them is held against.

Traffic of the night differs from that of the day, every day, and that is no drift. A profile with a seasonality counts
the reference rows by season too. A window is then held against the mixture of the seasons that it covers, weighted by
the events that it has in each.

How many rows such a mixture stands for. Of season s there are m_s reference rows with shares p_s, and w_s of the
window's events fall into it. The shares of the mixture are the sum of w_s p_s. A stratified sample of the reference
with the window's proportions can be drawn up to min(m_s / w_s) rows, so for so many rows the mixture counts: the
variance of its shares, the sum of w_s^2 p_s (1 - p_s) / m_s, is at most that of so many rows of the mixture (Cochran
1977, "Sampling Techniques", section 5.6: strata never add variance). The window's own counts vary less than the
mixture's multinomial for the same reason, so the tests err on the side of no alarm.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Literal, overload
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loopwright.statistics.distances import pool

By = Literal["hour", "weekday", "hour_of_week", "month"]
NUMBER: dict[By, int] = {"hour": 24, "weekday": 7, "hour_of_week": 168, "month": 12}
LEAST_ROWS = 200.0
"""Reference rows without which a season is joined with the ones after it: ten bins of the 20 rows that tests need."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Seasonality:
    """By what traffic repeats itself, on the wall clock of a time zone."""

    by: By
    timezone: str = "UTC"

    @property
    def number(self) -> int:
        """How many seasons there are."""
        return NUMBER[self.by]

    @cached_property
    def zone(self) -> tzinfo:
        """The time zone. Raises ZoneInfoNotFoundError (a KeyError) or ValueError where there is none of its name."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    @overload
    def of(self, weekday: int, hour: int, month: int) -> int: ...

    @overload
    def of(self, weekday: Ints, hour: Ints, month: Ints) -> Ints: ...

    def of(self, weekday: int | Ints, hour: int | Ints, month: int | Ints) -> int | Ints:
        """The season of a weekday (0 is Monday), an hour and a month (1 is January), or of arrays of them."""
        found = {"hour": hour, "weekday": weekday, "hour_of_week": 24 * weekday + hour, "month": month - 1}
        return found[self.by]

    def at(self, moment: datetime) -> int:
        """The season of a moment with a time zone."""
        local = moment.astimezone(self.zone)
        return self.of(local.weekday(), local.hour, local.month)


class Strata:
    """Reference counts by season, with seasons of too few rows joined with those that follow them in time.

    Hours of the night with little traffic make one stratum, as hours side by side are most alike. What remains at the
    end joins the last; with fewer than LEAST_ROWS rows in all there is one stratum, the whole reference.
    """

    def __init__(self, rows: NDArray[np.generic], counts: NDArray[np.generic]) -> None:
        """`rows` (S,) of each season; `counts` (S, bins), of any number of features side by side."""
        number = rows.astype(np.float64)
        self.of = pool(number, int(number.sum()), LEAST_ROWS)
        begins = np.flatnonzero(np.diff(self.of, prepend=-1))
        self.rows: Floats = np.add.reduceat(number, begins)
        self.counts: Floats = np.add.reduceat(counts.astype(np.float64), begins, axis=0)
        self._begins = begins
        self._shares = self.counts / np.maximum(self.rows, 1.0)[:, np.newaxis]

    def __len__(self) -> int:
        return len(self.rows)

    def join(self, counts: NDArray[np.generic]) -> Floats:
        """Counts by season, (S, ...), as counts by stratum, (strata, ...)."""
        return np.asarray(np.add.reduceat(counts.astype(np.float64), self._begins, axis=0))

    def mixture(self, events: NDArray[np.generic]) -> Floats:
        """What a window with `events` (..., strata) in each stratum is held against: counts (..., bins).

        Their sum over a feature's bins is the number of rows they stand for. Without events it is the whole reference.
        """
        n = events.astype(np.float64)
        total = n.sum(axis=-1, keepdims=True)
        weights = np.where(total > 0, n / np.maximum(total, 1e-300), self.rows / self.rows.sum())
        rows = np.min(np.where(weights > 0, self.rows / np.maximum(weights, 1e-300), np.inf), axis=-1, keepdims=True)
        return np.asarray(rows * (weights @ self._shares))

    def reach(self, first: Floats, second: Floats) -> Floats:
        """The variance, a share, that the reference's rows leave in the difference of two mixtures: (bins,).

        `first` and `second` (strata,) are events; mixtures of the same proportions differ by nothing.
        """
        apart = first / max(float(first.sum()), 1.0) - second / max(float(second.sum()), 1.0)
        return np.asarray((apart**2 / np.maximum(self.rows, 1.0)) @ self._shares)
