"""Customers of a SaaS company, as a data-generating process whose truth is known.

Rows flow out of `ChurnProcess.rows(moments)`: what is observed of a customer at each moment, the true probability
that the customer leaves, and whether it does. Because the probability is an explicit formula, the best AUC that any
model can reach is known (README.md), and a drift can be switched on at a moment and its effect be measured. The
command line writes the company's history; the live traffic (traffic.py) draws from the same process.

Every random quantity is a function of uniform numbers drawn row by row in one order, so that the rows are the same
for a seed however they are asked for: 1,000 at once or one at a time.
"""

import argparse
import csv
import math
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

ENTITY, TIMESTAMP, LABEL = "customer_id", "observed_at", "churned"
NUMBERS = (
    "tenure_months",
    "monthly_charges",
    "logins_30d",
    "support_tickets_90d",
    "seats",
    "usage_trend",
    "payment_delays",
    "days_since_login",
)
PLANS = ("basic", "premium", "enterprise")
REGIONS = ("emea", "amer", "apac", "latam")
PAYMENT_METHODS = ("card", "bank_transfer", "invoice")
CONTRACTS = ("monthly", "annual")
INPUTS = (*NUMBERS, "plan", "region", "payment_method", "contract", "autopay")
COLUMNS = (ENTITY, TIMESTAMP, *INPUTS, LABEL)
DRIFTS = ("covariate", "concept", "upstream", "labels")
LABEL_DELAY = timedelta(days=7)

_INTEGERS = frozenset({"tenure_months", "logins_30d", "support_tickets_90d", "seats", "payment_delays"})
_DECIMALS = {"monthly_charges": 2, "usage_trend": 3, "days_since_login": 1}
_LIST_PRICE = np.array([45.0, 62.0, 90.0])
_YEAR, _WEEK, _MONTH = 365.25 * 86400.0, 7 * 86400.0, 365.25 / 12 * 86400.0
_UNIFORMS = 14
# Of the rows after a covariate drift: the price of every customer, and the share of the acquired company's customers.
PRICE_RISE, ACQUIRED_SHARE = 1.4, 0.4


@dataclass(frozen=True)
class Effects:
    """The coefficients of the log odds of leaving; README.md writes the formula out."""

    intercept: float = -2.62
    annual: float = -2.4
    tenure: float = -0.55
    logins: float = -0.85
    tickets: float = 0.3
    tickets_of_paying_plans: float = 0.3
    delays: float = 0.8
    trend: float = -2.2
    days_since_login: float = 0.25
    price_of_monthly: float = 0.6
    new_and_monthly: float = 1.0


BEFORE = Effects()
# After a concept drift a competitor undercuts: customers that may leave any month compare prices, and how often they
# log in says less about whether they stay.
AFTER = Effects(
    price_of_monthly=3.6, logins=-0.15, new_and_monthly=0.0, tenure=-0.1, trend=-1.0, tickets_of_paying_plans=0.0
)


