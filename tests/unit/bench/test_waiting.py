import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def report(root: Path) -> Iterator[ModuleType]:
    sys.path.insert(0, str(root))
    yield importlib.import_module("bench.waiting.report")
    sys.path.remove(str(root))


def result(**cpu: list[float]) -> dict[str, object]:
    samples = {name: [{"cpu": one, "seconds": one, "peak": 200.0} for one in each] for name, each in cpu.items()}
    about = {"machine": {"cores": 2, "cpu": "a", "kernel": "6", "python": "3.11"}, "rows": 7000, "rounds": 1}
    versions = {"lightgbm": "4", "mlflow": "3"}
    return {**about, "versions": versions, "samples": samples, "missing": {}, "load": [0.1], "floor": 100.0}


def test_a_run_is_told_by_its_parts_which_add_up(report):
    told = report.section(result(run=[8.0], plain=[2.0], history=[0.5], libraries=[1.5], registry=[4.5]))
    rows = [line.split(" | ") for line in told.splitlines() if line.endswith("|") and "times the plain" not in line]
    parts = [
        float(row[1].split()[0])
        for row in rows
        if row[0].lstrip("| ").startswith(("pandas", "MLflow's", "the command", "the steps"))
    ]
    assert parts == [1.5, 3.0, 0.5, 3.0]
    assert "| `loopwright run` under 2 times the plain script's | 4.00" in told
    assert "not met" in told


def test_what_was_not_measured_is_not_made_up(report):
    told = report.section(result(run=[3.0], plain=[2.0]))
    assert "what `loopwright run` spends" not in told
    assert "| 1.50" in told
    assert "| met |" in told
