"""The simulated years: the product's own alarm and rules start the runs, and scores and unneeded runs are counted."""

import importlib
import json
import sys

import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def bench_is_importable(root):
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def module(name):
    return importlib.import_module(f"bench.retraining.{name}")


@pytest.fixture(scope="module")
def year():
    """Nothing happens until day 60, when what drives the label turns round and its feature moves."""
    streams = module("streams")
    generator = np.random.default_rng(5)
    days = np.arange(200 * (streams.HISTORY + streams.DAYS)) / 200 - streams.HISTORY
    x = generator.standard_normal((len(days), 3))
    x[:, 0] += days >= 60
    score = np.where(days >= 60, -2.0, 2.0) * x[:, 0]
    labels = (generator.random(len(days)) < 1 / (1 + np.exp(-score))).astype(float)
    return module("policies").Models(streams.Stream("one", "classification", days, x, labels, 1.0, (60,), ()))


@pytest.mark.long
def test_a_run_follows_the_first_change_within_days_and_not_before(year, monkeypatch):
    policies = module("policies")
    monkeypatch.setattr(policies, "DAYS", 64)
    days = policies.alarmed(year)
    assert len(days) == 1
    assert 60 < days[0] < 63


def test_a_run_before_the_change_is_not_needed_and_one_after_it_is(year):
    live = module("policies").live
    assert live(year, [30.0]).unneeded == 1
    after = live(year, [90.0])
    assert after.unneeded == 0
    assert after.score > live(year, []).score + 0.1


def test_the_triggers_rules_hold_back_a_second_run_within_the_cooldown():
    starts, entries = module("policies")._starts, []
    assert starts(entries, 1, 5.0, ["x0"])
    assert not starts(entries, 2, 14.0, ["x0"])
    assert starts(entries, 2, 15.5, ["x0"])
    assert [entry.kind for entry in entries].count("run") == 2


def test_scheduled_and_random_runs_are_inside_the_year():
    policies = module("policies")
    assert policies.scheduled(100) == [100.0, 200.0, 300.0]
    days = policies.at_random(50, np.random.default_rng(1))
    assert len(days) == 50
    assert 0 < min(days) < max(days) < 365


@pytest.mark.parametrize("name", ["churn", "demand", "electricity"])
def test_a_stream_has_a_year_after_its_history_and_is_the_same_for_the_same_seed(name):
    make = module("streams").STREAMS[name]
    stream = make(3)
    assert stream.days[0] == -60
    assert stream.days[-1] == pytest.approx(365, abs=0.1)
    assert len(stream.features) == len(stream.labels) == len(stream.days)
    assert (make(3).labels == stream.labels).all()
    assert (make(4).features != stream.features).any()


def test_the_page_is_made_of_the_committed_numbers(root, tmp_path):
    report = module("report")
    result = json.loads((root / "bench" / "retraining" / "result.json").read_text())
    page = tmp_path / "retraining.md"
    report.write(result, page)
    text = page.read_text()
    committed = (root / "docs" / "retraining.md").read_text()
    assert text[text.index(report.BEGIN) : text.index(report.END)] in committed
    assert (tmp_path / "retraining_weeks.svg").read_text() == (root / "docs" / "retraining_weeks.svg").read_text()