@dataclass(frozen=True)
class Rows:
    """`n` observations: `columns` as the company's systems report them, the truth beside them."""

    moments: np.ndarray
    """When each was observed, seconds since the epoch, (n,) float64."""
    columns: dict[str, np.ndarray]
    """Entity and inputs; numbers are float64 with NaN for missing, `autopay` bool, the rest object arrays of str."""
    probability: np.ndarray
    """The true P(churned | x, t), (n,) float64."""
    churned: np.ndarray
    """Whether the customer left within the label delay, (n,) bool."""

    def __len__(self) -> int:
        return len(self.moments)

    def records(self) -> list[dict[str, Any]]:
        """Each row as a JSON object of its entity and inputs, None for missing: what a request carries."""
        lists = {name: _plain(name, values) for name, values in self.columns.items()}
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]

    def take(self, index: np.ndarray | slice) -> "Rows":
        """The rows at `index`."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return Rows(self.moments[index], columns, self.probability[index], self.churned[index])

    @staticmethod
    def join(parts: Iterable["Rows"]) -> "Rows":
        """The rows of `parts`, one after another."""
        parts = list(parts)
        return Rows(
            np.concatenate([part.moments for part in parts]),
            {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.churned for part in parts]),
        )


class ChurnProcess:
    """The process for one seed. Not safe to share between threads that both draw rows."""

    def __init__(self, seed: int = 7, customers: int = 20_000) -> None:
        self.seed = seed
        self._uniforms = np.random.default_rng([seed, 1])
        self._customers = _customers(np.random.default_rng([seed, 2]), customers)
        self._acquired = _customers(np.random.default_rng([seed, 3]), customers // 4, acquired=True)
        self._drifts: dict[str, list[list[float]]] = {kind: [] for kind in DRIFTS}

    def drift(self, kind: str, since: datetime | float = -math.inf) -> None:
        """Switch a drift on, for rows observed (`labels`: exported) at `since` or later. Repeating it does nothing."""
        if kind not in DRIFTS:
            raise ValueError(f"there is no drift {kind!r}; there are {', '.join(DRIFTS)}")
        spans = self._drifts[kind]
        if not spans or spans[-1][1] < math.inf:
            spans.append([_epoch(since), math.inf])

    def repair(self, kind: str, since: datetime | float) -> None:
        """Switch a drift off again, from `since` on."""
        if self._drifts[kind]:
            self._drifts[kind][-1][1] = min(self._drifts[kind][-1][1], _epoch(since))

    def drifted(self, kind: str, moments: Any) -> np.ndarray:
        """Whether the drift is on at each of the moments, (n,) bool."""
        at = np.atleast_1d(np.asarray(moments, dtype=np.float64))
        on = np.zeros(len(at), dtype=bool)
        for start, end in self._drifts[kind]:
            on |= (at >= start) & (at < end)
        return on

    def rows(self, moments: Any) -> Rows:
        """One observation for each moment (seconds since the epoch, (n,)), of a customer drawn at random."""
        at = np.atleast_1d(np.asarray(moments, dtype=np.float64))
        uniform = self._uniforms.random((len(at), _UNIFORMS)).T
        covariate, concept = self.drifted("covariate", at), self.drifted("concept", at)
        seen = self._observe(at, uniform, covariate)
        probability = np.where(concept, churn_probability(seen, at, AFTER), churn_probability(seen, at, BEFORE))
        # The unit changes on the way from the billing system to the model, not what customers pay.
        seen["monthly_charges"] = seen["monthly_charges"] * np.where(self.drifted("upstream", at), 100.0, 1.0)
        return Rows(at, seen, probability, uniform[13] < probability)

    def labels(self, rows: Rows, exported: datetime | float | None = None) -> list[str]:
        """The rows' labels, "Yes" or "No". With `exported`, as the warehouse exports them at that moment: while the
        `labels` drift is on, those of annual contracts are inverted. Without, the truth, which the monitor is sent.
        """
        churned = rows.churned
        if exported is not None and self.drifted("labels", _epoch(exported))[0]:
            churned = churned ^ (rows.columns["contract"] == "annual")
        return np.where(churned, "Yes", "No").tolist()

    def export(self, rows: Rows, path: Path, at: datetime | float | None = None) -> Path:
        """Write labelled rows to a .csv or .parquet file, which appears complete or not at all."""
        table: dict[str, list[Any]] = {ENTITY: rows.columns[ENTITY].tolist(), TIMESTAMP: _times(rows.moments)}
        table |= {name: _plain(name, rows.columns[name]) for name in INPUTS}
        table[LABEL] = self.labels(rows, at)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        (_write_parquet if path.suffix == ".parquet" else _write_csv)(table, part)
        os.replace(part, path)
        return path

    def _observe(self, at: np.ndarray, uniform: np.ndarray, covariate: np.ndarray) -> dict[str, np.ndarray]:
        """What is seen of one customer drawn for each moment: entity and inputs, before any upstream change."""
        acquired = covariate & (uniform[1] < ACQUIRED_SHARE)
        drawn = {
            name: np.where(
                acquired,
                self._acquired[name][_index(uniform[0], self._acquired)],
                values[_index(uniform[0], self._customers)],
            )
            for name, values in self._customers.items()
        }
        # A slot is taken by one customer after another, so that tenure keeps its distribution as the years pass.
        age = drawn["phase"] + at / _MONTH
        tenure = np.floor(age % drawn["life"])
        generation = (age // drawn["life"]).astype(np.int64)
        week, year = np.sin(2 * np.pi * at / _WEEK), np.cos(2 * np.pi * at / _YEAR)

        logins = np.floor(
            np.exp(2.3 + 0.8 * drawn["engagement"] + 0.6 * _normal(uniform[2], uniform[3]) + 0.04 * week + 0.05 * year)
        )
        tickets = _poisson(uniform[4], 0.9 * np.exp(0.5 * drawn["trouble"]))
        trend = np.round(0.3 * _normal(uniform[5], uniform[6]) + 0.02 * year, 3)
        delays = _poisson(uniform[7], np.where(drawn["autopay"], 0.25, 0.8))
        since_login = np.round(np.minimum(-np.log1p(-uniform[8]) * 30.0 / (logins + 1.0), 90.0), 1)
        # Not at random: a customer that did not log in for 30 days is mostly past what tracking keeps, and a customer
        # of less than 3 months has no quarter to compare with. At random: a tracker that is blocked.
        since_login[((logins == 0) & (uniform[9] < 0.8)) | (uniform[10] < 0.03)] = np.nan
        trend[(tenure < 3) | (uniform[11] < 0.02)] = np.nan
        price = drawn["price"] * np.where(covariate, PRICE_RISE, 1.0)
        return {
            ENTITY: _identifiers(drawn["number"], generation),
            "tenure_months": tenure,
            "monthly_charges": np.round(price, 2),
            "logins_30d": logins,
            "support_tickets_90d": tickets,
            "seats": drawn["seats"],
            "usage_trend": trend,
            "payment_delays": delays,
            "days_since_login": since_login,
            "plan": _name(PLANS, drawn["plan"]),
            "region": _name(REGIONS, drawn["region"]),
            "payment_method": _name(PAYMENT_METHODS, drawn["payment_method"]),
            "contract": _name(CONTRACTS, drawn["annual"]),
            "autopay": drawn["autopay"],
        }


def churn_probability(columns: dict[str, np.ndarray], moments: np.ndarray, effects: Effects = BEFORE) -> np.ndarray:
    """P(churned | x, t), (n,): the logistic formula of README.md, on the inputs before any upstream change."""
    monthly = columns["contract"] == "monthly"
    trend, since_login = columns["usage_trend"], columns["days_since_login"]
    paying = columns["plan"] != "basic"
    tickets = columns["support_tickets_90d"]
    odds = (
        effects.intercept
        + effects.annual * ~monthly
        + effects.tenure * np.log((1 + columns["tenure_months"]) / 20)
        + effects.logins * np.log((1 + columns["logins_30d"]) / 11)
        + (effects.tickets + effects.tickets_of_paying_plans * paying) * tickets
        + effects.delays * columns["payment_delays"] * np.where(columns["autopay"], 0.3, 1.0)
        + np.where(np.isnan(trend), 0.2, effects.trend * np.nan_to_num(trend))
        + np.where(np.isnan(since_login), 0.6, effects.days_since_login * np.log1p(np.nan_to_num(since_login)))
        + effects.price_of_monthly * monthly * np.log(columns["monthly_charges"] / 60)
        + effects.new_and_monthly * (monthly & (columns["tenure_months"] < 6))
        + 0.25 * (columns["payment_method"] == "invoice")
        + 0.2 * (columns["region"] == "apac")
        - 0.06 * np.cos(2 * np.pi * moments / _YEAR)
    )
    return 1 / (1 + np.exp(-odds))


def auc_of_truth(probability: np.ndarray, score: np.ndarray | None = None) -> float:
    """The expected AUC of `score` (by default the truth itself: the Bayes-optimal AUC) where each row's label is
    Bernoulli(`probability`): sum over pairs i, j of p_i (1 - p_j) [s_i > s_j] over sum of p times sum of 1 - p.
    Rows with equal scores count a half. A Monte Carlo estimate whose only error is that of the drawn rows.
    """
    values, group = np.unique(probability if score is None else score, return_inverse=True)
    left = np.bincount(group, weights=probability, minlength=len(values))
    stayed = np.bincount(group, weights=1 - probability, minlength=len(values))
    below = np.cumsum(stayed) - stayed
    return float(np.sum(left * (below + stayed / 2)) / (left.sum() * stayed.sum()))


def history(process: ChurnProcess, rows: int, end: datetime, per_day: float = 200.0) -> Rows:
    """`rows` observations, `per_day` a day at even distances, the newest `LABEL_DELAY` before `end`: those whose
    labels are known at `end`.
    """
    newest = (end - LABEL_DELAY).timestamp()
    return process.rows(newest - np.arange(rows)[::-1] * (86400.0 / per_day))


def write_history(process: ChurnProcess, rows: Rows, folder: Path, days: float = 7.0, kind: str = "csv") -> list[Path]:
    """Write `rows` to `folder` as the warehouse does, a file for every `days` days."""
    span = np.floor((rows.moments - rows.moments[0]) / (days * 86400.0))
    written = []
    for part in np.unique(span):
        chosen = rows.take(span == part)
        written.append(process.export(chosen, folder / f"customers-{file_stamp(chosen.moments[0])}.{kind}"))
    return written


def file_stamp(moment: float) -> str:
    """A moment as a part of a file's name; names sort as the moments do."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%S")


