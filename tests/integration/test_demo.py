"""The loop closes: the demo's own story, held against the ledger and against Envoy's statistics."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from loopwright import settings
from loopwright.ledger import Entry, Ledger


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Mapping[str, Any]:
    """The demo run to its end: what it printed and measured, its ledger and its series."""
    folder = tmp_path_factory.mktemp("demo") / "churn"
    measured = folder.parent / "measured.json"
    call = [
        sys.executable,
        str(root / "examples" / "churn" / "demo.py"),
        "--folder",
        str(folder),
        "--json",
        str(measured),
    ]
    # Fewer requests than on a screen: the tests beside this one want the cores too.
    result = subprocess.run([*call, "--rate", "150"], capture_output=True, text=True, timeout=420)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr
    lines = (folder / ".loopwright" / "live" / "series.jsonl").read_text().splitlines()
    return {
        "folder": folder,
        "output": result.stdout,
        "measured": json.loads(measured.read_text()),
        "entries": Ledger(settings.read(folder, {}).ledger_url).entries("churn"),
        "ledger": Ledger(settings.read(folder, {}).ledger_url),
        "series": [json.loads(line) for line in lines],
    }


def first(entries: list[Entry], kind: str, **facts: Any) -> Entry:
    """The first entry of a kind with these facts."""
    return next(one for one in entries if one.kind == kind and facts.items() <= one.facts.items())


pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


def test_no_request_failed(told: Mapping[str, Any]) -> None:
    traffic = told["measured"]["traffic"]
    assert traffic["failed"] == {}
    assert traffic["sent"] == traffic["ok"] > 5_000
    assert {version: counts["errors"] for version, counts in told["measured"]["envoy"].items()}.keys() >= {"2"}
    assert all(not counts["errors"] for counts in told["measured"]["envoy"].values())


def test_the_alarm_is_the_cause_of_the_run_and_of_the_version_that_became_champion(told: Mapping[str, Any]) -> None:
    entries = told["entries"]
    promoted = first(entries, "promoted", version=2)
    chain = told["ledger"].causes(promoted.number)
    kinds = [entry.kind for entry in chain]
    expected = [
        "alarm",
        "decision",
        "run",
        "snapshot",
        "validated",
        "split",
        "trained",
        "judged",
        "registered",
        "rollout",
    ]
    assert kinds[: len(expected)] == expected
    assert kinds[-1] == "promoted"
    assert [entry.at for entry in chain] == sorted(entry.at for entry in chain)
    assert promoted.facts["previous"] == 1


def test_the_alarm_came_after_the_drift_and_names_what_drifted(told: Mapping[str, Any]) -> None:
    marks = dict(map(tuple, told["measured"]["marks"]))
    assert 0 < marks["alarm"] < 60
    named = {feature["name"] for feature in first(told["entries"], "alarm").facts["features"]}
    # What the generator changes (examples/churn/README.md), and nothing else.
    assert named
    assert named <= {"monthly_charges", "seats", "plan", "region"}


def test_one_alarm_started_one_run(told: Mapping[str, Any]) -> None:
    alarm = first(told["entries"], "alarm")
    decided = [one for one in told["entries"] if one.kind == "decision" and one.cause == alarm.number]
    assert [one.facts["action"] for one in decided].count("start") == 1


def test_version_2_took_5_25_50_and_100_percent_each_on_a_verdict(told: Mapping[str, Any]) -> None:
    steps = [one for one in told["entries"] if one.kind in ("shifted", "verdict") and one.facts["version"] == 2]
    shifted = [one.facts["weight"] for one in steps if one.kind == "shifted"]
    assert shifted == [5, 25, 50, 100]
    for weight in shifted:
        verdicts = [one.facts["verdict"] for one in steps if one.kind == "verdict" and one.facts["weight"] == weight]
        assert verdicts[-1] == "promote", f"at {weight} %"


def test_envoys_own_counts_follow_the_weights(told: Mapping[str, Any]) -> None:
    """Between two samples with the same weights the challenger's share of Envoy's requests is its weight."""
    seen: dict[int, list[int]] = {}
    for before, after in zip(told["series"], told["series"][1:], strict=False):
        if before["weights"] != after["weights"] or set(after["weights"]) != {"1", "2"}:
            continue
        both = [after["requests"].get(one, 0) - before["requests"].get(one, 0) for one in ("1", "2")]
        counted = seen.setdefault(after["weights"]["2"], [0, 0])
        counted[0] += both[1]
        counted[1] += sum(both)
    assert {5, 25, 50} <= set(seen)
    for weight, (challenger, requests) in seen.items():
        share, error = weight / 100, (weight * (100 - weight) / requests) ** 0.5 / 100 if requests else 0.0
        assert requests > 0
        assert abs(challenger / requests - share) <= 5 * error + 0.01, f"{challenger} of {requests} at {weight} %"


def test_the_bad_version_passed_its_gates_and_was_taken_back_at_a_stated_cost(told: Mapping[str, Any]) -> None:
    assert first(told["entries"], "registered", version=3)
    back = first(told["entries"], "rolled_back", version=3)
    assert "label_metric" in back.facts["reason"]
    assert back.facts["champion"] == 2
    assert back.facts["requests"] > 0
    assert back.facts["errors"] == 0
    scores = told["measured"]["traffic"]["brier"]
    assert scores["3"]["mean"] > scores["2"]["mean"]
    assert not [one for one in told["entries"] if one.kind == "promoted" and one.facts["version"] == 3]


def test_the_ledger_verifies_and_the_report_stands_alone(told: Mapping[str, Any]) -> None:
    assert told["ledger"].verify() >= len(told["entries"])
    page = (told["folder"] / "report.html").read_text()
    assert page.count("<svg") >= 4
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_nothing_is_left_running(told: Mapping[str, Any]) -> None:
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    assert [line for line in listing.splitlines() if str(told["folder"]) in line] == []
    assert not (told["folder"] / ".loopwright" / "live" / "status.json").exists()
