"""The measurement of estimates on a small case, without the peer, and its table."""

import importlib
import json
import sys

import pytest


@pytest.fixture(scope="module", autouse=True)
def bench_is_importable(root):
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def test_estimates_are_nearer_to_the_labels_than_the_held_out_rows_where_scores_moved(tmp_path):
    main = importlib.import_module("bench.estimates.__main__")
    page, result = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text(f"before\n{main.BEGIN}\nold\n{main.END}\nafter\n")
    assert main.main(
        ["--quick", "--without-peers", "--work", str(tmp_path), "--json", str(result), "--docs", str(page)]
    ) == 0  # fmt: skip
    rows = {(row["scenario"], row["metric"]): row for row in json.loads(result.read_text())["table"]}
    moved = rows["moved", "f1"]
    assert moved["loopwright"] < moved["unchanged"] / 2
    harder = rows["harder", "rmse"]
    assert harder["losses"] < harder["loopwright"] / 2
    # What no estimator without labels can see, this one does not see either.
    assert rows["concept", "roc_auc"]["loopwright"] > 0.1
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| classification | moved | `f1` |" in text
