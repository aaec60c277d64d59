"""Card payments, of which few are fraud, as a data-generating process whose truth is known.

A row is one payment as the bank sees it when it has to say yes or no, and whether it turned out to be fraud. The
probability is an explicit formula (README.md), so the best that any model can reach is known, and fraudsters can be
made to change their ways at a moment. The command line writes the history as CSV; a seed and `--end` give the same.
"""

import argparse
import csv
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

MERCHANTS = ("grocery", "fuel", "travel", "electronics", "gaming", "restaurant")
COLUMNS = (
    "card",
    "at",
    "amount",
    "usual_amount",
    "merchant",
    "online",
    "abroad",
    "new_device",
    "hour",
    "card_age_days",
    "payments_1h",
    "payments_24h",
    "fraud",
)
CARDS = 4000
DAY = 86400.0


@dataclass(frozen=True)
class Effects:
    """The coefficients of the log odds of fraud; README.md writes the formula out."""

    intercept: float = -7.6
    amount: float = 1.3
    online: float = 0.7
    abroad: float = 1.6
    new_device: float = 2.2
    night: float = 0.9
    electronics: float = 0.9
    gaming: float = 0.6
    burst: float = 0.5
    young_card: float = 0.7


BEFORE = Effects()
# Fraudsters learn that large amounts are looked at: from then on they try many small ones for gaming.
AFTER = Effects(amount=-0.6, electronics=0.0, gaming=2.6, burst=1.4)


@dataclass(frozen=True)
class Rows:
    """`n` rows by column, the true probability of fraud of each and whether it was one, (n,)."""

    columns: dict[str, list[Any]]
    probability: np.ndarray
    fraud: np.ndarray

    def __len__(self) -> int:
        return len(self.fraud)


def history(rows: int, end: datetime, days: float = 90.0, seed: int = 7, changed: datetime | None = None) -> Rows:
    """Payments at random moments of the `days` up to `end`, in their order; from `changed` on by the new ways."""
    random = np.random.default_rng(seed)
    at = np.sort(end.timestamp() - random.random(rows) * days * DAY)
    card = random.integers(0, CARDS, rows)
    usual = np.round(np.exp(random.normal(3.3, 0.6, CARDS)), 2)[card]
    age = np.floor(random.gamma(2.0, 400.0, CARDS))[card] + np.floor((at - at[0]) / DAY)
    seen = {
        "amount": np.round(usual * np.exp(random.normal(0, 0.9, rows)), 2).clip(0.5),
        "merchant": random.choice(len(MERCHANTS), rows, p=[0.34, 0.14, 0.08, 0.1, 0.09, 0.25]),
        "online": random.random(rows) < 0.35,
        "abroad": random.random(rows) < 0.06,
        "new_device": random.random(rows) < 0.07,
        "hour": np.floor(at % DAY / 3600),
        "payments_1h": random.poisson(0.25, rows),
        "payments_24h": random.poisson(2.0, rows),
    }
    seen["new_device"] &= seen["online"]
    late = np.zeros(rows, dtype=bool) if changed is None else at >= changed.timestamp()
    truth = np.where(late, _probability(seen, usual, age, AFTER), _probability(seen, usual, age, BEFORE))
    fraud = random.random(rows) < truth
    columns = {
        "card": [f"K{one:05d}" for one in card],
        "at": [datetime.fromtimestamp(one, UTC).isoformat(timespec="seconds") for one in at],
        "amount": seen["amount"].tolist(),
        "usual_amount": usual.tolist(),
        "merchant": [MERCHANTS[one] for one in seen["merchant"]],
        **{name: _booleans(seen[name]) for name in ("online", "abroad", "new_device")},
        "hour": seen["hour"].astype(int).tolist(),
        "card_age_days": age.astype(int).tolist(),
        "payments_1h": seen["payments_1h"].tolist(),
        "payments_24h": (seen["payments_1h"] + seen["payments_24h"]).tolist(),
        "fraud": np.where(fraud, "Yes", "No").tolist(),
    }
    return Rows({name: columns[name] for name in COLUMNS}, truth, fraud)


def _probability(seen: dict[str, np.ndarray], usual: np.ndarray, age: np.ndarray, effects: Effects) -> np.ndarray:
    """P(fraud | x), (n,): the logistic formula of README.md."""
    night = (seen["hour"] < 6) | (seen["hour"] >= 23)
    odds = (
        effects.intercept
        + effects.amount * np.log(seen["amount"] / usual)
        + effects.online * seen["online"]
        + effects.abroad * seen["abroad"]
        + effects.new_device * seen["new_device"]
        + effects.night * night
        + effects.electronics * (seen["merchant"] == MERCHANTS.index("electronics"))
        + effects.gaming * (seen["merchant"] == MERCHANTS.index("gaming"))
        + effects.burst * seen["payments_1h"]
        + effects.young_card * (age < 90)
    )
    result: np.ndarray = 1.0 / (1.0 + np.exp(-odds))
    return result


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


def _booleans(values: np.ndarray) -> list[str]:
    return ["true" if one else "false" for one in values]


def main(arguments: list[str] | None = None) -> int:
    """Write a history and say what it is."""
    parser = argparse.ArgumentParser(description="Write the labelled payments of a bank's cards.")
    parser.add_argument("--rows", type=int, default=90_000, help="how many payments (90000)")
    parser.add_argument("--days", type=float, default=90.0, help="over how many days (90)")
    parser.add_argument("--seed", type=int, default=7, help="the same rows for the same seed and --end (7)")
    parser.add_argument("--end", type=datetime.fromisoformat, help="the last moment, ISO 8601 in UTC (now)")
    parser.add_argument("--changed", type=datetime.fromisoformat, help="from when fraudsters act otherwise (never)")
    parser.add_argument("--to", type=Path, default=Path("data/payments.csv"), help="the file (data/payments.csv)")
    chosen = parser.parse_args(arguments)
    if chosen.rows < 1 or chosen.days <= 0:
        parser.error("--rows and --days must be above zero")
    end = _utc(chosen.end or datetime.now(UTC))
    rows = history(chosen.rows, end, chosen.days, chosen.seed, chosen.changed and _utc(chosen.changed))
    write(rows, chosen.to)
    print(f"{len(rows):,} payments in {chosen.to}, {rows.fraud.mean():.2%} of them fraud ({rows.fraud.sum():,})")
    return 0


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
