"""The simulation of gates on few pairs, and its table."""

import importlib
import json
import sys

import pytest


@pytest.fixture(scope="module", autouse=True)
def bench_is_importable(root):
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def test_simulated_pairs_have_the_areas_that_are_asked_for():
    from sklearn.metrics import roc_auc_score

    judged = importlib.import_module("bench.gates.pairs").pair(100_000, 0.02, 1)
    areas = [roc_auc_score(judged.truth, one) for one in (judged.challenger, judged.champion)]
    assert areas == pytest.approx([0.87, 0.85], abs=0.005)
    # Probabilities mean what they say.
    assert judged.champion.mean() == pytest.approx(judged.truth.mean(), abs=0.01)


def test_the_gate_lets_few_equal_models_through_where_values_alone_let_half_through(tmp_path, monkeypatch):
    main = importlib.import_module("bench.gates.__main__")
    monkeypatch.setattr(main, "CASES", [("roc_auc", 500, 0.0, False), ("roc_auc", 600, 0.0, True)])
    page, result = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text(f"before\n{main.BEGIN}\nold\n{main.END}\nafter\n")
    asked = ["--pairs", "60", "--work", str(tmp_path), "--json", str(result), "--docs", str(page)]
    assert main.main(asked) == 0
    first, customers = (case["passed"] for case in json.loads(result.read_text())["cases"])
    assert first["better"] <= 9 < 15 < first["point"]
    assert customers["better"] <= customers["better, customers unknown"]
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| the same | `roc_auc`, 500 |" in text
    # What lets too many through is an error.
    assert main._broken({"gain": 0.0, "passed": {"better": 20}}, "better", 60)
