"""The measurement of batch scoring on few rows, and its table."""

import importlib
import json
import sys

import pytest

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def bench_is_importable(root):
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def test_both_give_the_same_predictions_and_the_table_says_so(tmp_path):
    main = importlib.import_module("bench.scoring.__main__")
    page, result = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text(f"before\n{main.BEGIN}\nold\n{main.END}\nafter\n")
    asked = ["--quick", "--work", str(tmp_path / "work"), "--json", str(result), "--docs", str(page)]
    assert main.main(asked) == 0
    found = json.loads(result.read_text())
    assert found["same"]
    assert {len(one) for one in found["samples"].values()} == {1}
    text = page.read_text()
    assert text.startswith("before\n")
    assert "the same to 1e-12" in text
    assert "| mlflow.pyfunc and pandas, one core |" in text
