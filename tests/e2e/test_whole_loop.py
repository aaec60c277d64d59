"""The whole loop on a cluster, from the drift in the traffic to the version that takes its place, with nobody's help.

Requests of another market through the gateway -> monitors -> a real Prometheus and Alertmanager -> the trigger's
webhook -> a run in Argo's pods -> a canary as a Workflow to 100 %: house.py says what is installed. KServe is its own
controller where that is installed, else the stand-in of tests/standins.
"""

import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1800)]

FIRING = 'ALERTS{alertname="LoopwrightDrift",alertstate="firing"}'


def test_another_market_becomes_a_champion_with_nobody_s_help_and_the_ledger_tells_how(house: Any) -> None:
    houses = sys.modules["house"]
    with house.load(house.rows("calm")) as calm:
        events = 'sum(loopwright:events:window{version="1"})'
        houses.until(lambda: (found := house.ask(events)) and float(found[0]["value"][1]) >= 500, 120, "a full window")
        assert house.ask(FIRING) == [], "nothing has changed yet"
    assert calm.seen.failures == []

    for kind in ("covariate", "concept"):
        house.process.drift(kind, house.start)
    house.deliver()
    runs = set(house.workflows("training"))
    with houses.Weights(house) as weights, house.load(house.rows("moved")) as steady:
        houses.until(lambda: set(house.workflows("training")) - runs, 180, f"a run for the drift; {house.log()}")
        house.becomes_champion(2)
        # The new version knows this market.
        houses.until(lambda: house.ask(FIRING) == [], 60, "the end of the alarm")
    assert steady.seen.failures == []
    for protocol, answers in steady.seen.answers.items():
        assert set(answers) == {"1", "2"}, protocol
    assert weights.shares(1, 2) == [0, *houses.STEPS, 100], weights.seen

    entries = {entry["number"]: entry for entry in house.story()}
    promoted = next(entry for entry in reversed(entries.values()) if entry["kind"] == "promoted")
    assert (promoted["facts"]["version"], promoted["facts"]["previous"]) == (2, 1)
    path, entry = [], promoted
    while entry is not None:
        path.append(entry)
        entry = entries.get(entry["cause"])
    kinds = [one["kind"] for one in path]
    assert kinds[-3:] == ["run", "decision", "alarm"]
    assert {"rollout", "verdict", "registered", "judged", "trained", "split", "validated", "snapshot"} <= set(kinds)
    told = {one["kind"]: one["facts"] for one in path}
    assert told["run"]["engine"] == "argo"
    assert (told["alarm"]["source"], told["alarm"]["version"]) == ("drift", "1")
    # What had drifted by the first look that saw it: the acquired company's customers are mostly in Latin America.
    assert {one["name"] for one in told["alarm"]["features"]} & {"region", "plan", "monthly_charges"}
    assert "the ledger verifies" in house.loopwright("audit", "verify", "/loop")