def _customers(random: np.random.Generator, count: int, acquired: bool = False) -> dict[str, np.ndarray]:
    """What does not change about each of `count` customer slots. The `acquired` ones are another company's: mostly
    small teams in Latin America on the basic plan; in everything else they are like the others.
    """
    plan = _choose(random, count, [0.93, 0.06, 0.01] if acquired else [0.45, 0.38, 0.17])
    region = _choose(random, count, [0.05, 0.1, 0.05, 0.8] if acquired else [0.42, 0.36, 0.17, 0.05])
    size = np.array([0.7, 0.9, 1.1] if acquired else [1.2, 2.1, 3.3])[plan]
    seats = np.ceil(np.exp(size + 0.6 * random.standard_normal(count)))
    annual = random.random(count) < 0.32
    payment_method = _choose(random, count, [0.55, 0.25, 0.2])
    autopay = random.random(count) < np.array([0.75, 0.55, 0.15])[payment_method]
    spread = np.exp(0.24 * random.standard_normal(count))
    price = _LIST_PRICE[plan] * (1 + 0.05 * np.log(seats)) * np.where(annual, 0.88, 1.0) * spread
    life = 4 + random.gamma(1.6, 26.0, count)
    return {
        "number": np.arange(count) + (500_000 if acquired else 100_000),
        "plan": plan,
        "region": region,
        "seats": seats,
        "annual": annual.astype(np.int64),
        "payment_method": payment_method,
        "autopay": autopay,
        "price": price,
        "life": life,
        "phase": random.random(count) * life,
        "engagement": random.standard_normal(count),
        "trouble": random.standard_normal(count),
    }


