"""A loop's life as the demo makes it: drift, an alarm, a retrained version that goes live, a bad one taken back."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from loopwright.declaration import parse
from loopwright.ledger import Ledger
from loopwright.report.facts import Facts

MONITOR = "monitor: {window: 7d, false_alarms: 1 per 90d, min_effect: 0.1, min_events: 500, persistence: 2}"
BEGIN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ONSET = BEGIN.timestamp() + 70
# How far each feature moves when the market changes.
MOVED = {
    "region": 0.40,
    "monthly_charges": 0.27,
    "seats": 0.23,
    "plan": 0.22,
    "tenure_months": 0.08,
    "logins_30d": 0.06,
}
FEATURES = (*MOVED, "support_tickets_90d", "usage_trend", "payment_delays", "days_since_login", "contract", "autopay")
METRICS = ("roc_auc", "average_precision", "accuracy", "f1", "precision", "recall", "log_loss", "brier")


def metrics(auc):
    values = (auc, auc - 0.24, auc - 0.03, auc - 0.33, auc - 0.25, auc - 0.39, 1.19 - auc * 0.91, 0.55 - auc * 0.5)
    return dict(zip(METRICS, (round(value, 6) for value in values), strict=True))


def curves(auc, bias=0.0, seed=1):
    """Curves as a model with this area has them: tpr = fpr ** k has the area 1 / (1 + k)."""
    power, noise = 1 / auc - 1, random.Random(seed)
    grid = [index / 100 for index in range(101)]
    predicted = [0.02 + 0.9 * (index / 9) ** 2 for index in range(10)]
    observed = [min(1.0, max(0.0, p * (1 + bias) + noise.gauss(0, 0.025))) for p in predicted]
    return {
        "roc": {"fpr": grid, "tpr": [fpr**power for fpr in grid]},
        "calibration": {"predicted": predicted, "observed": observed, "count": [158] * 8 + [157] * 2},
    }


def evaluation(auc, champion=None, before=None):
    gates = [
        {
            "gate": "sanity",
            "metric": "predictions",
            "passed": True,
            "value": 1.0,
            "limit": 1.0,
            "detail": "finite and varied",
        },
        {
            "gate": "minimum",
            "metric": "roc_auc",
            "passed": auc >= 0.75,
            "value": auc,
            "limit": 0.75,
            "detail": f"{auc:.4f}, at least 0.75 needed",
        },
    ]
    detail = "no champion yet"
    if champion is not None:
        gain = auc - before
        detail = (
            f"{auc:.4f} against the champion's {before:.4f}: better by {gain:+.4f}, and with 95% confidence by at "
            f"least {gain - 0.012:+.4f}; at least -0.01 needed"
        )
    passed = champion is None or auc - before - 0.012 >= -0.01
    gates.append(
        {"gate": "champion", "metric": "roc_auc", "passed": passed, "value": auc, "limit": -0.01, "detail": detail}
    )
    return {
        "rows": 1578,
        "metrics": metrics(auc),
        "champion": None if champion is None else {"version": champion, "metrics": metrics(before)},
        "gates": gates,
        "passed": all(gate["passed"] for gate in gates),
        "curves": curves(auc),
        "champion_curves": None if champion is None else curves(before, 0.3, 2),
        "confusion": [[1050, 88], [167, 273]],
        "threshold": 0.5,
    }


EVALUATIONS = {1: evaluation(0.887), 2: evaluation(0.842, 1, 0.786), 3: evaluation(0.861, 2, 0.793)}


def evidence(requests, labels, increase, bound):
    share = 0.002
    worse = bound > 0.01
    return {
        "error_rate": {
            "champion": 0.0,
            "challenger": share,
            "limit": 0.02,
            "worse": False,
            "known": True,
            "e_value": 0.6726,
            "needed": 160.0,
            "detail": f"{requests * share:.0f} of {requests} requests failed (0.20%, 0.00% of the champion's)",
        },
        "prediction_shift": {
            "limit": 0.6,
            "worse": False,
            "known": True,
            "distance": 0.113,
            "bound": 0.021,
            "detail": "the predictions' distributions are 0.113 apart, at least 0.021 (limit 0.6)",
        },
        "label_metric": {
            "champion": 0.157033,
            "challenger": round(0.157033 + increase, 6),
            "labels": labels,
            "limit": 0.01,
            "worse": worse,
            "known": True,
            "increase": increase,
            "bound": bound,
            "detail": f"the loss is higher by {increase:.4f}, at least {bound:.4f} (limit 0.01)",
        },
    }


class Writer:
    """Writes entries at seconds after BEGIN, each caused by the one before unless told."""

    def __init__(self, ledger):
        self.ledger, self.last = ledger, None

    def __call__(self, seconds, kind, facts, cause=-1):
        cause = self.last if cause == -1 else cause
        self.last = self.ledger.append("churn", kind, facts, cause=cause, at=BEGIN + timedelta(seconds=seconds)).number
        return self.last

    def run(self, seconds, version, evaluated, by, cause):
        name = f"churn-{version}"
        run = self(seconds, "run", {"run": name, "engine": "local", "by": by}, cause)
        self(
            seconds + 3, "snapshot", {"id": f"{version}e1a45375465ef9925", "rows": 8232, "source": "data", "run": name}
        )
        self(seconds + 4, "validated", {"rows": 8232, "kept": 8232, "violations": [], "set_aside": 0, "run": name})
        self(seconds + 5, "split", {"training": 6654, "holdout": 1578, "by": "entity", "run": name})
        self(seconds + 9, "trained", {"run": name, "estimator": "lightgbm", "rows": 6654, "seconds": 3.1})
        kept = {key: value for key, value in evaluated.items() if "curves" not in key}
        self(seconds + 13, "judged", {**kept, "run": name})
        facts = {"version": version, "digest": f"26d018d79efdba93{version}", "snapshot": "e1a4", "run": name}
        registered = self(seconds + 16, "registered", facts)
        ended = {"run": name, "state": "succeeded", "seconds": 17.0, "version": version, "error": None}
        self(seconds + 17, "run_ended", ended, run)
        return registered


def live(ledger):
    """Write the whole life into a ledger."""
    write = Writer(ledger)
    asked = write(0, "request", {"reason": "the first version", "by": "ada"}, None)
    registered = write.run(1, 1, EVALUATIONS[1], "ada", asked)
    write(22, "started", {"endpoints": {"gateway": "http://127.0.0.1:30448"}}, None)
    write(24, "rollout", {"version": 1, "champion": None, "strategy": "canary", "steps": []}, registered)
    write(28, "promoted", {"version": 1, "previous": None, "seconds": 4.1})
    features = [
        {"name": name, "distance": MOVED[name] * 0.7, "score": 3.5} for name in ("region", "monthly_charges", "seats")
    ]
    alarm = write(78.4, "alarm", {"version": "1", "features": features, "summary": "drift", "window_seconds": 7}, None)
    write(78.5, "decision", {"action": "no", "reason": "2,715 new rows, and 6,000 are needed"}, alarm)
    write(98.2, "decision", {"action": "start", "reason": "region drifted; no rule holds a run back"}, alarm)
    registered = write.run(98.3, 2, EVALUATIONS[2], "drift", write.last)
    write(116, "rollout", {"version": 2, "champion": 1, "strategy": "canary", "steps": [5, 25, 50, 100]}, registered)
    for seconds, weight in ((117, 5), (131, 25), (145, 50), (159, 100)):
        write(seconds, "shifted", {"version": 2, "weight": weight})
        for after, verdict in ((4, "wait"), (13, "promote")):
            numbers = evidence(weight * 12 * after, weight * 5, -0.024, -0.03 - weight / 1000)
            if weight == 100:
                numbers = {"error_rate": numbers["error_rate"]}
            facts = {
                "version": 2,
                "weight": weight,
                "verdict": verdict,
                "reason": "enough was seen, and nothing is worse",
            }
            facts["reason"] = "waiting for the bake time" if verdict == "wait" else facts["reason"]
            write(seconds + after, "verdict", {**facts, "evidence": numbers, "requests": weight * 12 * after})
    write(172.6, "promoted", {"version": 2, "previous": 1, "seconds": 56.6})
    asked = write(205, "request", {"by": "ada", "reason": "the new label export is here"}, None)
    decided = write(205.1, "decision", {"action": "start", "reason": "ada asked for a run"}, asked)
    registered = write.run(205.2, 3, EVALUATIONS[3], "ada", decided)
    write(223, "rollout", {"version": 3, "champion": 2, "strategy": "canary", "steps": [5, 25, 50, 100]}, registered)
    write(224, "shifted", {"version": 3, "weight": 5})
    numbers = evidence(190, 160, 0.0912, 0.0134)
    reason = f"label_metric: {numbers['label_metric']['detail']}"
    facts = {"version": 3, "weight": 5, "verdict": "roll_back", "reason": reason, "evidence": numbers, "requests": 190}
    write(243, "verdict", facts)
    facts = {"version": 3, "champion": 2, "reason": reason, "requests": 193, "errors": 0, "rejected": 0}
    write(243.6, "rolled_back", {**facts, "seconds": 20.6, "seconds_to_zero": 0.119})


def samples(begin=23, end=256, seed=3):
    """One a second: counts of each version, weights, and drift since the onset, relative to the version looked at."""
    noise, counts, lines = random.Random(seed), {}, []
    for second in range(begin, end):
        weights = {"1": 100}
        for since, canary, stable, weight in (
            *((s, "2", "1", w) for s, w in ((117, 5), (131, 25), (145, 50), (159, 100))),
            (173, "2", None, 100),
            (224, "3", "2", 5),
            (244, "2", None, 100),
        ):
            if second >= since:
                weights = {canary: weight} | ({stable: 100 - weight} if stable and weight < 100 else {})
        rate = 200 * (1 + 0.08 * math.sin(second / 9)) + noise.gauss(0, 6)
        for version, weight in weights.items():
            counts[version] = counts.get(version, 0) + round(rate * weight / 100)
        # A version that leaves is forgotten, as Envoy forgets the counters of a cluster that is gone.
        counts = {one: count for one, count in counts.items() if one in weights}
        looked = "1" if second < 178 else "2"
        drift = {}
        for feature in FEATURES:
            share = 0.0 if looked == "2" else 1 - math.exp(-max(0, second - 70) / 6)
            distance = max(0.0, MOVED.get(feature, 0.0) * share + noise.gauss(0.01, 0.01))
            score = max(0.01, 30 * distance**2 * 7 + abs(noise.gauss(0.1, 0.08)))
            drift[feature] = {"distance": distance, "score": score}
        lines.append(
            {
                "at": BEGIN.timestamp() + second + noise.random() * 0.05,
                "requests": dict(counts),
                "errors": dict.fromkeys(counts, 0),
                "weights": weights,
                "drift": drift if second > 29 else {},
                "drift_version": looked,
            }
        )
    return lines


def facts_of(loop, ledger, **changes):
    """The facts of the life that `live` wrote."""
    known = {
        "loop": loop,
        "entries": ledger.entries("churn"),
        "series": samples(),
        "evaluations": EVALUATIONS,
        "marks": [("drift begins", ONSET)],
        "verified": True,
        "generated": BEGIN + timedelta(minutes=5),
    }
    return Facts(**{**known, **changes})


@pytest.fixture(scope="session")
def ledger(tmp_path_factory):
    """A ledger with the whole life; tests read it only."""
    written = Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")
    live(written)
    return written


@pytest.fixture
def facts(ledger, churn_declaration):
    """Makes the facts of that life, with changes."""
    loop = parse(churn_declaration + MONITOR)
    return lambda **changes: facts_of(loop, ledger, **changes)
