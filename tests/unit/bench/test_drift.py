"""The proof of the drift alarm: what it simulates is what it says, on few runs with fixed seeds."""

import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats


@pytest.fixture(scope="module", autouse=True)
def bench_is_importable(root):
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def module(name):
    return importlib.import_module(f"bench.drift.{name}")


@pytest.mark.parametrize("kind", ["normal", "lognormal", "uniform", "count", "gappy", "category"])
def test_the_exact_chances_of_bins_are_those_of_drawn_rows(kind):
    streams = module("streams")
    generator = np.random.default_rng(1)
    reference = streams.rows([kind], 2000, np.zeros(1), generator)
    bins = streams.profile([kind], reference, np.arange(9.0)).features["f0"]
    chances = streams.probabilities(kind, bins, 0.4)
    counts = bins.count(streams.rows([kind], 100_000, np.array([0.4]), generator)[0])
    assert chances.sum() == pytest.approx(1)
    assert np.abs(counts / 100_000 - chances).max() < 0.006


@pytest.mark.long
@pytest.mark.parametrize("repeats", [1, 20])
def test_no_drift_keeps_the_budget_with_and_without_equal_rows(repeats):
    experiments = module("experiments")
    found = experiments.false_alarms(10_000, 2, 2, repeats=repeats)
    assert found["allowed"] == 2
    # With repeats not one: an alarm that begins with them and never ends would be one a run.
    assert found["significance"] <= (2 if repeats == 1 else 0)


def test_the_product_finds_a_sudden_drift_within_a_window_or_so_and_nothing_before_its_onset():
    delays, streams = module("delays"), module("streams")
    case = delays.Case(1_000, 3, (), reference=2_000)
    run = delays.draw(case, streams.Drift(1.0), 0)
    row = delays.loopwright(case, run)
    assert run.onset < row <= run.onset + 1_000
    assert delays.loopwright(case, delays.draw(case, None, 0)) is None


def test_kolmogorov_smirnov_is_scipys():
    detectors = module("detectors")
    generator = np.random.default_rng(2)
    reference, window = generator.standard_normal((500, 3)), np.round(generator.standard_normal((80, 3)), 1)
    found = detectors.kolmogorov_smirnov(np.sort(reference, axis=0), window)
    expected = [stats.ks_2samp(reference[:, i], window[:, i]).statistic for i in range(3)]
    assert found == pytest.approx(expected)


def test_the_conformal_process_grows_after_a_shift_and_not_before():
    detectors = module("detectors")
    generator = np.random.default_rng(3)
    stream = generator.standard_normal((2_000, 2))
    stream[1_000:, 1] += 1
    found = detectors.conformal(np.sort(generator.standard_normal((2_000, 2)), axis=0), stream, generator)
    assert found[:1_000].max() < 15
    assert found[1_200] > 30


def test_a_summary_counts_a_miss_as_never():
    summary = module("delays").summary
    assert summary([10, 20, None]) == {"median": 20, "late": None, "missed": pytest.approx(1 / 3)}
    assert summary([None, None, 5])["median"] is None


def test_a_kept_experiment_is_not_made_again_until_all_is_done(tmp_path):
    main = importlib.import_module("bench.kept")
    kept = main.Kept(tmp_path / "found.json", fresh=False)
    assert kept.get("one", lambda: 1) == 1
    again = main.Kept(tmp_path / "found.json", fresh=False)
    assert again.get("one", lambda: pytest.fail("made again")) == 1
    assert main.Kept(tmp_path / "found.json", fresh=True).get("one", lambda: 2) == 2
    again.done()
    assert not (tmp_path / "found.json").exists()


def test_the_bike_data_is_left_out_with_a_reason_and_its_control_is_quiet_where_it_is_there(root, tmp_path):
    bike = module("bike")
    assert bike.measure(tmp_path / "bike.csv")["skipped"] == "bike.csv is not there"
    path = module("__main__").BIKE
    if not path.exists():
        pytest.skip("../shared/data/bike.csv is not there")
    found = bike.measure(path)
    assert found["control"] == {}
    assert found["alarms"]["year"]["cnt"].startswith("2012-")


def test_a_broken_budget_is_named_and_the_page_is_made_of_the_committed_numbers(root, tmp_path):
    report = module("report")
    result = json.loads((root / "bench" / "drift" / "result.json").read_text())
    one = {"window": 100, "features": 2, "allowed": 3, "significance": 12, "interval": [6.2, 21.0]}
    assert report.broken({"none": [one, one | {"interval": [2.9, 9.0]}]}) == [
        "100 rows, 2 features: 12 of 3 allowed",
    ]
    page = tmp_path / "alarms.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(result, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old\n" not in text
    committed = (root / "docs" / "alarms.md").read_text()
    assert text[text.index(report.BEGIN) : text.index(report.END)] in committed
    assert (tmp_path / "drift_delays.svg").read_text() == (root / "docs" / "drift_delays.svg").read_text()


def test_the_command_measures_writes_its_page_and_forgets_what_it_kept(tmp_path, monkeypatch):
    main, experiments, delays = module("__main__"), module("experiments"), module("delays")
    monkeypatch.setattr(experiments, "SIZES", (100,))
    monkeypatch.setattr(experiments, "RUNS", {1: 10, 20: 10, 200: 2})
    monkeypatch.setattr(experiments, "REPEATS", (1,))
    monkeypatch.setattr(delays, "CASES", ())
    monkeypatch.setattr(experiments, "WINDOWS", 2)
    options = {"work": tmp_path, "docs": tmp_path / "alarms.md", "json": tmp_path / "r.json", "bike": tmp_path / "no"}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["bench.drift", "--quick", *arguments])
    assert main.main() == 0
    assert "Not measured: no is not there." in (tmp_path / "alarms.md").read_text()
    assert not (tmp_path / "found.json").exists()
    told = json.loads((tmp_path / "r.json").read_text())
    assert [(one["features"], one["runs"]) for one in told["none"]] == [(1, 1), (20, 1)], "of 200 a tenth is none"


def test_a_comparison_that_is_made_again_leaves_the_other_numbers_as_they_are(tmp_path, monkeypatch):
    main, delays = module("__main__"), module("delays")
    monkeypatch.setattr(main, "_case", lambda case, *_: {"window": case.window, "features": case.features, "new": 1})
    before = [{"window": case.window, "features": case.features} for case in delays.CASES if case.key != "100-20"]
    monkeypatch.setattr(main, "_alone", lambda *_: {"none": "made again"})
    arguments = SimpleNamespace(work=tmp_path, fresh=False, cases=["100-20", "1000-1"], quick=False, share=None)
    found = main.run(arguments, {"none": "as it was", "cases": before})
    assert found["none"] == "as it was"
    arguments.share = 0.2
    assert main.run(arguments, {"none": "as it was", "cases": before}) == {**found, "none": "made again"}
    assert [(one["window"], one["features"], "new" in one) for one in found["cases"]] == [
        (1_000, 20, False), (1_000, 1, True), (100, 20, True), (10_000, 5, False),
    ]  # fmt: skip