def _choose(random: np.random.Generator, count: int, shares: list[float]) -> np.ndarray:
    return np.searchsorted(np.cumsum(shares)[:-1], random.random(count), side="right")


def _index(uniform: np.ndarray, pool: dict[str, np.ndarray]) -> np.ndarray:
    return (uniform * len(pool["number"])).astype(np.int64)


def _normal(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A standard normal number of two uniform ones (Box and Muller 1958)."""
    return np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)


def _poisson(uniform: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A Poisson number of a uniform one by inversion, at most 12."""
    term = np.exp(-mean)
    total, count = term.copy(), np.zeros(len(mean))
    for k in range(1, 13):
        count += uniform >= total
        term = term * mean / k
        total += term
    return count


def _identifiers(number: np.ndarray, generation: np.ndarray) -> np.ndarray:
    pairs = zip(number.tolist(), generation.tolist(), strict=True)
    return np.array([f"C{slot}-{turn}" for slot, turn in pairs], dtype=object)


def _name(names: tuple[str, ...], codes: np.ndarray) -> np.ndarray:
    return np.array(names, dtype=object)[codes]


def _plain(name: str, values: np.ndarray) -> list[Any]:
    """A column as plain Python values, None for missing; whole numbers are int."""
    if name in _INTEGERS:
        return [int(value) for value in values.tolist()]
    if name in _DECIMALS:
        return [None if value != value else round(value, _DECIMALS[name]) for value in values.tolist()]
    return values.tolist()


def _times(moments: np.ndarray) -> list[str]:
    """Moments as ISO 8601 in UTC, to the second."""
    return [f"{text}Z" for text in np.datetime_as_string(moments.astype("datetime64[s]")).tolist()]


def _epoch(moment: datetime | float) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def _write_csv(table: dict[str, list[Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


def _write_parquet(table: dict[str, list[Any]], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    kinds = {name: pyarrow.int64() for name in _INTEGERS} | {name: pyarrow.float64() for name in _DECIMALS}
    arrays = {name: pyarrow.array(values, kinds.get(name)) for name, values in table.items()}
    times = np.array([text.removesuffix("Z") for text in table[TIMESTAMP]], dtype="datetime64[us]")
    arrays[TIMESTAMP] = pyarrow.array(times, pyarrow.timestamp("us", tz="UTC"))
    pyarrow.parquet.write_table(pyarrow.table(arrays), path)


def main(arguments: list[str] | None = None) -> int:
    """Write a history and say what it is."""
    parser = argparse.ArgumentParser(description="Write the labelled history of a SaaS company's customers.")
    parser.add_argument("--rows", type=int, default=20_000, help="how many rows (20000)")
    parser.add_argument("--per-day", type=float, default=200.0, help="rows a day (200)")
    parser.add_argument("--seed", type=int, default=7, help="the same rows for the same seed and --end (7)")
    parser.add_argument("--end", help="labels are known up to this moment, ISO 8601 in UTC (now)")
    parser.add_argument("--to", type=Path, default=Path("data"), help="the folder (data)")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="the files' format (csv)")
    parser.add_argument("--drift", choices=DRIFTS, action="append", default=[], help="drifted rows; repeatable")
    chosen = parser.parse_args(arguments)
    if chosen.rows < 1 or chosen.per_day <= 0:
        parser.error("--rows and --per-day must be above zero")
    end = datetime.fromtimestamp(time.time(), UTC)
    if chosen.end:
        end = datetime.fromisoformat(chosen.end)
        end = end if end.tzinfo else end.replace(tzinfo=UTC)
    process = ChurnProcess(chosen.seed)
    for kind in chosen.drift:
        process.drift(kind)
    rows = history(process, chosen.rows, end, chosen.per_day)
    files = write_history(process, rows, chosen.to, kind=chosen.format)
    print(
        f"{len(rows):,} rows in {len(files)} files in {chosen.to}: {rows.churned.mean():.1%} churned, "
        f"Bayes-optimal AUC {auc_of_truth(rows.probability):.4f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
