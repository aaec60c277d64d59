"""The simulation of verdicts: the promise on few rollouts with fixed seeds, and the rules that are compared with."""

import importlib
import sys

import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def bench_is_importable(root):
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def module(name):
    return importlib.import_module(f"bench.verdicts.{name}")


def silent(_):
    pass


def course(errors, *, requests=1000, weight=50):
    """A look a minute, with so many errors of the challenger in each."""
    traffic = module("traffic")
    side = np.zeros((len(errors), 6))
    side[:, 0] = requests
    here = side.copy()
    here[:, 1] = errors
    bins = np.ones((len(errors), traffic.BINS))
    return traffic.Course(np.full(len(errors), weight), side, here, side.sum(axis=0), 1, (bins, bins))


@pytest.mark.long
def test_equal_versions_are_rolled_back_within_the_promise_and_a_naive_test_far_beyond_it():
    experiments = module("experiments")
    one = next(one for one in experiments.EQUAL if one.key == "errors-1")
    found = experiments.run_equal(one, 8, silent)["rules"]
    # P(3 or more of 8 | 5 %) = 0.6 %; with these seeds there is no chance in it.
    assert found["loopwright"]["rolled_back"] <= 2
    assert found["naive"]["rolled_back"] >= 4


@pytest.mark.parametrize(("key", "within"), [("errors", 3000), ("latency", 2000)])
def test_a_worse_challenger_is_found_and_a_promise_that_is_broken_is_named(key, within):
    experiments = module("experiments")
    one = next(one for one in experiments.WORSE_ONES if one.key == key)
    found = experiments.run_worse(one, 25, 6, silent)["rules"]["loopwright"]
    assert found["missed"] == 0
    assert found["median"] < within


def test_a_promise_counts_as_broken_only_where_the_interval_is_above_it():
    experiments = module("experiments")
    equal = {"strategy": "canary", "what": "x", "assumed": True, "rules": {"loopwright": {"interval": [0.06, 0.2]}}}
    kept = {"margin": 0.0, "interval": [0.04, 0.06]}
    result = {"equal": [equal, equal | {"assumed": False}], "ab": [kept], "disagreement": {"interval": [0.0, 0.01]}}
    assert experiments.broken(result) == ["canary, x: an equal challenger: surely more than 6.0%"]


def test_the_thresholds_count_failed_checks_as_their_tools_do():
    rules, rollout = module("rules"), module("experiments").declared_rollout(labels=False)
    # Above 1 %: minutes 0, 2, 3, 5, 6. Flagger's fifth is the last; the strict one is done at the first.
    minutes = course([20, 0, 20, 20, 10, 20, 20])
    assert rules.flagger(minutes, rollout) == 6
    assert rules.argo_strict(minutes, rollout) == 0
    assert rules.argo_example(minutes, rollout) == rules.NEVER
    # Four failed windows of five minutes are one more than the example's limit of three.
    assert rules.argo_example(course([60] * 20), rollout) == 19
    assert rules.argo_example(course([60] * 19), rollout) == rules.NEVER


def test_a_fixed_test_has_the_size_of_the_textbook():
    rules, rollout = module("rules"), module("experiments").declared_rollout(labels=False)
    # One-sided 0.025 in two metrics, power 0.9, 1 % against 3 % at equal shares: 1,030 of each by Fleiss' formula.
    assert rules.fixed_sample("error_rate", rollout, 0.5, 0.01, 0.03, 0.0) == pytest.approx(1030, rel=0.01)


def test_the_two_scorers_have_the_auc_that_they_are_named_for():
    traffic = module("traffic")
    assert traffic.slower(1.0) == pytest.approx(0.01)
    losses = [traffic.Scorer(auc).losses(np.random.default_rng(3), 100_000).mean() for auc in (0.85, 0.82, 0.5)]
    # Without information a calibrated scorer says the base rate, whose Brier loss is p (1 - p).
    assert losses[0] + 0.008 < losses[1] < losses[2] == pytest.approx(0.26 * 0.74, abs=0.002)


def test_the_page_and_the_picture_are_made_of_the_numbers(tmp_path):
    experiments, report = module("experiments"), module("report")
    share = {"share": 0.0, "interval": [0.0, 0.1], "rolled_back": 0}
    delay = {"median": 120.0, "late": None, "missed": 0.25, "interval": [0.1, 0.4]}
    equal = {"key": "k", "what": "same", "strategy": "blue_green", "assumed": True, "replicates": 9}
    worse = {"key": "errors", "what": "a -> b", "weight": None, "step": 10_000, "rules": {"loopwright": delay}}
    result = {
        "equal": [equal | {"rules": dict.fromkeys(module("rules").RULES, share)}],
        "worse": [worse],
        "ab": [experiments.type_one_error(20)],
        "disagreement": experiments.disagreement_error(2, pairs=100),
        "processor_seconds": 60,
    }
    page = tmp_path / "verdicts.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(result, page, tmp_path / "verdicts.svg")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| blue/green | same | 9 | 0.0% (0.0% to 10.0%) |" in text
    assert "| Loopwright | 120 | never | 25.0% (10.0% to 40.0%) |" in text
    assert "a -&gt; b" in (tmp_path / "verdicts.svg").read_text()
