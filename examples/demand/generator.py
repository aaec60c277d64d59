"""Daily sales of a chain's shops, as a data-generating process whose truth is known.

A row is one item in one shop on one day: what is known the evening before, and the units sold. Its expected demand is
an explicit formula (README.md), so the best that any forecast can reach is known, and a demand shock can be switched on
at a day. The command line writes the history as CSV; the same seed and `--end` give the same rows.
"""

import argparse
import csv
import os
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

SHOPS, ITEMS = 10, 12
CATEGORIES = ("bakery", "dairy", "drinks", "household")
COLUMNS = (
    "series",
    "day",
    "shop",
    "category",
    "list_price",
    "price",
    "promotion",
    "holiday",
    "weekday",
    "day_of_year",
    "units_7d",
    "units_28d",
    "units",
)
WARM_UP = 28
"""Days that are simulated first, so that the means of the days before exist."""

TREND = 0.08 / 365.25
"""Growth of demand a day, in logs: 8 % a year."""
WEEK = np.array([-0.15, -0.12, -0.05, 0.0, 0.15, 0.32, -0.2])
"""Monday to Sunday, in logs."""
YEAR = 0.18
ELASTICITY, PROMOTION, HOLIDAY = -1.4, 0.45, 0.5
SHOCK = 0.7
"""Of the demand shock, in logs: demand doubles. It hits bakery and household only."""
SHOCKED = (0, 3)
SPREAD = 0.06
"""The variance of what no forecast can know, a factor of mean 1 on the expected demand; besides, Poisson's chance."""
HOLIDAYS = frozenset({(1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)})


@dataclass(frozen=True)
class Rows:
    """`n` rows by column, with the true expected demand of each, (n,)."""

    columns: dict[str, list[Any]]
    expected: np.ndarray

    def __len__(self) -> int:
        return len(self.expected)


def history(days: int, end: date, seed: int = 7, shock: date | None = None) -> Rows:
    """Every item in every shop on each of the `days` up to `end`; from `shock` on, the demand shock is on."""
    random = np.random.default_rng(seed)
    series = SHOPS * ITEMS
    shop, category = np.repeat(np.arange(SHOPS), ITEMS), np.tile(np.arange(ITEMS) % len(CATEGORIES), SHOPS)
    size = np.repeat(random.normal(0, 0.25, SHOPS), ITEMS) + np.tile(random.normal(2.6, 0.5, ITEMS), SHOPS)
    list_price = np.tile(np.round(np.exp(random.normal(1.0, 0.4, ITEMS)), 2), SHOPS)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    sold, truth = np.zeros((WARM_UP, series)), []
    for at in range(-WARM_UP, days):
        today = end - timedelta(days=days - 1 - at)
        promotion = random.random(series) < 0.12
        price = np.round(list_price * np.where(promotion, random.uniform(0.7, 0.9, series), 1.0), 2)
        holiday = (today.month, today.day) in HOLIDAYS
        shocked = shock is not None and today >= shock
        expected = np.exp(
            size
            + TREND * (today - date(2026, 1, 1)).days
            + WEEK[today.weekday()]
            + YEAR * np.cos(2 * np.pi * (today.timetuple().tm_yday - 190) / 365.25) * np.where(category == 2, 1.0, 0.3)
            + ELASTICITY * np.log(price / list_price)
            + PROMOTION * promotion
            - HOLIDAY * holiday
            + SHOCK * (shocked & np.isin(category, SHOCKED))
        )
        units = random.poisson(expected * random.gamma(1 / SPREAD, SPREAD, series))
        if at >= 0:
            _append(columns, today, shop, category, list_price, price, promotion, holiday, sold, units)
            truth.append(expected)
        sold = np.vstack([sold[1:], units])
    return Rows(columns, np.concatenate(truth))


def r2_of_truth(rows: Rows) -> float:
    """The R2 of the expected demand itself: the best that any forecast can expect on these rows."""
    units = np.asarray(rows.columns["units"], dtype=float)
    return float(1 - np.sum((units - rows.expected) ** 2) / np.sum((units - units.mean()) ** 2))


def write(rows: Rows, path: Path) -> Path:
    """Write the rows as CSV; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(zip(*rows.columns.values(), strict=True))
    os.replace(part, path)
    return path


def _append(
    columns: dict[str, list[Any]], today: date, shop: np.ndarray, category: np.ndarray, list_price: np.ndarray,
    price: np.ndarray, promotion: np.ndarray, holiday: bool, sold: np.ndarray, units: np.ndarray,
) -> None:  # fmt: skip
    """One day of every series, with the means of the days before."""
    n = len(shop)
    items = np.tile(np.arange(ITEMS), SHOPS)
    columns["series"] += [f"S{one:02d}-I{two:02d}" for one, two in zip(shop, items, strict=True)]
    columns["day"] += [today.isoformat()] * n
    columns["shop"] += [f"S{one:02d}" for one in shop]
    columns["category"] += [CATEGORIES[one] for one in category]
    columns["list_price"] += list_price.tolist()
    columns["price"] += price.tolist()
    columns["promotion"] += ["true" if one else "false" for one in promotion]
    columns["holiday"] += ["true" if holiday else "false"] * n
    columns["weekday"] += [today.weekday()] * n
    columns["day_of_year"] += [today.timetuple().tm_yday] * n
    columns["units_7d"] += np.round(sold[-7:].mean(axis=0), 3).tolist()
    columns["units_28d"] += np.round(sold.mean(axis=0), 3).tolist()
    columns["units"] += units.tolist()


def main(arguments: list[str] | None = None) -> int:
    """Write a history and say what it is."""
    parser = argparse.ArgumentParser(description="Write the daily sales of a chain's shops.")
    parser.add_argument("--days", type=int, default=200, help="how many days (200), of 120 rows each")
    parser.add_argument("--seed", type=int, default=7, help="the same rows for the same seed and --end (7)")
    parser.add_argument("--end", type=date.fromisoformat, help="the last day, ISO 8601 (yesterday)")
    parser.add_argument("--shock", type=date.fromisoformat, help="the day from which demand is shocked (none)")
    parser.add_argument("--to", type=Path, default=Path("data/sales.csv"), help="the file (data/sales.csv)")
    chosen = parser.parse_args(arguments)
    if chosen.days < 1:
        parser.error("--days must be above zero")
    end = chosen.end or datetime.now(UTC).date() - timedelta(days=1)
    rows = history(chosen.days, end, chosen.seed, chosen.shock)
    write(rows, chosen.to)
    print(f"{len(rows):,} rows in {chosen.to}; the expected demand itself has an R2 of {r2_of_truth(rows):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
